#include "pipeline/run/sampling.h"

#include <ATen/ATen.h>

#include <cmath>
#include <numbers>
#include <string>

#include "nn/ops.h"
#include "pipeline/run/finite_check.h"
#include "t2v/error.h"

namespace t2v {

namespace {

// Where each clip stands among the values of the first branches, and where its unconditional branch begins.
struct Branches {
  std::vector<int64_t> begins;         // [clips + 1]
  std::vector<int64_t> unconditional;  // [clips]; -1 without guidance
  int64_t count() const { return begins.back(); }
};

Branches branches_of(const PackedTokens& tokens, const std::vector<Guidance>& guidance) {
  const auto clips = guidance.size();
  Branches branches;
  branches.begins.assign(tokens.segments.begin(),
                         tokens.segments.begin() + static_cast<std::ptrdiff_t>(clips) + 1);
  std::size_t segment = clips;
  for (const auto& of_clip : guidance)
    branches.unconditional.push_back(of_clip.scale > 1 ? tokens.segments[segment++] : -1);
  if (segment + 1 != tokens.segments.size())
    throw Error(ErrorKind::internal, "sampling: " + std::to_string(tokens.segment_count()) +
                                         " segments, expected " + std::to_string(segment));
  return branches;
}

// The values of the first branches, and once more those of the clips with guidance.
at::Tensor for_all_branches(const at::Tensor& values, const Branches& branches) {
  std::vector<at::Tensor> parts;
  parts.push_back(values);
  for (std::size_t clip = 0; clip < branches.unconditional.size(); ++clip)
    if (branches.unconditional[clip] >= 0)
      parts.push_back(values.slice(0, branches.begins[clip], branches.begins[clip + 1]));
  return parts.size() == 1 ? values : at::cat(parts);
}

// The rows of each clip that are not known in all cells, where some are: what its rescaling is measured on.
// known: as PackedTokens has it.
std::vector<at::Tensor> new_rows(const at::Tensor& known, const Branches& branches, at::Device device) {
  std::vector<at::Tensor> rows(branches.unconditional.size());
  for (std::size_t clip = 0; clip < rows.size() && known.defined(); ++clip) {
    const auto is_new = known.slice(0, branches.begins[clip], branches.begins[clip + 1])
                            .all(1)
                            .logical_not()
                            .nonzero()
                            .squeeze(1);
    if (is_new.numel() > 0) rows[clip] = is_new.to(device);  // else nothing of the clip is made
  }
  return rows;
}

at::Tensor guided(const at::Tensor& prediction, const Branches& branches, double timestep,
                  const std::vector<Guidance>& guidance, const std::vector<at::Tensor>& rows) {
  std::vector<at::Tensor> parts;
  for (std::size_t clip = 0; clip < guidance.size(); ++clip) {
    const auto length = branches.begins[clip + 1] - branches.begins[clip];
    const auto conditional = prediction.narrow(0, branches.begins[clip], length);
    if (branches.unconditional[clip] < 0) {
      parts.push_back(conditional);
      continue;
    }
    const auto unconditional = prediction.narrow(0, branches.unconditional[clip], length);
    const double rescale = guidance[clip].rescale;
    auto combined = unconditional + guidance[clip].scale_at(timestep) * (conditional - unconditional);
    // A clip whose prediction does not vary has nothing to be scaled by; its NaN would be called the
    // network's.
    const auto spread = [&](const at::Tensor& x) {
      return (rows[clip].defined() ? rows_at(x, rows[clip]) : x).std();
    };
    if (rescale > 0)
      combined = combined *
                 (rescale * (spread(conditional) / spread(combined).clamp_min(1e-12)) + (1 - rescale));
    parts.push_back(combined);
  }
  return parts.size() == 1 ? parts[0] : at::cat(parts);
}

at::Tensor predict(const Denoiser& denoiser, const PackedTokens& tokens, const std::vector<Pass>& passes) {
  if (passes.size() == 1) return denoiser.predict(tokens, *passes[0].conditioning);
  std::vector<at::Tensor> parts;
  for (const auto& pass : passes)
    parts.push_back(denoiser.predict(segments_of(tokens, pass.begin, pass.end), *pass.conditioning));
  return at::cat(parts);
}

}  // namespace

double Guidance::scale_at(double timestep) const {
  const auto own = is_first_expert(timestep, boundary) ? scale : scale_2;
  if (!cosine_steps) return own;
  const auto steps = static_cast<double>(*cosine_steps);
  return 1 + own * ((1 - std::cos(std::numbers::pi * std::pow((steps - timestep) / steps, 5.0))) / 2);
}

std::vector<Pass> prepare_passes(const Denoiser& denoiser, const PackedTokens& tokens,
                                 const std::vector<TextStates>& texts, const std::vector<Guidance>& guidance,
                                 bool branches_in_turn) {
  const auto clips = guidance.size(), all = tokens.segments.size() - 1;
  if (!branches_in_turn || all == clips) return {{0, all, denoiser.prepare(tokens, texts)}};
  return {{0, clips, denoiser.prepare(segments_of(tokens, 0, clips), texts)},
          {clips, all, denoiser.prepare(segments_of(tokens, clips, all), texts)}};
}

namespace {

// What is put back after each step.
class Restoring {
 public:
  Restoring(const PackedTokens& tokens, const at::Tensor& values, const std::optional<KnownContent>& known)
      : given_(values), known_(known) {
    if (!tokens.known.defined()) return;
    const auto cells = tokens.known.narrow(0, 0, values.size(0));  // [n, pt·ph·pw]
    const auto whole = cells.all(1, /*keepdim=*/true);
    const bool has_levels = tokens.level_of_token.defined();
    if (has_levels) held_ = whole.to(values.device());
    const auto partly = has_levels ? cells.logical_and(whole.logical_not()) : cells;
    if (!known_ || !partly.any().item<bool>()) return;
    const auto channels = values.size(1) / cells.size(1);
    noised_ = partly.repeat({1, channels}).to(values.device());  // channel slowest
  }

  at::Tensor operator()(const at::Tensor& values, const Scheduler& scheduler, int64_t step) const {
    auto restored = held_.defined() ? choose(held_, given_, values) : values;
    if (noised_.defined())
      restored = choose(noised_, scheduler.add_noise(known_->clean, known_->noise, step), restored);
    return restored;
  }

 private:
  at::Tensor given_;
  std::optional<KnownContent> known_;
  at::Tensor held_;    // bool [n, 1]: tokens with a level of their own
  at::Tensor noised_;  // bool [n, C·pt·ph·pw]: known cells of all other tokens
};

}  // namespace

at::Tensor sample(const Denoiser& denoiser, const std::vector<Pass>& passes, Scheduler& scheduler,
                  PackedTokens tokens, const std::vector<Guidance>& guidance, const SamplingHooks& hooks,
                  Observer& observer, int64_t first_step, const std::optional<KnownContent>& known) {
  const auto branches = branches_of(tokens, guidance);
  const auto& timesteps = scheduler.timesteps();
  const auto steps = static_cast<int64_t>(timesteps.size());
  auto values = tokens.values.narrow(0, 0, branches.count());  // float32 [n, C·pt·ph·pw]
  const Restoring restoring(tokens, values, known);
  const auto rows = new_rows(tokens.known, branches, values.device());
  values = restoring(values, scheduler, first_step);
  FiniteCheck finite(steps);
  for (int64_t step = first_step; step < steps; ++step) {
    observer.check_cancelled();
    const double timestep = timesteps[static_cast<std::size_t>(step)];
    tokens.values = for_all_branches(values, branches);
    set_timestep(tokens, timestep);
    const auto predicted = predict(denoiser, tokens, passes);
    const auto width = values.size(1);
    auto prediction = guided(predicted.narrow(1, 0, width), branches, timestep, guidance, rows);
    if (predicted.size(1) > width)  // a variance, which guidance leaves as it is
      prediction = at::cat({prediction, predicted.slice(0, 0, branches.count()).slice(1, width)}, 1);
    std::vector<at::Tensor> noises;
    for (auto needed = scheduler.noises_needed(step); needed > 0; --needed)
      noises.push_back(hooks.noise(step));
    values = restoring(scheduler.step(prediction, step, values, noises), scheduler, step + 1);
    finite.add(prediction, values, step, timestep);
    if (hooks.keeps && hooks.keeps(step)) finite.finish();
    if (hooks.after_step) hooks.after_step(step, timestep, values);
    observer.progress({"denoise", step + 1, steps});
  }
  finite.finish();
  return values;
}

}  // namespace t2v
