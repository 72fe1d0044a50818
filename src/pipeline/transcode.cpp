#include "pipeline/transcode.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <filesystem>

#include "base/atomic_file.h"
#include "pipeline/components.h"
#include "pipeline/frames.h"
#include "pipeline/latents_file.h"
#include "pipeline/plan/memory.h"
#include "pipeline/plan/plan_files.h"
#include "pipeline/plan/settings.h"
#include "pipeline/plan/sizes.h"
#include "pipeline/provenance.h"
#include "pipeline/run/clip_sink.h"
#include "t2v/generate.h"
#include "video/read/decoder.h"

namespace t2v {

namespace {

// Encodes the frames that it is given, a group at a time.
class EncodingSink : public FrameSink {
 public:
  EncodingSink(const VideoVae& vae, at::Device device)
      : vae_(vae), device_(device), stream_(vae.encode_stream()) {}

  void write(const Frame& frame) override {
    pending_.push_back(frame);
    ++frames_;
    if (static_cast<int64_t>(pending_.size()) == vae_.spec().temporal_ratio) encode();
  }
  void finish() override {
    if (!pending_.empty()) encode();
    keep(stream_->finish());
  }

  int64_t frames() const { return frames_; }  // written
  // [C, T, H, W] in the sampler's space.
  at::Tensor latents() const { return latents_.narrow(0, 0, count_).transpose(0, 1).contiguous(); }

 private:
  void encode() {
    keep(stream_->push(from_frames(pending_).to(device_)));
    pending_.clear();
  }
  // Into one block that grows: small ones, allocated between the large ones of encoding, would keep the heap
  // from being used again.
  void keep(const Posterior& posterior) {
    if (!posterior.mean.defined()) return;
    const auto latents = vae_.normalise(posterior.mean).transpose(0, 1).cpu();  // [t, C, H, W]
    const int64_t count = count_ + latents.size(0);
    if (!latents_.defined() || count > latents_.size(0)) {
      auto shape = latents.sizes().vec();
      shape[0] = std::max<int64_t>(256, 2 * count);
      const auto larger = at::empty(shape, latents.options());
      if (count_ > 0) larger.narrow(0, 0, count_).copy_(latents_.narrow(0, 0, count_));
      latents_ = larger;
    }
    latents_.narrow(0, count_, latents.size(0)).copy_(latents);
    count_ = count;
  }

  const VideoVae& vae_;
  at::Device device_;
  std::unique_ptr<EncodeStream> stream_;
  std::vector<Frame> pending_;
  at::Tensor latents_;  // [at least count_, C, H, W]
  int64_t count_ = 0, frames_ = 0;
};

constexpr double least_fps = 0.1, most_fps = 1000;  // as generate takes them

// Flags over what the file says over the model's own. Notes what had to be assumed.
DecodeSettings resolve(const DecodeRequest& request, const DecodeSettings& stored,
                       const GenerationRequest& defaults, const GenerationPlan& files, Observer& observer) {
  const auto model = files.model.empty() ? files.weights.at("transformer") : files.model;
  DecodeSettings used;
  used.model = model;
  used.fps = request.fps ? request.fps : stored.fps ? stored.fps : defaults.fps.value_or(16);
  used.codec = request.codec;
  if (!used.codec && stored.codec && holds_codec(request.output, *stored.codec)) used.codec = stored.codec;
  const bool is_told = request.crf || request.quality || request.bitrate;
  used.crf = is_told ? request.crf : stored.crf;
  used.quality = is_told ? request.quality : stored.quality;
  used.bitrate = is_told ? request.bitrate : stored.bitrate;
  used.resize = request.resize ? request.resize : stored.resize;
  used.vae_dtype = request.vae_dtype ? request.vae_dtype : stored.vae_dtype;
  used.vae_tiling = request.vae_tiling ? request.vae_tiling : stored.vae_tiling;
  used.resize_filter = request.resize_filter ? request.resize_filter
                                             : stored.resize_filter.value_or("lanczos");
  if (*used.fps < least_fps || *used.fps > most_fps)
    throw Error(ErrorKind::usage,
                request.latents + ": --fps should be between 0.1 and 1000, found " + Json(*used.fps).dump());
  const bool no_model = !request.model && !stored.model && files.weights.empty(),
             no_fps = !request.fps && !stored.fps;
  if (no_model || no_fps)
    observer.note(request.latents + " does not say " +
                  (no_model && no_fps ? "which model and rate"
                   : no_model         ? "which model"
                                      : "which rate") +
                  " it was made for; taken as latents of " + model + " at " + Json(*used.fps).dump() +
                  " frames per second (-m and --fps say otherwise)");
  return used;
}

struct VaeModel {
  std::unique_ptr<Model> model;
  at::Device device;
  VaeSpec vae;
};

// The model that is asked for, else that of the latents' settings: a folder, with another autoencoder or not,
// or single files.
GenerationPlan files_of(const DecodeRequest& request, const Json& provenance, Observer& observer) {
  GenerationPlan plan;
  GenerationRequest made;
  made.model = request.model;
  const auto settings = provenance.value("settings", Json::object());
  if (!request.model && !provenance.contains("encoded")) {
    Json files = Json::object();
    const auto add = [&](const char* key) {
      if (settings.contains(key)) files[key] = settings.at(key);
    };
    for (const char* key : {"model", "vae"}) add(key);
    const bool is_folder = files.contains("model") && files.at("model").is_string() &&
                           !is_model_tree(files.at("model").get<std::string>());
    if (!is_folder)
      for (const char* key : {"transformer", "transformer_2", "text_encoder", "image_encoder", "tokenizer"})
        add(key);
    made = request_from_json(files, request.latents);
  } else if (!request.model) {
    made.model = decode_settings(provenance, request.latents).model;
  }
  plan_files(plan, made);
  for (const auto& note : plan.notes) observer.note(note);
  return plan;
}

VaeModel open_vae_model(const GenerationPlan& files, const std::string& device,
                        const std::optional<int64_t>& threads) {
  GenerationRequest asked;
  asked.threads = threads;
  check_ranges(asked);
  if (threads) at::set_num_threads(static_cast<int>(*threads));
  auto model = open_model(open_planned_folder(files));
  const auto vae = model->vae();
  return {std::move(model), parse_device(device), vae};
}

// The autoencoder for clips of such a size, in tiles or whole.
std::unique_ptr<VideoVae> load_vae_for(const VaeModel& model, const ClipSize& clip,
                                       const std::optional<std::string>& dtype,
                                       const std::optional<std::string>& tiling, Observer& observer) {
  const RunShape way{.vae_dtype = parse_vae_dtype(dtype.value_or("auto"), model.device, at::kFloat)};
  const auto asked = parse_tiling(tiling.value_or("auto"));
  const bool tiles = asked.value_or(needs_tiles(*model.model, model.device, clip, way));
  if (tiles && !asked)
    observer.note("--vae-tiling on: in one piece it would take " +
                  bytes_text(static_cast<int64_t>(decoding_bytes(*model.model, model.device, clip, way))) +
                  " of memory");
  auto vae = load_vae(*model.model, {model.device, way.vae_dtype});
  vae->set_tiling(tiles);
  return vae;
}

// What the video says of itself, and what was encoded.
Json provenance_of_video(const EncodeRequest& request, const VideoReader& reader, const VaeModel& model,
                         PixelSize size, int64_t frames) {
  const auto& info = reader.info();
  auto provenance = provenance_in(info.metadata);
  if (provenance.empty()) provenance["t2v"] = version();
  Json encoded = {{"source", std::filesystem::path(request.input).filename().string()},
                  {"model", request.model},
                  {"vae_hash", component_hash(model.model->folder(), "vae")},
                  {"frames", frames},
                  {"width", size.width},
                  {"height", size.height}};
  const double fps = static_cast<double>(info.fps.numerator) / info.fps.denominator;
  if (fps >= least_fps && fps <= most_fps) encoded["fps"] = fps;  // a still image has no rate
  provenance["encoded"] = encoded;
  return provenance;
}

}  // namespace

int64_t decode_latents(const DecodeRequest& request, Observer& observer) {
  const at::NoGradGuard no_grad;
  auto provenance = read_provenance(request.latents);
  const auto stored = decode_settings(provenance, request.latents);
  const auto files = files_of(request, provenance, observer);
  const auto model = open_vae_model(files, request.device, request.threads);
  require_autoencoder(request.latents, provenance, model.model->folder());
  const auto latents = read_latents(request.latents, {1, model.vae.channels, -1, -1, -1});
  auto used = resolve(request, stored, folder_settings(model.model->folder()), files, observer);
  const int64_t ratio = model.vae.spatial_ratio;
  EncoderOptions options{.path = request.output,
                         .width = static_cast<int>(latents.size(3) * ratio),
                         .height = static_cast<int>(latents.size(2) * ratio)};
  options.fps = to_rational(*used.fps);
  options.codec = used.codec;
  options.crf = used.crf;
  options.quality = used.quality;
  options.bitrate = parse_bitrate(used.bitrate);
  options.resize = planned_resize(used.resize, *used.resize_filter);
  const auto compression = plan_compression(options);
  for (const auto& note : compression.notes) observer.note(note);
  options.crf = used.crf = compression.crf;
  options.quality = used.quality = compression.quality;
  if (!compression.bitrate) options.bitrate.reset(), used.bitrate.reset();
  const ClipSize clip{options.width, options.height, model.vae.frames(latents.size(1))};
  const auto vae = load_vae_for(model, clip, used.vae_dtype, used.vae_tiling, observer);
  if (vae->tiling()) used.vae_tiling = "on";
  set_decode_settings(provenance, used, options.width, options.height);
  options.metadata = container_metadata(provenance);
  check_output(options, model.vae.frames(latents.size(1)));
  const auto sink = make_file_sink(options);
  decode_to(*sink, *vae, latents.to(model.device), vae->spec().frames(latents.size(1)), observer);
  if (const auto leftovers = note_on_leftovers(options.path, sink->written())) observer.note(*leftovers);
  return sink->written();
}

EncodeResult encode_video(const EncodeRequest& request, Observer& observer) {
  const at::NoGradGuard no_grad;
  GenerationRequest asked;
  asked.model = request.model;
  GenerationPlan files;
  plan_files(files, asked);
  for (const auto& note : files.notes) observer.note(note);
  const auto model = open_vae_model(files, request.device, request.threads);
  check_latents_name(request.output, "--output");
  check_writable_file(request.output);
  if (request.frames && *request.frames < 1)
    throw Error(ErrorKind::usage, "--frames should be 1 or more, found " + std::to_string(*request.frames));

  const auto reader = open_video(request.input);
  const PixelSize native{reader->info().width, reader->info().height};
  const auto wanted = request.size ? parse_size(*request.size, "--size") : native;
  const auto size = floor_to_multiple(wanted, size_multiple(*model.model));
  if (size != native)
    observer.note("resampled from " + std::to_string(native.width) + "x" + std::to_string(native.height) +
                  " to " + std::to_string(size.width) + "x" + std::to_string(size.height) +
                  " (lanczos): the model takes multiples of " + std::to_string(size_multiple(*model.model)));
  // How many frames there are makes no difference to a stream.
  const ClipSize clip{size.width, size.height, 1 + model.vae.frame_step()};
  const auto vae = load_vae_for(model, clip, request.vae_dtype, request.vae_tiling, observer);
  auto encoding = std::make_unique<EncodingSink>(*vae, model.device);
  const auto& encoded = *encoding;
  std::unique_ptr<FrameSink> sink = std::move(encoding);
  if (size != native)
    sink = make_resizing_sink(std::move(sink), static_cast<int>(native.width),
                              static_cast<int>(native.height),
                              {static_cast<int>(size.width), static_cast<int>(size.height)});
  while (!request.frames || encoded.frames() < *request.frames) {
    observer.check_cancelled();
    const auto frame = reader->read();
    if (!frame) break;
    sink->write(*frame);
    observer.progress({"encode", encoded.frames(), 0});
  }
  sink->finish();
  const auto latents = encoded.latents();
  for (const auto& note : reader->info().notes) observer.note(request.input + ": " + note);
  const auto usable = model.vae.frames(latents.size(1));
  observer.progress({"encode", usable, usable});
  if (usable < encoded.frames())
    observer.note("the first " + std::to_string(usable) + " of " + std::to_string(encoded.frames()) +
                  " frames are encoded: the model takes 1 + " + std::to_string(model.vae.temporal_ratio) +
                  "·k");
  if (!at::isfinite(latents).all().item<bool>())
    throw Error(ErrorKind::non_finite,
                request.input + ": its latents hold NaN or infinity; check the autoencoder's weights");
  save_latents(request.output, latents, provenance_of_video(request, *reader, model, size, usable));
  auto shape = latents.sizes().vec();
  shape.insert(shape.begin(), 1);
  return {usable, shape};
}

}  // namespace t2v
