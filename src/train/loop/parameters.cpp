#include "train/loop/parameters.h"

#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>

#include <cmath>

#include "world/world.h"

namespace t2v {

namespace {

bool has(const std::string& name, const char* part) { return name.find(part) != std::string::npos; }

// FNV-1a: names the random stream of a parameter.
uint64_t name_stream(const std::string& name) {
  uint64_t hash = 14695981039346656037ULL;
  for (const char c : name) hash = (hash ^ static_cast<unsigned char>(c)) * 1099511628211ULL;
  return hash;
}

// Source: transformers modeling_umt5.py, UMT5PreTrainedModel._init_weights with factor 1. 0 for names that
// are not T5's.
double t5_deviation(const std::string& name, const std::vector<int64_t>& shape, int64_t heads) {
  const auto fan_in = static_cast<double>(shape.back());
  if (has(name, "shared.weight") || has(name, "embed_tokens.weight")) return 1;
  if (has(name, "relative_attention_bias")) return 0.1;
  if (has(name, "SelfAttention.q.weight"))
    return 1 / std::sqrt(fan_in * static_cast<double>(shape.front() / heads));
  if (has(name, "SelfAttention.") || has(name, "DenseReluDense.")) return 1 / std::sqrt(fan_in);
  return 0;
}

Parameter leaf(const std::string& name, const at::Tensor& value) {
  return {name, value.detach().requires_grad_(true)};
}

}  // namespace

at::Tensor initial_value(const std::string& name, const std::vector<int64_t>& shape, uint64_t seed,
                         int64_t t5_heads) {
  const auto options = at::TensorOptions(at::kFloat);
  const bool norm = has(name, "norm") && name.ends_with("weight");
  if (norm || name.ends_with("gamma")) return at::ones(shape, options);
  if (name.ends_with("bias") && !has(name, "relative_attention_bias")) return at::zeros(shape, options);
  // The last layer, and the autoencoder's attention, begin as if they were not there.
  if (name == "proj_out.weight" || has(name, "attentions.0.proj.weight")) return at::zeros(shape, options);
  auto generator = at::detail::createCPUGenerator(WorldRandom(seed, name_stream(name)).next());
  if (name.ends_with("scale_shift_table"))
    return at::randn(shape, generator, options) / std::sqrt(static_cast<double>(shape.back()));
  if (const double deviation = t5_deviation(name, shape, t5_heads); deviation > 0)
    return at::randn(shape, generator, options) * deviation;
  int64_t fan_in = 1;
  for (std::size_t i = 1; i < shape.size(); ++i) fan_in *= shape[i];
  return (at::rand(shape, generator, options) * 2 - 1) / std::sqrt(static_cast<double>(fan_in));
}

ParameterSet ParameterSet::initialise(const TensorShapes& wanted, uint64_t seed) {
  int64_t t5_heads = 1;
  for (const auto& [name, shape] : wanted)
    if (has(name, "relative_attention_bias")) t5_heads = shape.back();  // [buckets, heads]
  ParameterSet set;
  for (const auto& [name, shape] : wanted)
    set.parameters_.push_back(leaf(name, initial_value(name, shape, seed, t5_heads)));
  return set;
}

ParameterSet ParameterSet::zeros(const TensorShapes& wanted) {
  ParameterSet set;
  for (const auto& [name, shape] : wanted)
    set.parameters_.push_back(leaf(name, at::zeros(shape, at::TensorOptions(at::kFloat))));
  return set;
}

ParameterSet ParameterSet::load(const TensorShapes& wanted, const std::filesystem::path& folder,
                                const std::string& stem) {
  auto weights = Weights::open(folder, stem, at::kCPU, at::kFloat);
  ParameterSet set;
  for (const auto& [name, shape] : wanted)
    set.parameters_.push_back(leaf(name, weights.take(name, shape, Precision::float32).clone()));
  weights.finish();
  return set;
}

ParameterSet ParameterSet::mean(const std::vector<ParameterSet>& sets) {
  ParameterSet mean;
  for (std::size_t i = 0; i < sets.front().list().size(); ++i) {
    auto sum = sets.front().list()[i].value.detach().clone();
    for (std::size_t k = 1; k < sets.size(); ++k) sum += sets[k].list()[i].value.detach();
    mean.parameters_.push_back(leaf(sets.front().list()[i].name, sum / static_cast<double>(sets.size())));
  }
  return mean;
}

void ParameterSet::add(const std::string& prefix, const ParameterSet& other) {
  for (const auto& parameter : other.parameters_)
    parameters_.push_back({prefix + parameter.name, parameter.value});
}

ParameterSet ParameterSet::part(const std::string& prefix) const {
  ParameterSet set;
  set.dtypes_ = dtypes_;
  for (const auto& parameter : parameters_)
    if (parameter.name.starts_with(prefix))
      set.parameters_.push_back({parameter.name.substr(prefix.size()), parameter.value});
  return set;
}

ParameterSet ParameterSet::replica() const {
  ParameterSet set;
  set.dtypes_ = dtypes_;
  for (const auto& parameter : parameters_) set.parameters_.push_back(leaf(parameter.name, parameter.value));
  return set;
}

void ParameterSet::move_to(at::Device device) {
  for (auto& parameter : parameters_) parameter = leaf(parameter.name, parameter.value.detach().to(device));
}

ParameterSet ParameterSet::clone() const {
  ParameterSet set;
  set.dtypes_ = dtypes_;
  for (const auto& parameter : parameters_)
    set.parameters_.push_back(leaf(parameter.name, parameter.value.detach().clone()));
  return set;
}

Weights ParameterSet::weights() const {
  std::map<std::string, at::Tensor> tensors;
  for (const auto& parameter : parameters_) tensors[parameter.name] = parameter.value;
  return Weights::from_tensors(std::move(tensors), dtypes_);
}

std::vector<at::Tensor> ParameterSet::values() const {
  std::vector<at::Tensor> values;
  for (const auto& parameter : parameters_) values.push_back(parameter.value);
  return values;
}

std::vector<std::pair<std::string, at::Tensor>> ParameterSet::tensors() const {
  std::vector<std::pair<std::string, at::Tensor>> tensors;
  for (const auto& parameter : parameters_) tensors.emplace_back(parameter.name, parameter.value.detach());
  return tensors;
}

}  // namespace t2v
