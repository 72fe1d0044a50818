#include "train/loop/optimizer.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <cmath>
#include <map>

namespace t2v {

bool is_muon_parameter(const std::string& name, at::IntArrayRef shape) {
  if (shape.size() < 2 || name.ends_with("gamma") || name.ends_with("scale_shift_table")) return false;
  for (const char* part : {"shared.", "embed_tokens.", "relative_attention_bias", "patch_embedding.",
                           "proj_out.", "time_embedder.", "text_embedder.linear_1.", "conv_in.", "conv_out.",
                           "quant_conv.", "norm", "helper."})
    if (name.find(part) != std::string::npos) return false;
  return true;
}

at::Tensor orthogonalise(const at::Tensor& x) {
  const bool tall = x.size(1) > x.size(2);
  auto y = tall ? x.transpose(1, 2) : x;
  y = y / (at::linalg_vector_norm(y, 2, at::IntArrayRef{1, 2}, /*keepdim=*/true) + 1e-7);
  for (int step = 0; step < 5; ++step) {
    const auto gram = at::bmm(y, y.transpose(1, 2));
    const auto mix = at::baddbmm(gram, gram, gram, /*beta=*/-4.7750, /*alpha=*/2.0315);
    y = at::baddbmm(y, mix, y, /*beta=*/3.4445, /*alpha=*/1);
  }
  return tall ? y.transpose(1, 2) : y;
}

Optimizer::Optimizer(const ParameterSet& parameters, const OptimizerConfig& config)
    : parameters_(parameters), average_(parameters.clone()), config_(config) {
  std::map<std::pair<int64_t, int64_t>, std::vector<std::size_t>> groups;
  for (std::size_t i = 0; i < parameters_.list().size(); ++i) {
    const auto& [name, value] = parameters_.list()[i];
    by_muon_.push_back(config.muon && is_muon_parameter(name, value.sizes()));
    first_.push_back(at::zeros_like(value.detach()));
    second_.push_back(by_muon_[i] ? at::Tensor() : at::zeros_like(value.detach()));
    if (by_muon_[i]) groups[{value.size(0), value.numel() / value.size(0)}].push_back(i);
  }
  // As many at once as keep a batched product busy, few enough for the workers to share.
  constexpr std::size_t at_once = 8;
  for (const auto& [shape, members] : groups)
    for (std::size_t begin = 0; begin < members.size(); begin += at_once)
      muon_groups_.emplace_back(
          members.begin() + static_cast<std::ptrdiff_t>(begin),
          members.begin() + static_cast<std::ptrdiff_t>(std::min(begin + at_once, members.size())));
}

double gradient_norm(const std::vector<at::Tensor>& gradients) {
  return at::stack(at::_foreach_norm(gradients)).norm().item<double>();
}

void Optimizer::step(std::vector<at::Tensor>& gradients, double norm, double factor, Workers& workers) {
  const at::NoGradGuard no_grad;
  if (config_.clip_norm > 0 && norm > config_.clip_norm)
    at::_foreach_mul_(gradients, config_.clip_norm / (norm + 1e-6));
  ++steps_;
  workers.run(static_cast<int64_t>(muon_groups_.size()),
              [&](int64_t i) { step_muon(gradients, muon_groups_[static_cast<std::size_t>(i)], factor); });
  step_adam(gradients, factor);
  // The average follows quickly at first, so that early evaluations see what was learned.
  const double decay = std::min(config_.ema_decay,
                                (1.0 + static_cast<double>(steps_)) / (10.0 + static_cast<double>(steps_)));
  at::_foreach_lerp_(average_.values(), parameters_.values(), 1.0 - decay);
}

void Optimizer::step_muon(const std::vector<at::Tensor>& gradients, const std::vector<std::size_t>& group,
                          double factor) {
  const at::NoGradGuard no_grad;  // of this thread
  const double rate = config_.muon_learning_rate * factor;
  std::vector<at::Tensor> directions;
  for (const auto i : group) {
    first_[i].lerp_(gradients[i], 1 - config_.muon_momentum);
    directions.push_back(at::lerp(gradients[i], first_[i], config_.muon_momentum).flatten(1));  // Nesterov
  }
  const auto updates = orthogonalise(at::stack(directions).to(config_.muon_dtype))
                           .to(at::kFloat);  // [B, rows, columns]
  const double shape_factor = std::sqrt(
      std::max(1.0, static_cast<double>(updates.size(1)) / static_cast<double>(updates.size(2))));
  for (std::size_t k = 0; k < group.size(); ++k) {
    auto value = parameters_.list()[group[k]].value;
    if (config_.weight_decay > 0) value.mul_(1 - rate * config_.weight_decay);
    value.add_(updates[static_cast<int64_t>(k)].reshape(value.sizes()), -rate * shape_factor);
  }
}

// Source: Loshchilov & Hutter 2019, decoupled weight decay.
void Optimizer::step_adam(std::vector<at::Tensor>& gradients, double factor) {
  const double rate = config_.adam_learning_rate * factor;
  const double correction1 = 1 - std::pow(config_.adam_beta1, static_cast<double>(steps_));
  const double correction2 = 1 - std::pow(config_.adam_beta2, static_cast<double>(steps_));
  std::vector<at::Tensor> values, decayed, mine, first, second;
  for (std::size_t i = 0; i < gradients.size(); ++i) {
    if (by_muon_[i]) continue;
    values.push_back(parameters_.list()[i].value);
    if (values.back().dim() > 1) decayed.push_back(values.back());
    mine.push_back(gradients[i]);
    first.push_back(first_[i]);
    second.push_back(second_[i]);
  }
  if (values.empty()) return;
  at::_foreach_lerp_(first, mine, 1 - config_.adam_beta1);
  at::_foreach_mul_(second, config_.adam_beta2);
  at::_foreach_addcmul_(second, mine, mine, 1 - config_.adam_beta2);
  if (config_.weight_decay > 0 && !decayed.empty())
    at::_foreach_mul_(decayed, 1 - rate * config_.weight_decay);
  auto root = at::_foreach_sqrt(second);
  at::_foreach_div_(root, std::sqrt(correction2));
  at::_foreach_add_(root, config_.adam_epsilon);
  at::_foreach_addcdiv_(values, first, root, -rate / correction1);
}

std::vector<std::pair<std::string, at::Tensor>> Optimizer::state() const {
  std::vector<std::pair<std::string, at::Tensor>> state;
  for (std::size_t i = 0; i < first_.size(); ++i) {
    const auto& name = parameters_.list()[i].name;
    state.emplace_back("parameters." + name, parameters_.list()[i].value.detach());
    state.emplace_back("average." + name, average_.list()[i].value.detach());
    state.emplace_back("first." + name, first_[i]);
    if (second_[i].defined()) state.emplace_back("second." + name, second_[i]);
  }
  return state;
}

void Optimizer::restore(Weights state, int64_t steps) {
  const at::NoGradGuard no_grad;
  std::vector<std::pair<at::Tensor, at::Tensor>> pairs;  // {held, saved}; nothing is overwritten before all
                                                         // of it is known to fit
  for (std::size_t i = 0; i < first_.size(); ++i) {
    const auto& name = parameters_.list()[i].name;
    const auto& value = parameters_.list()[i].value;
    const auto take = [&](const std::string& kind, const at::Tensor& held) {
      pairs.emplace_back(held, state.take(kind + name, held.sizes(), Precision::float32));
    };
    take("parameters.", value);
    take("average.", average_.list()[i].value);
    take("first.", first_[i]);
    if (second_[i].defined()) take("second.", second_[i]);
  }
  state.finish();
  for (auto& [held, saved] : pairs) held.copy_(saved);
  steps_ = steps;
}

}  // namespace t2v
