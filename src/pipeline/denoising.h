// From noise to latents: packs of clips, denoised by one thread or several side by side.
#pragma once

#include <ATen/core/Tensor.h>

#include <atomic>
#include <filesystem>
#include <functional>
#include <shared_mutex>
#include <string>
#include <vector>

#include "models/wan_transformer.h"
#include "pipeline/clip_task.h"
#include "pipeline/components.h"
#include "pipeline/reporter.h"

namespace t2v {

struct DenoisingOptions {
  std::size_t workers = 1;  // packs under way at once
  int threads = 1;          // of a worker whose pack is large
  int64_t token_budget = 1;
  bool release_memory = false;              // after each pack
  std::optional<int64_t> checkpoint_every;  // steps
  std::function<std::filesystem::path(const PlannedClip&)> checkpoint_path;
  std::function<std::string()> model_hash;
  std::function<Error(const ClipTask&)> out_of_memory;  // what is said of a clip that does not fit even by
                                                        // itself
};

// What happens to a clip after its last step.
struct LatentsReceiver {
  std::function<void(const ClipTask&, const at::Tensor& latents)> hand_over;  // [C, T, H, W]
  std::function<std::string(const ClipTask&)> obstacle;  // why it should not be begun; empty: nothing is in
                                                         // its way
};

class Denoising {
 public:
  // texts: embeddings [max_text_tokens, text_dim], which the tasks point into. memory: shared by what runs
  // side by side, held alone by a clip that found no memory beside the others.
  Denoising(const WanTransformer& transformer, const ModelConfigs& configs, at::Device device,
            const std::vector<at::Tensor>& texts, DenoisingOptions options, std::shared_mutex& memory,
            Reporter& reporter, LatentsReceiver receiver);

  // Denoises all tasks and hands their latents over. A pack that fails is halved until the clip that fails
  // stands alone; its error goes to the reporter.
  void run(std::vector<ClipTask>& tasks);

 private:
  using Pack = std::vector<ClipTask*>;

  void work(const std::vector<Pack>& packs);
  void denoise(const Pack& pack);
  void halve(const Pack& pack);
  bool is_quicker_on_one_thread(const ClipTask& task) const;
  // The latents of each clip; of a clip by itself once more, with nothing beside it, when memory does not
  // suffice.
  std::vector<at::Tensor> sample_in_memory(const Pack& pack);
  std::vector<at::Tensor> sample_pack(const Pack& pack);
  TextContext text_context(const Pack& pack, std::size_t padding_segments) const;

  const WanTransformer& transformer_;
  const ModelConfigs& configs_;
  at::Device device_;
  const std::vector<at::Tensor>& texts_;
  DenoisingOptions options_;
  std::shared_mutex& memory_;
  Reporter& reporter_;
  LatentsReceiver receiver_;
  PatchSize patch_;
  std::atomic<std::size_t> next_pack_{0};
};

}  // namespace t2v
