// Several processes that train one model: each runs a share of every step's lanes, and gradients are added over all of them.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
#include <vector>

namespace t2v {

// They meet at a key-value store of c10d (TCPStore) that process 0 serves, and exchange gradients through it in buckets; every process adds
// them in the order of ranks, so that all have the same bits. libtorch's wheels hold no headers of Gloo or NCCL, so those are not used.
class Processes {
 public:
  // From RANK, WORLD_SIZE, MASTER_ADDR and MASTER_PORT, or Slurm's SLURM_PROCID and SLURM_NTASKS with the last two; one process without
  // them. Throws Error{usage} when some are missing or make no sense, Error{internal} when the processes do not find each other.
  static Processes from_environment();
  Processes();  // one process
  ~Processes();
  Processes(Processes&&) noexcept;

  int64_t rank() const { return rank_; }
  int64_t count() const { return count_; }
  // The number of this process on its machine: LOCAL_RANK (torchrun's) or SLURM_LOCALID; 0 without them.
  int64_t local_rank() const { return local_rank_; }
  // Adds each tensor over all processes, in place. Float32 or float64, of the same shapes on all.
  void sum(std::vector<at::Tensor>& tensors) const;
  // Returns when all processes have come here: what one has written before, the others can read after.
  void wait_for_all() const;

 private:
  struct Group;
  int64_t rank_ = 0, count_ = 1, local_rank_ = 0;
  std::unique_ptr<Group> group_;
};

}  // namespace t2v
