// t2v encode: video → latents
#include "cli/app.h"
#include "cli/progress.h"
#include "pipeline/plan/settings.h"
#include "pipeline/transcode.h"

namespace t2v {

void add_encode_command(CLI::App& app) {
  struct Options {
    EncodeRequest request;
    std::string progress = "auto";
  };
  auto options = std::make_shared<Options>();
  auto* command = app.add_subcommand("encode", "Make latents from a video or an image");
  auto& request = options->request;
  command
      ->add_option("input", request.input, "Any file that FFmpeg reads, or a pattern such as frames/%05d.png")
      ->required();
  command->add_option("-o,--output", request.output, "Safetensors file to write")->required();
  command->add_option("-m,--model", request.model, "Model folder, or the name of a shipped model")
      ->capture_default_str();
  command->add_option("--size", request.size, "Resample the frames to WxH first");
  command->add_option("--frames", request.frames, "Encode at most so many frames");
  command->add_option("--device", request.device, "auto, cpu or cuda[:N]")->capture_default_str();
  command->add_option("--vae-dtype", request.vae_dtype, setting_of("vae_dtype").help);
  command->add_option("--vae-tiling", request.vae_tiling, setting_of("vae_tiling").help);
  command->add_option("--threads", request.threads, "CPU threads (all cores when absent)");
  command->add_option("--progress", options->progress, progress_help)->capture_default_str();
  command->footer(
      "Example:\n  t2v encode clip.mp4 --size 128x128 -o clip.safetensors && t2v decode clip.safetensors -o "
      "again.mp4");
  command->callback([options] {
    telling_failure(options->progress, [&] {
      const auto observer = make_progress(options->progress);
      const auto result = encode_video(options->request, *observer);
      std::string shape;
      for (const auto size : result.latent_shape)
        shape += (shape.empty() ? "[" : ", ") + std::to_string(size);
      observer->note(options->request.output + ": " + std::to_string(result.frames) + " frames as latents " +
                     shape + "]");
      print_line(options->request.output);
    });
  });
}

}  // namespace t2v
