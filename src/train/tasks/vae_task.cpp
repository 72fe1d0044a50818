#include "train/tasks/vae_task.h"

#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <cmath>

namespace t2v {

namespace {

// Weight of every pixel, [B, 1, T, H, W]: more where a pixel differs from the frame before or after.
at::Tensor motion_weights(const at::Tensor& frames, double motion_weight) {
  auto weights = at::ones({frames.size(0), 1, frames.size(2), frames.size(3), frames.size(4)},
                          frames.options());
  if (frames.size(2) < 2 || motion_weight <= 0) return weights;
  // Of a range of 2.
  constexpr double least = 0.05;
  const auto change = (frames.slice(2, 1) - frames.slice(2, 0, -1))
                          .square()
                          .amax(1, /*keepdim=*/true);  // [B, 1, T - 1, H, W]
  const auto moved = change.gt(least * least).to(at::kFloat) * motion_weight;
  weights.slice(2, 1).add_(moved);
  auto earlier = weights.slice(2, 0, -1);
  at::maximum_out(earlier, earlier, moved + 1);
  return weights;
}

double psnr(const at::Tensor& a, const at::Tensor& b) {
  const double error = (a.clamp(-1, 1) - b).square().mean().item<double>() / 4;  // of a range of 2
  return -10 * std::log10(std::max(error, 1e-12));
}

// A window of the clip, in multiples of `multiple` from the corner only by chance: around a track's place in
// the middle frame, else anywhere.
at::Tensor crop_around(const TrainingClip& clip, int64_t width, int64_t height, WorldRandom& random) {
  const int64_t full_width = clip.frames.size(3);
  const int64_t full_height = clip.frames.size(2);
  width = std::min(width, full_width);
  height = std::min(height, full_height);
  double x = random.uniform() * static_cast<double>(full_width);
  double y = random.uniform() * static_cast<double>(full_height);
  if (!clip.tracks.empty()) {
    const auto& track = clip.tracks[random.index(clip.tracks.size())];
    const auto unit = static_cast<double>(std::min(full_width, full_height));
    const auto frame = random.index(track.x.size());
    x = track.x[frame] * unit + static_cast<double>(full_width) / 2 +
        random.uniform(-0.3, 0.3) * static_cast<double>(width);
    y = track.y[frame] * unit + static_cast<double>(full_height) / 2 +
        random.uniform(-0.3, 0.3) * static_cast<double>(height);
  }
  const auto begin = [](double centre, int64_t length, int64_t full) {
    return std::clamp<int64_t>(std::llround(centre) - length / 2, 0, full - length);
  };
  return clip.frames.narrow(2, begin(y, height, full_height), height)
      .narrow(3, begin(x, width, full_width), width);
}

}  // namespace

bool belongs_to_decoder(const std::string& name) {
  return name.starts_with("decoder.") || name.starts_with("post_quant_conv.");
}

VaeTask::VaeTask(std::shared_ptr<const Model> model, const VaeTaskConfig& config, ParameterSet frozen,
                 std::shared_ptr<ClipSource> source)
    : model_(std::move(model)),
      config_(config),
      frozen_(std::move(frozen)),
      source_(std::move(source)),
      batches_(config.drawing_threads,
               [this](int64_t step, int64_t lane) { return make_batch(step, lane); }) {}

std::unique_ptr<VideoVae> VaeTask::network(const ParameterSet& parameters) const {
  ParameterSet all = frozen_;
  all.add("", parameters);
  all.compute_in(parameters.dtypes());
  auto weights = all.weights();
  return model_->make_vae(weights.root());
}

void VaeTask::begin_step(int64_t step, double, Workers&) { step_ = step; }

VaeTask::Batch VaeTask::make_batch(int64_t step, int64_t lane) const {
  WorldRandom random(config_.seed, static_cast<uint64_t>(step * config_.lanes + lane) + (uint64_t{1} << 40));
  double pick = random.uniform();
  std::size_t chosen = 0;
  double total = 0;
  for (const auto& kind : config_.kinds) total += kind.share;
  while (chosen + 1 < config_.kinds.size() && pick * total >= config_.kinds[chosen].share)
    pick -= config_.kinds[chosen++].share / total;
  const auto& kind = config_.kinds[chosen];
  const int64_t count = std::max<int64_t>(1,
                                          config_.pixels_per_lane / (kind.width * kind.height * kind.frames));
  std::vector<at::Tensor> clips;
  for (int64_t i = 0; i < count; ++i) {
    std::size_t size = random.index(source_->sizes().size());
    if (!kind.crop)
      for (size = 0; source_->sizes()[size] != std::array<int64_t, 2>{kind.width, kind.height};) ++size;
    const auto clip = source_->training_clip(config_.seed, random.next() >> 2, size, kind.frames);
    clips.push_back(kind.crop ? crop_around(clip, kind.width, kind.height, random) : clip.frames);
  }
  // Clips of a folder may be shorter than asked for.
  int64_t shortest = kind.frames;
  for (const auto& clip : clips) shortest = std::min(shortest, clip.size(1));
  for (auto& clip : clips) clip = clip.narrow(1, 0, shortest);
  return {at::stack(clips), random.next()};
}

LaneLoss VaeTask::lane_loss(int64_t lane, const ParameterSet& replica) {
  const auto batch = batches_.take(step_, lane);
  const auto device = replica.device();
  const auto frames = batch.frames.to(device);  // [B, 3, T, H, W]
  auto generator = at::detail::createCPUGenerator(batch.noise);

  const auto vae = network(replica);
  at::Tensor mean, logvar;
  {
    const at::AutoGradMode with_encoder(!config_.decoder_only);
    const auto posterior = vae->encode_clips(frames);
    mean = posterior.mean;
    logvar = posterior.logvar;
  }
  const auto latents = mean +
                       config_.latent_noise *
                           at::randn(mean.sizes(), generator, at::TensorOptions(at::kFloat)).to(device);
  const auto error = vae->decode_clips(latents) - frames;
  const auto weights = motion_weights(frames, config_.motion_weight);
  const auto penalty = config_.charbonnier > 0
                           ? (error.square() + config_.charbonnier * config_.charbonnier).sqrt() -
                                 config_.charbonnier
                           : error.square();
  const auto reconstruction = (penalty * weights).mean() / weights.mean();
  // KL(N(mean, noise²) || N(0, 1)) up to a constant; the log variance the encoder states is led to what it
  // is.
  const auto divergence = 0.5 * mean.square().mean();
  const auto stated = (logvar - 2 * std::log(std::max(config_.latent_noise, 1e-6))).square().mean();
  auto loss = reconstruction;
  if (!config_.decoder_only) loss = loss + config_.kl_weight * divergence + 1e-5 * stated;
  return {loss / static_cast<double>(config_.lanes),
          {{"loss", loss.detach()},
           {"weight", at::scalar_tensor(1)},
           {"squared_error", error.detach().square().mean()},
           {"divergence", divergence.detach()},
           {"clips", at::scalar_tensor(frames.size(0))}}};
}

Metrics VaeTask::evaluate(const ParameterSet& average) {
  const at::NoGradGuard no_grad;
  const auto vae = network(average);
  Metrics metrics;
  double sum = 0, begin = 0, end = 0;
  for (int64_t i = 0; i < config_.evaluation_clips; ++i) {
    const auto size = static_cast<std::size_t>(i) % source_->sizes().size();
    const auto frames = source_
                            ->held_out_clip(config_.seed, static_cast<uint64_t>(i), size,
                                            config_.evaluation_frames)
                            .frames.to(average.device());
    const auto decoded = vae->decode(vae->encode(frames).mean);
    const int64_t part = std::min<int64_t>(5, frames.size(1)), last = frames.size(1) - part;
    sum += psnr(decoded, frames);
    begin += psnr(decoded.narrow(1, 0, part), frames.narrow(1, 0, part));
    end += psnr(decoded.narrow(1, last, part), frames.narrow(1, last, part));
  }
  const auto clips = static_cast<double>(config_.evaluation_clips);
  metrics = {{"psnr", sum / clips}, {"psnr_begin", begin / clips}, {"psnr_end", end / clips}};
  return metrics;
}

LatentStatistics measure_latents(const VideoVae& vae, at::Device device, ClipSource& source, uint64_t seed,
                                 int64_t clips, int64_t frames) {
  const at::NoGradGuard no_grad;
  at::Tensor sum, squares;
  double count = 0;
  for (int64_t i = 0; i < clips; ++i) {
    const auto clip = source.training_clip(seed, static_cast<uint64_t>(i),
                                           static_cast<std::size_t>(i) % source.sizes().size(), frames);
    const auto mean = vae.encode(clip.frames.to(device)).mean.to(at::kCPU, at::kDouble);
    sum = i == 0 ? mean.sum({1, 2, 3}) : sum + mean.sum({1, 2, 3});
    squares = i == 0 ? mean.square().sum({1, 2, 3}) : squares + mean.square().sum({1, 2, 3});
    count += static_cast<double>(mean.numel() / mean.size(0));
  }
  LatentStatistics statistics;
  for (int64_t c = 0; c < sum.size(0); ++c) {
    const double mean = sum[c].item<double>() / count;
    statistics.mean.push_back(mean);
    statistics.deviation.push_back(
        std::sqrt(std::max(1e-12, squares[c].item<double>() / count - mean * mean)));
  }
  return statistics;
}

}  // namespace t2v
