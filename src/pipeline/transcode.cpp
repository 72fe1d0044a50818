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
#include "pipeline/sizes.h"
#include "video/decoder.h"

namespace t2v {

namespace {

class CollectingSink : public FrameSink {
 public:
  explicit CollectingSink(std::vector<Frame>& frames) : frames_(frames) {}
  void write(const Frame& frame) override { frames_.push_back(frame); }
  void finish() override {}

 private:
  std::vector<Frame>& frames_;
};

struct VaeModel {
  ModelFolder folder;
  ModelConfigs configs;
  at::Device device;
};

VaeModel open_vae_model(const std::string& name, const std::string& device,
                        const std::optional<int64_t>& threads, Observer& observer) {
  if (threads && (*threads < 1 || *threads > 1024))
    throw Error(ErrorKind::usage,
                "--threads should be between 1 and 1024, found " + std::to_string(*threads));
  if (threads) at::set_num_threads(static_cast<int>(*threads));
  auto folder = open_model_folder(find_model(name, [&](const std::string& line) { observer.note(line); }));
  auto configs = read_model_configs(folder);
  return {std::move(folder), std::move(configs), parse_device(device)};
}

}  // namespace

int64_t decode_to_file(const WanVae& vae, const at::Tensor& latents, const EncoderOptions& options,
                       Observer& observer) {
  const int64_t total = (latents.size(1) - 1) * vae.config().temporal_ratio() + 1;
  const auto sink = make_threaded_sink(open_encoder(options));
  int64_t written = 0;
  vae.decode(vae.denormalise(latents), [&](const at::Tensor& part) {
    observer.check_cancelled();
    for (const auto& frame : to_frames(part)) sink->write(frame);
    written += part.size(1);
    observer.progress({"decode", written, total});
  });
  sink->finish();
  return written;
}

int64_t decode_latents(const DecodeRequest& request, Observer& observer) {
  const at::NoGradGuard no_grad;
  const auto model = open_vae_model(request.model, request.device, request.threads, observer);
  const auto latents = read_latents(request.latents, {1, model.configs.vae.z_dim, -1, -1, -1});
  const int64_t ratio = model.configs.vae.spatial_ratio();
  EncoderOptions options{.path = request.output,
                         .width = static_cast<int>(latents.size(3) * ratio),
                         .height = static_cast<int>(latents.size(2) * ratio)};
  options.fps = to_rational(request.fps.value_or(model.folder.defaults.fps.value_or(16)));
  options.crf = static_cast<int>(request.crf);
  options.resize = planned_resize(request.resize, request.resize_filter);
  check_output(options, (latents.size(1) - 1) * model.configs.vae.temporal_ratio() + 1);
  const auto vae = load_vae(model.folder, model.configs, model.device);
  return decode_to_file(vae, latents.to(model.device), options, observer);
}

EncodeResult encode_video(const EncodeRequest& request, Observer& observer) {
  const at::NoGradGuard no_grad;
  const auto model = open_vae_model(request.model, request.device, request.threads, observer);
  check_latents_name(request.output, "--output");
  check_writable_file(request.output);
  if (request.frames && *request.frames < 1)
    throw Error(ErrorKind::usage, "--frames should be 1 or more, found " + std::to_string(*request.frames));

  const auto reader = open_video(request.input);
  const PixelSize native{reader->info().width, reader->info().height};
  const auto wanted = request.size ? parse_size(*request.size, "--size") : native;
  const auto size = floor_to_multiple(wanted, size_multiple(model.configs));
  if (size != native)
    observer.note("resampled from " + std::to_string(native.width) + "x" + std::to_string(native.height) +
                  " to " + std::to_string(size.width) + "x" + std::to_string(size.height) +
                  " (lanczos): the model takes multiples of " + std::to_string(size_multiple(model.configs)));
  std::vector<Frame> frames;
  std::unique_ptr<FrameSink> collect = std::make_unique<CollectingSink>(frames);
  if (size != native)
    collect = make_resizing_sink(std::move(collect), static_cast<int>(native.width),
                                 static_cast<int>(native.height),
                                 {static_cast<int>(size.width), static_cast<int>(size.height)});
  while (!request.frames || static_cast<int64_t>(frames.size()) < *request.frames) {
    observer.check_cancelled();
    const auto frame = reader->read();
    if (!frame) break;
    collect->write(*frame);
    observer.progress({"read", static_cast<int64_t>(frames.size()), 0});
  }
  const int64_t ratio = model.configs.vae.temporal_ratio();
  const auto usable = (static_cast<int64_t>(frames.size()) - 1) / ratio * ratio + 1;
  if (usable < static_cast<int64_t>(frames.size())) {
    observer.note("the first " + std::to_string(usable) + " of " + std::to_string(frames.size()) +
                  " frames are encoded: the model takes 1 + " + std::to_string(ratio) + "·k");
    frames.resize(static_cast<std::size_t>(usable));
  }
  const auto vae = load_vae(model.folder, model.configs, model.device);
  observer.progress({"encode", 0, usable});
  const auto latents = vae.normalise(vae.encode(from_frames(frames).to(model.device)).mean).cpu();
  observer.progress({"encode", usable, usable});
  if (!at::isfinite(latents).all().item<bool>())
    throw Error(ErrorKind::non_finite,
                request.input + ": its latents hold NaN or infinity; check the autoencoder's weights");
  save_latents(request.output, latents,
               {{"source", std::filesystem::path(request.input).filename().string()},
                {"frames", std::to_string(usable)}});
  auto shape = latents.sizes().vec();
  shape.insert(shape.begin(), 1);
  return {usable, shape};
}

}  // namespace t2v
