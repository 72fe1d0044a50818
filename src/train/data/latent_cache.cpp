#include "train/data/latent_cache.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <iterator>
#include <map>

#include "base/json.h"
#include "t2v/error.h"
#include "text/prompt.h"
#include "train/data/scene_helper.h"
#include "train/run/files.h"
#include "weights/safetensors.h"

namespace t2v {

LatentCache::LatentCache(const LatentCacheConfig& config, const VideoVae& vae, const Tokenizer& tokenizer,
                         std::shared_ptr<const ClipSource> source, const Processes& processes)
    : config_(config), vae_(vae), tokenizer_(tokenizer), source_(std::move(source)), processes_(processes) {
  if (config.drawing_threads > 0) drawing_.emplace(config.drawing_threads);
}

std::filesystem::path LatentCache::shard_path(int64_t shard) const {
  char name[48];
  std::snprintf(name, sizeof name, "latents-%05lld.safetensors", static_cast<long long>(shard));
  return config_.folder / name;
}

void LatentCache::grow(int64_t shards, Workers& workers) {
  while (this->shards() < shards) {
    const int64_t begin = this->shards(), end = std::min(shards, begin + processes_.count());
    const int64_t mine = begin + processes_.rank();
    if (mine < end) make_shard(mine, workers);
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

void LatentCache::begin_next(int64_t most) {
  const int64_t mine = shards() + processes_.rank();
  if (!drawing_ || begun_ >= 0 || mine >= most) return;
  begun_ = mine;
  beside_ = std::async(std::launch::async, [this, mine] {
    at::set_num_threads(1);
    if (read_shard(mine).empty()) write_shard(mine, encode_together(mine));
  });
}

void LatentCache::make_shard(int64_t shard, Workers& workers) {
  if (begun_ == shard) {
    begun_ = -1;
    beside_.get();
  } else if (read_shard(shard).empty()) {
    write_shard(shard, drawing_ ? encode_together(shard) : encode_one_by_one(shard, workers));
  }
}

std::vector<CachedClip> LatentCache::encode_one_by_one(int64_t shard, Workers& workers) const {
  std::vector<CachedClip> made(static_cast<std::size_t>(config_.clips_per_shard));
  workers.run(config_.clips_per_shard, [&](int64_t i) {
    const at::NoGradGuard no_grad;
    const auto index = static_cast<uint64_t>(shard * config_.clips_per_shard + i);
    const auto clip = source_->training_clip(config_.seed, index, source_->size_of(config_.seed, index),
                                             config_.frames);
    made[static_cast<std::size_t>(i)] = cached(clip, vae_.encode(clip.frames.to(config_.device)).mean);
  });
  return made;
}

std::vector<CachedClip> LatentCache::encode_together(int64_t shard) {
  const at::NoGradGuard no_grad;
  constexpr int64_t at_once = 32;  // few enough for their frames to be held beside a training step
  std::vector<CachedClip> made(static_cast<std::size_t>(config_.clips_per_shard));
  for (int64_t begin = 0; begin < config_.clips_per_shard; begin += at_once) {
    const int64_t count = std::min(at_once, config_.clips_per_shard - begin);
    std::vector<TrainingClip> clips(static_cast<std::size_t>(count));
    drawing_->run(count, [&](int64_t i) {
      const auto index = static_cast<uint64_t>(shard * config_.clips_per_shard + begin + i);
      clips[static_cast<std::size_t>(i)] = source_->training_clip(
          config_.seed, index, source_->size_of(config_.seed, index), config_.frames);
    });
    std::map<std::vector<int64_t>, std::vector<std::size_t>> by_shape;
    for (std::size_t i = 0; i < clips.size(); ++i) by_shape[clips[i].frames.sizes().vec()].push_back(i);
    for (const auto& [shape, members] : by_shape) {
      std::vector<at::Tensor> frames;
      for (const auto i : members) frames.push_back(clips[i].frames);
      const auto means = vae_.encode_clips(at::stack(frames).to(config_.device)).mean;
      for (std::size_t k = 0; k < members.size(); ++k)
        made[static_cast<std::size_t>(begin) + members[k]] = cached(clips[members[k]],
                                                                    means[static_cast<int64_t>(k)]);
    }
  }
  return made;
}

CachedClip LatentCache::cached(const TrainingClip& clip, const at::Tensor& mean) const {
  CachedClip entry;
  entry.latents = vae_.normalise(mean).to(at::kCPU, at::kHalf);
  if (!at::isfinite(entry.latents).all().item<bool>())
    throw Error(ErrorKind::non_finite, "the autoencoder's latents hold NaN or infinity; train it first");
  entry.tokens = tokenizer_
                     .encode(clean_prompt(clip.caption), static_cast<std::size_t>(config_.max_text_tokens))
                     .ids;
  if (clip.objects.empty()) return entry;
  entry.labels = scene_labels(clip, entry.latents.sizes(), temporal_ratio());
  entry.words = word_labels(clip.objects, entry.tokens, tokenizer_);
  return entry;
}

void LatentCache::write_shard(int64_t shard, const std::vector<CachedClip>& made) const {
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
