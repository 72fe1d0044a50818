// The weights of a network in training: float32 leaves of the gradient graph, by the names of the checkpoint.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "weights/weights.h"

namespace t2v {

struct Parameter {
  std::string name;
  at::Tensor value;  // float32, requires_grad
};

class ParameterSet {
 public:
  ParameterSet() = default;

  // `wanted`: as Weights::asked() lists them after a network was built on the meta device. Each gets the
  // value that initial_value draws for it.
  static ParameterSet initialise(const TensorShapes& wanted, uint64_t seed);
  static ParameterSet zeros(const TensorShapes& wanted);
  // The tensors of a safetensors file or sharded index (Weights::open's folder and stem), cast to float32.
  // Throws Error{bad_input} for what is missing or misshaped.
  static ParameterSet load(const TensorShapes& wanted, const std::filesystem::path& folder,
                           const std::string& stem);

  // The mean of sets of the same parameters: of models that were trained on from one another (Wortsman et al.
  // 2022, model soups).
  static ParameterSet mean(const std::vector<ParameterSet>& sets);

  void add(Parameter parameter) { parameters_.push_back(std::move(parameter)); }
  void add(const std::string& prefix, const ParameterSet& other);
  // The parameters whose names begin with the prefix, without it; they share storage with these.
  ParameterSet part(const std::string& prefix) const;
  // The same storage with gradients of its own.
  ParameterSet replica() const;
  ParameterSet clone() const;

  // Moves the values; replicas made before stay where they are.
  void move_to(at::Device device);
  at::Device device() const {
    return parameters_.empty() ? at::Device(at::kCPU) : parameters_.front().value.device();
  }

  // The dtypes that networks over these parameters compute in (what networks hold in float32 stays so), for
  // this set and for those made of it.
  void compute_in(RunDtypes dtypes) { dtypes_ = dtypes; }
  RunDtypes dtypes() const { return dtypes_; }
  // For building a network over these parameters; a cast is part of the gradient.
  Weights weights() const;

  const std::vector<Parameter>& list() const& { return parameters_; }
  const std::vector<Parameter>& list() const&& = delete;
  std::vector<at::Tensor> values() const;
  // {name, tensor} without gradients, as save_safetensors takes them.
  std::vector<std::pair<std::string, at::Tensor>> tensors() const;

 private:
  std::vector<Parameter> parameters_;
  RunDtypes dtypes_;
};

// A weight before training, as the reference initialises its layers: norms 1, biases 0, modulation tables
// N(0, 1/width), output layers 0, T5's layers by T5's rule (t5_heads: of its attention), all other matrices
// and convolutions uniform in ±1/sqrt(fan in). Depends on the seed and the name alone.
at::Tensor initial_value(const std::string& name, const std::vector<int64_t>& shape, uint64_t seed,
                         int64_t t5_heads = 1);

}  // namespace t2v
