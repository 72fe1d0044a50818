// Training the autoencoder: reconstruction with noise on the latents.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "models/model.h"
#include "train/data/ahead.h"
#include "train/data/clip_source.h"
#include "train/tasks/task.h"

namespace t2v {

// One kind of clip that a lane may draw.
struct VaeClipKind {
  int64_t width = 64, height = 64, frames = 17;  // of what the autoencoder sees
  double share = 1;                              // of the lanes
  bool crop = false;  // a window around something that moves, out of a clip of a trained size
};

struct VaeTaskConfig {
  uint64_t seed = 1;
  int64_t lanes = 8;
  int64_t pixels_per_lane = 70'000;  // clips of one kind are put together up to so many pixels, at least one
  std::vector<VaeClipKind> kinds = {{}};
  double latent_noise = 0.12;  // standard deviation of the noise that the decoder has to live with: the
                               // posterior's, and what makes the latents smooth
  double kl_weight = 1e-4;     // of the divergence from N(0, 1), per latent number, against the squared error
                               // per pixel value
  double motion_weight = 3;    // how much more a pixel counts that differs from the frame before or after
  double charbonnier = 0;      // 0: squared error; otherwise sqrt(error² + c²) - c
  bool decoder_only = false;   // the encoder stays as it is
  int64_t evaluation_clips = 24;
  int64_t evaluation_frames = 0;  // 0: as many as the model's own clips have, or the longest trained on
  int64_t drawing_threads = 1;    // that make the next step's clips beside the step; they change no number
};

// Of a parameter by its name: what a task with decoder_only trains.
bool belongs_to_decoder(const std::string& name);

// The parameters of a task are those of the whole autoencoder; with decoder_only only the decoder's.
class VaeTask : public TrainingTask {
 public:
  // frozen: the encoder's parameters with decoder_only, else empty.
  VaeTask(std::shared_ptr<const Model> model, const VaeTaskConfig& config, ParameterSet frozen,
          std::shared_ptr<ClipSource> source);

  void begin_step(int64_t step, double progress, Workers& workers) override;
  int64_t lanes() const override { return config_.lanes; }
  LaneLoss lane_loss(int64_t lane, const ParameterSet& replica) override;
  // "psnr": of whole held-out clips, decoded from the mean, in dB, mean over clips; "psnr_begin", "psnr_end":
  // of their first and last five frames, between which an autoencoder that drifts loses.
  Metrics evaluate(const ParameterSet& average) override;

 private:
  struct Batch {
    at::Tensor frames;  // [B, 3, T, H, W]
    uint64_t noise;     // its seed
  };
  Batch make_batch(int64_t step, int64_t lane) const;
  std::unique_ptr<VideoVae> network(const ParameterSet& parameters) const;

  std::shared_ptr<const Model> model_;
  VaeTaskConfig config_;
  ParameterSet frozen_;
  std::shared_ptr<ClipSource> source_;
  int64_t step_ = 0;
  Ahead<Batch> batches_;
};

// Mean and standard deviation of each latent channel over `clips` clips of `frames` frames, for the config
// (latents_mean, latents_std). device: the autoencoder's.
struct LatentStatistics {
  std::vector<double> mean, deviation;
};
LatentStatistics measure_latents(const VideoVae& vae, at::Device device, ClipSource& source, uint64_t seed,
                                 int64_t clips, int64_t frames);

}  // namespace t2v
