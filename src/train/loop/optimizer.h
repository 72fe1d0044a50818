// AdamW and Muon over one set of parameters, with gradient clipping and an exponential moving average.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string>
#include <vector>

#include "train/loop/parameters.h"
#include "train/loop/workers.h"

namespace t2v {

struct OptimizerConfig {
  bool muon = true;                  // for matrices and convolutions; otherwise AdamW for all
  double muon_learning_rate = 0.01;  // at the peak of the schedule
  double adam_learning_rate = 1.5e-3;
  double muon_momentum = 0.95;
  at::ScalarType muon_dtype = at::kFloat;  // of its Newton-Schulz iteration
  double adam_beta1 = 0.9, adam_beta2 = 0.95, adam_epsilon = 1e-8;
  double weight_decay = 0.01;  // decoupled, for matrices
  double clip_norm = 1.0;      // of the whole gradient; 0 for none
  double ema_decay = 0.999;
};

// Whether a parameter is updated by Muon: a matrix or a convolution (out × rest) that is neither an embedding
// nor a norm nor the first or last layer of a network.
bool is_muon_parameter(const std::string& name, at::IntArrayRef shape);

// U·Vᵀ of each matrix of the batch, approximately: five steps of a quintic Newton-Schulz iteration in the
// dtype of x [B, rows, columns]. Source: Jordan et al. 2024, Muon.
at::Tensor orthogonalise(const at::Tensor& x);

// Of all gradients as one vector; not finite when one of them is not.
double gradient_norm(const std::vector<at::Tensor>& gradients);

class Optimizer {
 public:
  // Holds its state beside the parameters, which it updates in place.
  Optimizer(const ParameterSet& parameters, const OptimizerConfig& config);

  // gradients: one tensor per parameter, in their order; consumed. norm: their gradient_norm, finite. factor:
  // of the peak learning rates. The workers share Muon's matrices.
  void step(std::vector<at::Tensor>& gradients, double norm, double factor, Workers& workers);

  const ParameterSet& average() const { return average_; }

  // {name, tensor} of all state, for a checkpoint, and back. Throws Error{bad_input} when something is
  // missing.
  std::vector<std::pair<std::string, at::Tensor>> state() const;
  void restore(Weights state, int64_t steps);
  int64_t steps() const { return steps_; }

 private:
  void step_muon(const std::vector<at::Tensor>& gradients, const std::vector<std::size_t>& group,
                 double factor);
  void step_adam(std::vector<at::Tensor>& gradients, double factor);

  ParameterSet parameters_, average_;
  OptimizerConfig config_;
  std::vector<bool> by_muon_;
  std::vector<at::Tensor> first_, second_;  // momentum, and AdamW's second moment (undefined for Muon)
  std::vector<std::vector<std::size_t>> muon_groups_;  // a few parameters of one matrix shape each
  int64_t steps_ = 0;
};

}  // namespace t2v
