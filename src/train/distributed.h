// Several processes that train one model: each runs a share of every step's lanes, and gradients are added over all of them.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
#include <vector>

namespace t2v {

class Processes {
 public:
  // From RANK, WORLD_SIZE, MASTER_ADDR, MASTER_PORT, or Slurm's SLURM_PROCID, SLURM_NTASKS with the first two of those; alone without them.
  // Gloo on the CPU, NCCL where `device` is a GPU. Throws Error{usage} when some are there and others missing, Error{internal} when the
  // processes do not find each other.
  static Processes from_environment(at::Device device);
  Processes();  // one process
  ~Processes();
  Processes(Processes&&) noexcept;

  int64_t rank() const { return rank_; }
  int64_t count() const { return count_; }
  // Adds each tensor over all processes, in place, in buckets of some megabytes.
  void sum(std::vector<at::Tensor>& tensors) const;
  // All processes get process 0's tensors.
  void broadcast(std::vector<at::Tensor>& tensors) const;

 private:
  struct Group;
  int64_t rank_ = 0, count_ = 1;
  std::unique_ptr<Group> group_;
};

}  // namespace t2v
