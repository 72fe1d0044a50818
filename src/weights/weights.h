// The weights of one component (transformer, vae, text_encoder): a single safetensors file or a sharded
// index, cast per tensor as layers ask for them. A layer takes its tensors by name and expected shape;
// everything that does not fit is collected and reported at once.
#pragma once

#include <ATen/core/Tensor.h>

#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "weights/safetensors.h"
#include "weights/tensor_source.h"

namespace t2v {

// What a weight is cast to: the run's dtype; that of its matrix products; or float32 whatever the run's
// dtypes are (norms, modulation tables, time embedding).
enum class Precision { model, product, float32 };

// A run's dtypes. They are one but for a trainer's, which may have its products in bfloat16 and all else in
// float32.
struct RunDtypes {
  at::ScalarType model = at::kFloat, products = at::kFloat;
};

// {name, shape} of the tensors of a network.
using TensorShapes = std::vector<std::pair<std::string, std::vector<int64_t>>>;

class WeightScope;

class Weights {
 public:
  static Weights open(std::shared_ptr<const TensorSource> source, at::Device device, at::ScalarType dtype);
  // open_weight_folder's. Throws Error{bad_input}.
  static Weights open(const std::filesystem::path& folder, const std::string& stem, at::Device device,
                      at::ScalarType dtype);
  // No files: every tensor exists, on the meta device. For shape checks without weights.
  static Weights meta(at::ScalarType dtype = at::kFloat);

  // Tensors in memory, as a trainer holds them: a cast to the run's dtypes is part of their gradient. Nothing
  // is copied where the dtype fits.
  static Weights from_tensors(std::map<std::string, at::Tensor> tensors, RunDtypes dtypes = {});

  WeightScope root();

  // [shape], cast and moved. A tensor that is missing, misshaped, not floating or not finite is noted, and a
  // meta tensor stands in for it.
  at::Tensor take(const std::string& name, at::IntArrayRef shape, Precision precision);
  // A matrix that its source keeps packed, on the CPU: to be expanded at use to what take() would give. None
  // where the source has numbers, where they are to be float32 whatever the run's dtype, and where the source
  // has not this shape, which take() then says.
  std::optional<PackedMatrix> take_packed(const std::string& name, int64_t rows, int64_t columns,
                                          Precision precision);
  // Numbers in all tensors together.
  int64_t element_count() const;
  bool has(const std::string& name) const {
    return (source_ && source_->find(name)) || tensors_.contains(name);
  }
  // Marks a tensor as known though nothing reads it (a tied copy).
  void ignore(const std::string& name) { taken_.insert(name); }

  // Throws Error{bad_input} with every problem, tensors that nothing asked for included. Call when the
  // network is built.
  void finish() const;

  // The same without tensors that nothing asked for.
  void require_no_problems() const;

  // Whether the blocks of a network are to be read when their turn comes (BlockList), not kept.
  bool are_by_block() const { return by_block_; }
  void keep_by_block() { by_block_ = true; }
  // While that is so, take() looks at names and shapes alone and gives meta tensors.
  void skim(bool on) { skim_ = on; }
  // The same source, of which nothing was taken.
  Weights anew() const;
  // Whether take() looks for NaN and infinity.
  void check_numbers(bool on) { checks_numbers_ = on; }

  // {name, shape} of what was asked for, in order of asking.
  const TensorShapes& asked() const { return asked_; }

 private:
  Weights() = default;
  at::ScalarType dtype_of(Precision precision) const;
  void report(const std::vector<std::string>& problems) const;
  at::Tensor refuse(const std::string& problem, at::IntArrayRef shape, at::ScalarType type);

  std::string where_;
  bool meta_ = false, by_block_ = false, skim_ = false, checks_numbers_ = true;
  at::Device device_ = at::kCPU;
  RunDtypes dtypes_;
  std::shared_ptr<const TensorSource> source_;
  std::map<std::string, at::Tensor> tensors_;
  std::set<std::string> taken_;
  TensorShapes asked_;
  std::vector<std::string> problems_;
};

// A name prefix within Weights: scope / "blocks" / 3 / "attn1" takes "blocks.3.attn1.…".
class WeightScope {
 public:
  WeightScope(Weights& weights, std::string prefix) : weights_(&weights), prefix_(std::move(prefix)) {}

  WeightScope operator/(const std::string& name) const { return {*weights_, join(name)}; }
  WeightScope operator/(int64_t index) const { return *this / std::to_string(index); }
  at::Tensor take(const std::string& name, at::IntArrayRef shape,
                  Precision precision = Precision::model) const {
    return weights_->take(join(name), shape, precision);
  }
  std::optional<PackedMatrix> take_packed(const std::string& name, int64_t rows, int64_t columns,
                                          Precision precision) const {
    return weights_->take_packed(join(name), rows, columns, precision);
  }
  bool has(const std::string& name) const { return weights_->has(join(name)); }
  Weights& weights() const { return *weights_; }
  // The same place in other weights.
  WeightScope of(Weights& other) const { return {other, prefix_}; }
  void ignore(const std::string& name) const { weights_->ignore(join(name)); }

 private:
  std::string join(const std::string& name) const { return prefix_.empty() ? name : prefix_ + "." + name; }

  Weights* weights_;
  std::string prefix_;
};

}  // namespace t2v
