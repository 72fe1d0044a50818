// Clips as the transformer is trained on them: latents and token ids, encoded once and kept on disk.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <filesystem>
#include <future>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "models/video_vae.h"
#include "text/tokenizer.h"
#include "train/data/clip_source.h"
#include "train/loop/distributed.h"
#include "train/loop/workers.h"

namespace t2v {

// Its tensors are not to be written to: they are views of the shard's file.
struct CachedClip {
  at::Tensor latents;           // float16 [z, T, H, W], normalised
  std::vector<int64_t> tokens;  // of the caption
  at::Tensor labels;            // scene_labels, if the source knows its objects
  at::Tensor words;             // word_labels, likewise
};

struct LatentCacheConfig {
  std::filesystem::path folder;
  std::string fingerprint;  // of autoencoder, source and tokenizer: a shard of another one is made anew
  uint64_t seed = 1;
  int64_t clips_per_shard = 256;
  int64_t frames = 17;  // the autoencoder is causal: the first latents of a clip are those of a shorter one
  int64_t max_text_tokens = 32;
  at::Device device = at::kCPU;  // the autoencoder's; the clips are held on the CPU
  // 0: clips are drawn and encoded one by one on the workers that grow() is given, which suits a CPU.
  // Otherwise they are drawn on so many threads of the cache's own and encoded many at once, which suits a
  // card; the latents are those of the other way but for rounding.
  int64_t drawing_threads = 0;
};

// Grows shard by shard; what shard k holds depends on the settings and k alone. Processes share the work and
// the files: each encodes its part of the shards, and maps all of them.
class LatentCache {
 public:
  LatentCache(const LatentCacheConfig& config, const VideoVae& vae, const Tokenizer& tokenizer,
              std::shared_ptr<const ClipSource> source, const Processes& processes);

  // Makes sure that there are so many shards: those that are not on disk are encoded on the workers' threads
  // and written. All processes call it together. Throws Error{output} when a shard cannot be written or is
  // not found after another process has written it, Error{bad_input} for a damaged one, Error{non_finite}.
  void grow(int64_t shards, Workers& workers);
  // Begins this process's next shard beside what the caller goes on to do, with drawing threads; does nothing
  // without, or when there are `most` shards already.
  void begin_next(int64_t most);
  int64_t shards() const { return static_cast<int64_t>(clips_.size()) / config_.clips_per_shard; }
  std::size_t clips_in(int64_t shards) const {
    return static_cast<std::size_t>(shards * config_.clips_per_shard);
  }
  const CachedClip& operator[](std::size_t index) const { return clips_[index]; }
  const Processes& processes() const { return processes_; }
  // Frames to a latent frame, after the first.
  int64_t temporal_ratio() const { return vae_.spec().temporal_ratio; }

 private:
  // The clips of a shard on disk; nothing when it is not there or is of other settings.
  std::vector<CachedClip> read_shard(int64_t shard) const;
  void make_shard(int64_t shard, Workers& workers);
  std::vector<CachedClip> encode_one_by_one(int64_t shard, Workers& workers) const;
  std::vector<CachedClip> encode_together(int64_t shard);
  CachedClip cached(const TrainingClip& clip, const at::Tensor& mean) const;
  void write_shard(int64_t shard, const std::vector<CachedClip>& clips) const;
  std::filesystem::path shard_path(int64_t shard) const;

  LatentCacheConfig config_;
  const VideoVae& vae_;
  const Tokenizer& tokenizer_;
  std::shared_ptr<const ClipSource> source_;
  const Processes& processes_;
  std::vector<CachedClip> clips_;
  std::optional<Workers> drawing_;
  int64_t begun_ = -1;  // the shard that is made beside
  std::future<void> beside_;
};

}  // namespace t2v
