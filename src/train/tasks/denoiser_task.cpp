#include "train/tasks/denoiser_task.h"

#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <map>

#include "nn/ops.h"
#include "tokens/packed_tokens.h"
#include "train/data/scene_helper.h"

namespace t2v {

namespace {

// The captions of a batch, each different one once.
struct EncodedTexts {
  std::vector<TextStates> texts;
  std::vector<int64_t> text_of_segment;
};

// Captions of equal length are encoded together.
EncodedTexts encode_texts(const TextEncoder& encoder,
                          const std::vector<const std::vector<int64_t>*>& captions, int64_t max_tokens,
                          at::Device device) {
  std::map<std::size_t, std::map<std::vector<int64_t>, int64_t>> by_length;  // length → caption → its text
  for (const auto* caption : captions) by_length[caption->size()].emplace(*caption, 0);
  EncodedTexts encoded;
  for (auto& [length, members] : by_length) {
    std::vector<int64_t> ids;
    for (const auto& [caption, text] : members) ids.insert(ids.end(), caption.begin(), caption.end());
    const auto batch = at::tensor(ids, at::TensorOptions(at::kLong))
                           .view({static_cast<int64_t>(members.size()), -1})
                           .to(device);
    const auto states = encoder.forward(batch).unbind(0);
    std::size_t next = 0;
    for (auto& [caption, text] : members) {
      text = static_cast<int64_t>(encoded.texts.size());
      encoded.texts.push_back({{states[next++]}, max_tokens});
    }
  }
  for (const auto* caption : captions)
    encoded.text_of_segment.push_back(by_length[caption->size()][*caption]);
  return encoded;
}

// The text encoder's outputs at the words that have labels.
struct LabelledWords {
  at::Tensor states;  // [N, d_model]
  at::Tensor labels;  // int64 [N, kWordLabels]
};

// words: for each segment word_labels of its caption, or undefined.
LabelledWords labelled_words(const std::vector<at::Tensor>& words, const EncodedTexts& encoded) {
  std::vector<int64_t> begins = {0};  // of the texts' rows below each other
  std::vector<at::Tensor> rows;
  for (const auto& text : encoded.texts) {
    rows.push_back(text.states.front());
    begins.push_back(begins.back() + rows.back().size(0));
  }
  std::vector<int64_t> places, labels;
  for (std::size_t segment = 0; segment < words.size(); ++segment) {
    if (!words[segment].defined()) continue;
    const auto begin = begins[static_cast<std::size_t>(encoded.text_of_segment[segment])];
    const auto of_token = words[segment].accessor<uint8_t, 2>();
    for (int64_t i = 0; i < of_token.size(0); ++i) {
      if (of_token[i][0] == 0) continue;
      places.push_back(begin + i);
      for (int64_t k = 0; k < kWordLabels; ++k) labels.push_back(of_token[i][k]);
    }
  }
  const auto options = at::TensorOptions(at::kLong);
  const auto all = at::cat(rows);
  return {rows_at(all, at::tensor(places, options).to(all.device())),
          at::tensor(labels, options).view({-1, kWordLabels}).to(all.device())};
}

// What one of a token's cells shows, any that shows something: what most of them show would miss small
// things. patches: [N, kSceneLabels·cells].
at::Tensor token_labels(const at::Tensor& patches) {
  const auto cells = patches.view({patches.size(0), kSceneLabels, -1});
  const auto place = cells.select(1, 0).argmax(1).view({-1, 1, 1});
  return cells.gather(2, place.expand({-1, kSceneLabels, 1})).squeeze(2);
}

}  // namespace

DenoiserTask::DenoiserTask(std::shared_ptr<const Model> model, const DenoiserTaskConfig& config,
                           std::shared_ptr<LatentCache> cache, std::vector<CachedClip> held_out)
    : model_(std::move(model)),
      config_(config),
      objective_(config.objective),
      cache_(std::move(cache)),
      held_out_(std::move(held_out)),
      noise_(config.drawing_threads, [this](int64_t step, int64_t lane) {
        const auto stream = static_cast<uint64_t>(step * config_.lanes + lane) + (uint64_t{3} << 40);
        return make_noise(WorldRandom(config_.seed, stream).next(), config_.tokens_per_lane);
      }) {}

at::Tensor DenoiserTask::make_noise(uint64_t seed, int64_t tokens) const {
  const auto patch = model_->patch_size();
  const int64_t numbers = model_->vae().channels * patch.t * patch.h * patch.w;
  auto generator = at::detail::createCPUGenerator(seed);
  return at::randn({tokens * numbers}, generator, at::TensorOptions(at::kFloat)).to(config_.device);
}

int64_t DenoiserTask::tokens_of(const at::Tensor& latents) const {
  return token_grid(latents.sizes(), model_->patch_size()).count();
}

int64_t DenoiserTask::draw_length(WorldRandom& random, double progress) const {
  const auto share = [&](const LengthShare& length) {
    return length.first + (length.last - length.first) * progress;
  };
  double total = 0;
  for (const auto& length : config_.lengths) total += share(length);
  double pick = random.uniform() * total;
  for (const auto& length : config_.lengths)
    if ((pick -= share(length)) < 0) return length.frames;
  return config_.lengths.back().frames;
}

int64_t DenoiserTask::shards_at(int64_t step) const {
  const int64_t more = config_.steps_per_shard > 0 ? step / config_.steps_per_shard : 0;
  return std::min(config_.most_shards, config_.first_shards + more);
}

TrainingTask::Preparation DenoiserTask::prepare(int64_t step, Workers& workers) {
  const int64_t total = shards_at(step);
  if (cache_->shards() < total)
    cache_->grow(std::min(total, cache_->shards() + cache_->processes().count()), workers);
  return {cache_->shards(), total};
}

void DenoiserTask::begin_step(int64_t step, double progress, Workers& workers) {
  step_ = step;
  helper_weight_ = config_.helper_weight * std::max(0.0, 1 - progress / std::max(1e-9, config_.helper_share));
  const int64_t shards = shards_at(step);
  cache_->grow(shards, workers);
  if (config_.steps_per_shard > 0) cache_->begin_next(config_.most_shards);
  WorldRandom random(config_.seed, static_cast<uint64_t>(step) + (uint64_t{2} << 40));
  lanes_.assign(static_cast<std::size_t>(config_.lanes), {});
  std::vector<int64_t> room(lanes_.size(), config_.tokens_per_lane);
  // Greedy packing (Dehghani et al. 2023, NaViT): a clip goes into the first lane with room for it; the step
  // is full when one finds none.
  for (;;) {
    const auto& clip = (*cache_)[random.index(cache_->clips_in(shards))];
    Sample sample;
    sample.frames = draw_length(random, progress);
    const int64_t latent_frames = (sample.frames - 1) / cache_->temporal_ratio() + 1;
    sample.latents = clip.latents.narrow(1, 0, std::min(clip.latents.size(1), latent_frames));
    if (helper_weight_ > 0) sample.labels = clip.labels.narrow(1, 0, sample.latents.size(1));
    const bool dropped = random.uniform() < config_.caption_dropout;
    sample.caption = dropped ? &config_.empty_caption : &clip.tokens;
    if (helper_weight_ > 0 && !dropped) sample.words = clip.words;
    sample.levels = objective_.draw(sample.latents.size(1), random);
    const int64_t tokens = tokens_of(sample.latents);
    std::size_t lane = 0;
    while (lane < lanes_.size() && room[lane] < tokens) ++lane;
    if (lane == lanes_.size()) break;
    room[lane] -= tokens;
    lanes_[lane].push_back(std::move(sample));
  }
  step_weight_ = 0;
  for (auto& lane : lanes_) {
    // Clips of one shape next to each other: attention and the noise then run over them as a batch.
    std::stable_sort(lane.begin(), lane.end(), [](const Sample& a, const Sample& b) {
      return a.latents.sizes().vec() < b.latents.sizes().vec();
    });
    for (const auto& sample : lane)
      for (const auto& level : sample.levels)
        step_weight_ += level.weight * static_cast<double>(tokens_of(sample.latents)) /
                        static_cast<double>(sample.levels.size());
  }
}

LaneLoss DenoiserTask::loss_of(const ParameterSet& parameters, const std::vector<Sample>& samples,
                               double helper_weight, const at::Tensor& all_noise) const {
  const auto device = parameters.device();
  auto transformer_weights = parameters.part("transformer.").weights();
  auto text_weights = parameters.part("text_encoder.").weights();
  const auto transformer = model_->make_denoiser(transformer_weights.root(), device, config_.recompute);
  const auto encoder = model_->make_text_encoder(text_weights.root());

  std::vector<const std::vector<int64_t>*> captions;
  std::vector<at::Tensor> words;
  for (const auto& sample : samples) {
    captions.push_back(sample.caption);
    words.push_back(sample.words);
  }
  const auto texts = encode_texts(*encoder, captions, config_.max_text_tokens, device);

  int64_t noise_begin = 0;
  std::vector<Clip> noisy;
  std::vector<at::Tensor> targets, timesteps, weights, labels;
  struct Group {
    int64_t frames, tokens;
  };
  std::vector<Group> groups;
  for (std::size_t begin = 0; begin < samples.size();) {
    const auto shape = samples[begin].latents.sizes().vec();
    std::size_t end = begin;
    std::vector<at::Tensor> clips;
    std::vector<float> numbers;
    for (; end < samples.size() && samples[end].latents.sizes() == at::IntArrayRef(shape); ++end) {
      clips.push_back(samples[end].latents);
      if (helper_weight > 0)
        labels.push_back(token_labels(patchify(samples[end].labels, model_->patch_size())));
      for (const auto& level : samples[end].levels)
        numbers.insert(numbers.end(), {level.timestep, level.alpha, level.sigma, level.weight});
    }
    const auto count = static_cast<int64_t>(end - begin);
    const auto table = at::tensor(numbers, at::TensorOptions(at::kFloat)).view({count * shape[1], 4});
    const auto levels = table.to(device);  // [B·T, 4]
    const auto per_frame = [&](int64_t column) { return levels.select(1, column).view({1, -1, 1, 1}); };
    // [C, B·T, H, W]
    const auto clean = at::stack(clips).to(device, at::kFloat).transpose(0, 1).flatten(1, 2);
    const auto noise = all_noise.narrow(0, noise_begin, clean.numel()).view(clean.sizes()).to(device);
    noise_begin += clean.numel();
    const auto grid = token_grid(shape, model_->patch_size());
    const int64_t in_frame = grid.h * grid.w;
    for (const auto& clip : (per_frame(1) * clean + per_frame(2) * noise).split(shape[1], 1))
      noisy.push_back({clip, {}});
    targets.push_back(
        patchify(objective_.target(clean, noise, per_frame(1), per_frame(2)), model_->patch_size()));
    timesteps.push_back(table.select(1, 0).repeat_interleave(in_frame));
    weights.push_back(levels.select(1, 3).repeat_interleave(in_frame));
    groups.push_back({samples[begin].frames, count * grid.count()});
    begin = end;
  }
  auto tokens = pack(noisy, model_->patch_size());
  tokens.texts = texts.text_of_segment;
  set_timesteps(tokens, at::cat(timesteps));
  const auto conditioning = transformer->prepare(tokens, texts.texts);
  const auto weight = at::cat(weights);
  at::Tensor middle;
  const auto predicted = transformer->predict(tokens, *conditioning, helper_weight > 0 ? &middle : nullptr);
  const auto errors = (predicted - at::cat(targets)).square().mean(1) * weight;  // [N]
  LaneLoss found{errors.sum(),
                 {{"clips", at::scalar_tensor(static_cast<int64_t>(samples.size()))},
                  {"tokens", at::scalar_tensor(tokens.values.size(0))},
                  {"padding", at::scalar_tensor(0)},
                  {"flops", at::scalar_tensor(3 * model_->costs().flops(tokens.values.size(0)),
                                              at::TensorOptions(at::kDouble))},
                  {"loss", errors.detach().sum()},
                  {"weight", weight.sum()}}};
  if (helper_weight > 0) {
    const auto helper = parameters.part("helper.");
    const auto& layers = helper.list();
    const auto named = scene_helper_loss(middle, layers[0].value, layers[1].value,
                                         at::cat(labels).to(at::kLong).to(device));
    const auto said = labelled_words(words, texts);
    const auto understood = word_helper_loss(said.states, layers[2].value, layers[3].value, said.labels);
    const int64_t count = said.labels.size(0);
    // The mean over words counts as much as the mean over tokens.
    const double tokens_of_word = static_cast<double>(tokens.values.size(0)) /
                                  static_cast<double>(std::max<int64_t>(1, count));
    found.loss = found.loss + helper_weight * (named + tokens_of_word * understood);
    found.metrics["helper_loss"] = named.detach();
    found.metrics["word_loss"] = understood.detach();
    found.metrics["word_loss_weight"] = at::scalar_tensor(count);
  }
  const at::NoGradGuard no_grad;
  const auto add = [&](int64_t frames, const at::Tensor& error, const at::Tensor& of) {
    const auto name = "loss_" + std::to_string(frames);
    for (const auto& [key, value] : {std::pair(name, error), std::pair(name + "_weight", of)}) {
      auto& sum = found.metrics[key];
      sum = sum.defined() ? sum + value : value;
    }
  };
  const auto none = at::scalar_tensor(0, errors.options());
  for (const auto& length : config_.lengths)
    add(length.frames, none, none);  // every lane names the same metrics, whatever it holds
  int64_t at_token = 0;
  for (const auto& group : groups) {
    add(group.frames, errors.narrow(0, at_token, group.tokens).sum(),
        weight.narrow(0, at_token, group.tokens).sum());
    at_token += group.tokens;
  }
  return found;
}

LaneLoss DenoiserTask::lane_loss(int64_t lane, const ParameterSet& replica) {
  const auto& samples = lanes_[static_cast<std::size_t>(lane)];
  auto found = loss_of(replica, samples, helper_weight_, noise_.take(step_, lane));
  found.loss = found.loss / step_weight_;
  return found;
}

Metrics DenoiserTask::evaluate(const ParameterSet& average) {
  Metrics sums;
  constexpr int64_t clips_at_once = 16;
  for (std::size_t begin = 0; begin < held_out_.size(); begin += clips_at_once) {
    std::vector<Sample> samples;
    for (std::size_t i = begin; i < std::min(held_out_.size(), begin + clips_at_once); ++i) {
      const auto& clip = held_out_[i];
      const auto level = objective_.level((static_cast<double>(i % 8) + 0.5) / 8);
      samples.push_back({clip.latents,
                         {},
                         {},
                         &clip.tokens,
                         cache_->temporal_ratio() * (clip.latents.size(1) - 1) + 1,
                         std::vector<TrainingLevel>(static_cast<std::size_t>(clip.latents.size(1)), level)});
    }
    std::stable_sort(samples.begin(), samples.end(), [](const Sample& a, const Sample& b) {
      return a.latents.sizes().vec() < b.latents.sizes().vec();
    });
    int64_t tokens = 0;
    for (const auto& sample : samples) tokens += tokens_of(sample.latents);
    for (const auto& [name, value] : loss_of(average, samples, 0, make_noise(begin + 1, tokens)).metrics)
      sums[name] += value.item<double>();
  }
  return {{"held_out_loss", sums["loss"] / std::max(1e-12, sums["weight"])}};
}

}  // namespace t2v
