// Clips of a model in memory, several in one forward pass: for judging them, without plan, file or encoder.
#pragma once

#include <ATen/core/Tensor.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "pipeline/components.h"
#include "pipeline/sizes.h"
#include "t2v/observer.h"

namespace t2v {

// The networks to be judged, wherever they come from: a model folder or a trainer.
struct WorldNetworks {
  const Model* model = nullptr;
  const TextConditioner* text = nullptr;
  const Denoiser* denoiser = nullptr;
  const VideoVae* vae = nullptr;
  SchedulerConfig scheduler;
  at::Device device = at::kCPU;
};

struct WorldSampling {
  std::string scheduler = "ddim";
  int64_t steps = 20;
  double guidance_scale = 6, guidance_rescale = 0;
  std::string negative_prompt;
  // Of clips longer than `window` frames (pipeline/windows.h); 0: any clip is made in one window.
  int64_t window = 0, overlap = 5, context_noise = 0;
};

// What the model's t2v.json says, and the above where it says nothing.
WorldSampling default_sampling(const ModelConfigs& configs);

// A model folder with its networks loaded.
struct LoadedWorldModel {
  ModelConfigs configs;
  std::unique_ptr<TextConditioner> text;
  std::unique_ptr<Denoiser> denoiser;
  std::unique_ptr<VideoVae> vae;
  at::Device device = at::kCPU;
  WorldNetworks networks() const;
};

// Loads everything, or the autoencoder alone. Throws Error{bad_input}, also when t2v.json says that the model
// does not run at the world's 8 frames per second.
LoadedWorldModel load_world_model(const std::string& name_or_folder, const std::string& device,
                                  const std::string& dtype, bool only_autoencoder);

struct WorldClipRequest {
  std::string prompt;
  PixelSize size;
  int64_t frames = 17;
  uint64_t seed = 0;  // the noise is that of t2v generate with this seed
};

// One clip per request, float32 [3, T, H, W] in [-1, 1], of any sizes and lengths; all of them share each
// forward pass. Throws Error{usage} for sizes and lengths that the autoencoder cannot hold,
// Error{non_finite}.
std::vector<at::Tensor> generate_world_clips(const WorldNetworks& networks,
                                             const std::vector<WorldClipRequest>& requests,
                                             const WorldSampling& sampling, Observer& observer);

// A clip as the autoencoder gives it back.
at::Tensor through_autoencoder(const VideoVae& vae, const at::Tensor& clip);

}  // namespace t2v
