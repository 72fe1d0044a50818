#include "train/data/latent_cache.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <iterator>

#include "base/json.h"
#include "t2v/error.h"
#include "text/prompt.h"
#include "train/data/scene_helper.h"
#include "train/run/files.h"
#include "weights/safetensors.h"

namespace t2v {

LatentCache::LatentCache(const LatentCacheConfig& config, const VideoVae& vae, const Tokenizer& tokenizer,
                         std::shared_ptr<const ClipSource> source, const Processes& processes)
    : config_(config), vae_(vae), tokenizer_(tokenizer), source_(std::move(source)), processes_(processes) {}

std::filesystem::path LatentCache::shard_path(int64_t shard) const {
  char name[48];
  std::snprintf(name, sizeof name, "latents-%05lld.safetensors", static_cast<long long>(shard));
  return config_.folder / name;
}

void LatentCache::grow(int64_t shards, Workers& workers) {
  while (this->shards() < shards) {
    const int64_t begin = this->shards(), end = std::min(shards, begin + processes_.count());
    const int64_t mine = begin + processes_.rank();
    if (mine < end && read_shard(mine).empty()) write_shard(mine, workers);
    processes_.wait_for_all();
    for (int64_t shard = begin; shard < end; ++shard) {
      auto clips = read_shard(shard);
      if (clips.empty())
        throw Error(ErrorKind::output, shard_path(shard).string() + ": was written by process " +
                                           std::to_string(shard - begin) + " and is not found by process " +
                                           std::to_string(processes_.rank()) +
                                           "; --out should be on a disk that all share");
      clips_.insert(clips_.end(), std::make_move_iterator(clips.begin()),
                    std::make_move_iterator(clips.end()));
    }
  }
}

std::vector<CachedClip> LatentCache::read_shard(int64_t shard) const {
  const auto path = shard_path(shard);
  if (is_absent(path)) return {};
  const auto file = SafetensorsFile::open(path);
  const auto found = file->metadata().find("t2v_latents");
  if (found == file->metadata().end()) return {};
  const auto state = parse_json(found->second, path.string());
  if (json_get<std::string>(state, "fingerprint", path.string()) != config_.fingerprint) return {};
  const auto tokens = json_get<std::vector<std::vector<int64_t>>>(state, "tokens", path.string());
  if (tokens.size() != static_cast<std::size_t>(config_.clips_per_shard)) return {};
  std::vector<CachedClip> clips;
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    const auto known = [&](const std::string& what) {
      const auto name = std::to_string(i) + what;
      return file->entries().contains(name) ? file->tensor(name) : at::Tensor();
    };
    clips.push_back({file->tensor(std::to_string(i)), tokens[i], known(".labels"), known(".words")});
  }
  return clips;
}

void LatentCache::write_shard(int64_t shard, Workers& workers) const {
  std::vector<CachedClip> made(static_cast<std::size_t>(config_.clips_per_shard));
  workers.run(config_.clips_per_shard, [&](int64_t i) {
    const at::NoGradGuard no_grad;
    const auto index = static_cast<uint64_t>(shard * config_.clips_per_shard + i);
    const auto clip = source_->training_clip(config_.seed, index, source_->size_of(config_.seed, index),
                                             config_.frames);
    auto& entry = made[static_cast<std::size_t>(i)];
    entry.latents = vae_.normalise(vae_.encode(clip.frames.to(config_.device)).mean).to(at::kCPU, at::kHalf);
    if (!at::isfinite(entry.latents).all().item<bool>())
      throw Error(ErrorKind::non_finite, "the autoencoder's latents hold NaN or infinity; train it first");
    entry.tokens = tokenizer_
                       .encode(clean_prompt(clip.caption), static_cast<std::size_t>(config_.max_text_tokens))
                       .ids;
    if (clip.objects.empty()) return;
    entry.labels = scene_labels(clip, entry.latents.sizes(), temporal_ratio());
    entry.words = word_labels(clip.objects, entry.tokens, tokenizer_);
  });
  std::vector<std::pair<std::string, at::Tensor>> tensors;
  Json tokens = Json::array();
  for (std::size_t i = 0; i < made.size(); ++i) tensors.emplace_back(std::to_string(i), made[i].latents);
  for (std::size_t i = 0; i < made.size(); ++i) {  // after the latents, which would lie at odd addresses
    if (made[i].labels.defined()) tensors.emplace_back(std::to_string(i) + ".labels", made[i].labels);
    if (made[i].words.defined()) tensors.emplace_back(std::to_string(i) + ".words", made[i].words);
    tokens.push_back(made[i].tokens);
  }
  const Json state = {{"fingerprint", config_.fingerprint}, {"tokens", tokens}};
  save_safetensors(shard_path(shard), tensors, {{"t2v_latents", state.dump()}});
}

}  // namespace t2v
