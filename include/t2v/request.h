// What is asked for, what will be done, and what came of it. Plain data: all of it can be written as JSON.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace t2v {

// Everything a user may set. What is absent comes from the model's t2v.json, then from the model family.
struct GenerationRequest {
  std::optional<std::string> model;  // folder, or name of a shipped model
  std::optional<std::string> transformer, transformer_2, vae, text_encoder,
      image_encoder;                                     // safetensors or GGUF files in place of the folder's
  std::optional<std::string> tokenizer;                  // spiece.model, or a folder with it
  std::optional<std::vector<std::string>> lora, lora_2;  // "FILE" or "FILE:SCALE"; of the second expert
  std::optional<std::string> prompt, negative_prompt;    // UTF-8
  std::optional<std::string> size, aspect;               // "WxH" in pixels; "W:H"
  std::optional<int64_t> width, height;                  // pixels
  std::optional<double> seconds;
  std::optional<int64_t> frames;
  std::optional<bool> loop;  // the last frame leads back to the first
  std::optional<double> fps;
  std::optional<int64_t> window, overlap;  // frames: of each part of a long clip, and that it shares with the
                                           // part before
  std::optional<int64_t> context_noise;    // timestep that the shared frames are noised to
  std::optional<std::string> storyboard;   // JSON file: prompts over time, pictures and clips at times
  std::optional<std::string> image, last_image;  // the first and the last frame
  std::optional<std::string> extend;             // video to go on from; backward: to come before
  std::optional<bool> backward;
  std::optional<std::vector<std::string>> connect;  // two videos to make a transition between
  std::optional<std::string> fill, missing;         // video of which the seconds "1.0-2.5" are made anew
  std::optional<std::string> edit, mask;  // video, or picture, to make anew; where the mask is white
  std::optional<std::string> control;     // video that says how things move: depth, poses, lines
  std::optional<std::vector<std::string>> reference;  // pictures of what the clip shows
  std::optional<double> control_scale;
  std::optional<std::string> outpaint;  // "W:H": the shape of which the edited video is the middle
  std::optional<int64_t> blend;         // frames at a seam that go over from the source to what is made
  std::optional<double> strength;       // how much anew: 1 is all, 0 nothing
  std::optional<std::string> fit;       // crop, pad, stretch: what is of another shape
  std::optional<int64_t> steps;
  std::optional<std::vector<double>> timesteps, sigmas;  // of each step, falling, in place of the scheduler's
  std::optional<double> guidance_scale, guidance_rescale;
  std::optional<double> guidance_scale_2;     // of the second expert, where a model has two
  std::optional<bool> dynamic_guidance;       // the scale changes from step to step
  std::optional<std::string> scheduler;       // scheduler_names
  std::optional<std::string> sigma_schedule;  // karras, exponential, beta: in place of the model's
  std::optional<double> eta, flow_shift;
  std::optional<int64_t> seed;  // of the first clip; the next ones count up
  std::optional<int64_t> count;
  std::optional<std::string> output;         // template: {index} {seed} {prompt} {date}
  bool to_receiver = false;                  // no output: the frames go to the receiver of generate_all
  std::optional<std::string> resize;         // "WxH": resampling of the finished frames
  std::optional<std::string> resize_filter;  // lanczos, nearest
  std::optional<std::string> codec;          // h264, hevc, …: what the output's name takes
  std::optional<int64_t> crf, quality;       // one of these or bitrate
  std::optional<std::string> bitrate;        // "4M", "800k"
  std::optional<bool> sidecar;               // JSON beside the output
  std::optional<std::string> init_latents, save_latents;  // safetensors files
  std::optional<std::string> trace;          // folder for the text embedding and the latents of every step
  std::optional<std::string> device, dtype;  // auto, cpu, cuda[:N]; auto, float32, bfloat16, float16
  std::optional<std::string> weights_dtype;  // that matrices are kept in: also q8_0, q4_0; auto: as they are
  std::optional<std::string> vae_dtype, vae_tiling;  // auto, float32, …; auto, on, off
  std::optional<std::string> offload;  // auto, none, stage, block: what becomes of weights between their uses
  std::optional<int64_t> threads;
  std::optional<std::string> memory_limit;  // "2GB"
  std::optional<int64_t> token_budget;      // of one forward pass
  std::optional<int64_t> checkpoint_every;  // denoising steps
};

// Bytes that a run is expected to have in use at its height: resident memory, or the device's.
struct MemoryEstimate {
  int64_t program = 0;    // libtorch, libav and the program itself
  int64_t weights = 0;    // of the networks that are there at once
  int64_t denoising = 0;  // activations of the largest forward passes that run at once
  int64_t decoding = 0;   // activations of decoding, and the encoder's frames
  int64_t peak = 0;       // denoising and decoding together when they overlap
};

// Seconds that the clips of a plan are expected to take, by what they cost and the rate of the device;
// loading and writing are left out.
struct TimeEstimate {
  double text = 0, denoising = 0, decoding = 0, total = 0;
  double flops = 0;  // of products, convolutions and attention
  double rate = 0;   // FLOP/s of a large matrix product there
};

// Where a network is, what it computes in, and how long its weights stay: resident (to the end of the run),
// stage (while they are used), block (a block of them at a time).
struct ComponentPlacement {
  std::string device, dtype, residency;
};

// A part of a clip with a prompt of its own, one after the other.
struct Shot {
  std::string prompt = {}, cleaned_prompt = {};  // as given; as the text encoder gets it
  int64_t begin = 0, frames = 0;
  bool cut = false;  // it does not go on from the frames before it
};

// A part of a long clip, made in one pass: frames of the clip from `begin` on, the first `context` of which
// are the last ones of the part before. Of the `frames` that are made, those from `kept` on are left out.
struct Window {
  int64_t begin = 0, context = 0, frames = 0, kept = 0;
  std::size_t shot = 0;
  // The first `skipped` frames are left out. Of a clip that is made from its end the last `after` are frames
  // of the part that was made before this one.
  int64_t skipped = 0, after = 0;
  int64_t latent_frames = 0;  // of the window and of the references before it
};

// Frames of a file that a clip must agree with. The clip's timeline goes on beyond its ends: frames before
// its first and after its last are written as they are.
struct Condition {
  std::string source = {};  // image, video or pattern of images
  int64_t from = 0;         // frame of the source, at the clip's rate
  int64_t frames = 1;
  int64_t at = 0;       // frame of the clip at which the first of them is
  int64_t hold = 0;     // so many frames of the clip before that one are to look like it
  int64_t linger = 0;   // and so many after the last one like that
  double strength = 0;  // 0: the frames stay; above: they are where the clip begins from, noised to so much
                        // of the schedule (SDEdit: Meng et al. 2022); 1 is all new
};

// The sound of a file at a place of the finished clip.
struct SoundPart {
  std::string source = {};
  double begins = 0;   // where its first picture is, seconds by the file's clock
  double at = 0;       // and by that of the finished clip
  double seconds = 0;  // from there on that are heard
};

// One clip of a plan.
struct PlannedClip {
  int64_t seed = 0;
  std::string output;  // empty: the frames go to a receiver
  std::optional<std::string> save_latents, trace;
};

// The request with every default resolved.
struct GenerationPlan {
  GenerationRequest settings;  // what was asked for over the model's defaults; what is kept below as well is
                               // as it became
  std::string model, model_folder;
  std::map<std::string, std::string> weights;  // component → file in place of the folder's
  std::vector<std::string> loras, loras_2;     // "FILE" or "FILE:SCALE"; of the second expert
  std::string prompt, negative_prompt;         // as given; of several shots, their prompts in a row
  std::string cleaned_negative_prompt;         // as the text encoder gets it
  std::vector<Shot> shots;                     // one, but for storyboards
  int64_t width = 0, height = 0, frames = 0;
  double fps = 0;
  std::vector<Window> windows;      // in order; one when the clip is made in one pass
  int64_t window = 0, overlap = 0;  // frames
  int64_t context_noise = 0;        // timestep
  bool hands_on_latents = false;    // from window to window, decoded as one clip; otherwise frames
  bool reads_frame_rate = false;    // the network is told `fps`
  std::vector<Condition> conditions;
  std::map<std::string, std::string> sources;    // file of the conditions → hash of its frames
  std::optional<std::array<int64_t, 4>> inside;  // of outpainting: left, top, right, bottom of what is kept
  std::string fit;                               // crop, pad, stretch
  bool mask_is_alpha = false;     // what of the mask is transparent is made anew; otherwise what is white
  bool reads_pictures = false;  // the network reads them itself; otherwise the clip is held to them
  bool reads_control = false;   // the network reads the whole clip, and what of it is made anew (VACE)
  std::vector<std::string> references;  // pictures that it reads beside the clip
  bool levels_per_token = false;        // the network is told that known content is clean; otherwise RePaint
  int64_t first_step = 0;               // of the schedule: above 0 where the clip begins from content
  int64_t written_frames = 0;           // of the file, with what the conditions have beyond the clip's ends
  std::vector<SoundPart> sound;         // of the file
  int64_t steps = 0;
  double guidance_scale = 0, guidance_rescale = 0;
  std::optional<double> guidance_scale_2;  // of the second expert, where the model has two
  std::string scheduler;
  double eta = 0;
  std::optional<double> flow_shift;
  int64_t max_text_tokens = 0;
  std::string device, dtype;
  std::optional<std::string> weights_dtype;             // none: as they are stored
  std::map<std::string, ComponentPlacement> placement;  // by component
  std::optional<int64_t> memory_limit;                  // bytes
  std::vector<PlannedClip> clips;

  std::vector<int64_t> latent_shape;  // [1, C, T, H, W] of one window
  int64_t tokens = 0;                 // of one window and guidance branch
  int64_t branches = 0;               // 2 with guidance, else 1
  int64_t weight_bytes = 0;           // of all components, in the run's dtype
  MemoryEstimate memory;              // of a run of this plan by itself
  std::optional<TimeEstimate> time;   // where it was asked for
  std::vector<std::string> notes;     // what was rounded or cut, a line each
};

struct ClipResult {
  std::string output;
  int64_t seed = 0;
  int64_t frames = 0;
  double denoise_seconds = 0, decode_seconds = 0;  // decode includes encoding the file, which runs beside it
};

// What a run spends before its first step, all its models together.
struct PreparationTimes {
  double load_seconds = 0, text_seconds = 0;
};

struct GenerationResult {
  std::vector<ClipResult> clips;
  PreparationTimes preparation;
};

}  // namespace t2v
