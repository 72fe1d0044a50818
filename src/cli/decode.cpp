// t2v decode: latents → video
#include "cli/app.h"
#include "cli/progress.h"
#include "pipeline/plan/settings.h"
#include "pipeline/transcode.h"

namespace t2v {

void add_decode_command(CLI::App& app) {
  struct Options {
    DecodeRequest request;
    std::string progress = "auto";
  };
  auto options = std::make_shared<Options>();
  auto* command = app.add_subcommand("decode", "Make a video from latents");
  auto& request = options->request;
  command
      ->add_option("latents", request.latents,
                   "Safetensors file with tensor 'latents' [1, C, T, H, W], as --save-latents writes it")
      ->required();
  command
      ->add_option("-o,--output", request.output,
                   "File: .mp4 .mov .mkv .webm .avi .gif .webp .y4m, %05d.png for a sequence, - for y4m on "
                   "stdout")
      ->required();
  command->add_option("-m,--model", request.model, "Model folder, or the name of a shipped model");
  command
      ->add_option_function<std::string>(
          "--fps",
          [options](const std::string& text) { options->request.fps = parse_fraction(text, "--fps"); },
          "Frames per second, also as 24000/1001")
      ->type_name("NUMBER");
  command->add_option("--resize", request.resize, "Resample the frames to WxH");
  command->add_option("--resize-filter", request.resize_filter, "lanczos or nearest")
      ->check(CLI::IsMember({"lanczos", "nearest"}));
  command->add_option("--codec", request.codec,
                      "h264, hevc, prores, ffv1, av1, vp9, or png16: what the file's name takes");
  command->add_option("--crf", request.crf, "Constant quality as the codec counts it, 0 is the best");
  command->add_option("--quality", request.quality, "The same for every codec: 0 to 100, the best");
  command->add_option("--bitrate", request.bitrate, "In place of a quality: bits per second, 4M or 800k");
  command->add_option("--device", request.device, "auto, cpu or cuda[:N]")->capture_default_str();
  command->add_option("--vae-dtype", request.vae_dtype, setting_of("vae_dtype").help);
  command->add_option("--vae-tiling", request.vae_tiling, setting_of("vae_tiling").help);
  command->add_option("--threads", request.threads, "CPU threads (all cores when absent)");
  command->add_option("--progress", options->progress, progress_help)->capture_default_str();
  command->footer(
      "Model, rate, resizing, quality, and the autoencoder's dtype and tiles are those that the latents "
      "were\n"
      "made for, as their file says, and otherwise those of generate. Latents of another autoencoder than "
      "the model's are refused.\n\n"
      "Example:\n  t2v decode clip.safetensors -o clip.mp4 --resize 640x384");
  command->callback([options] {
    telling_failure(options->progress, [&] {
      if (options->request.output == "-") require_own_stdout(options->progress, "the video of -o -");
      const auto observer = make_progress(options->progress);
      const auto frames = decode_latents(options->request, *observer);
      observer->note(options->request.output + ": " + std::to_string(frames) + " frames");
      if (options->request.output != "-") print_line(options->request.output);
    });
  });
}

}  // namespace t2v
