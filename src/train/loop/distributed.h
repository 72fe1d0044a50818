// Several processes that train one model: each runs a share of every step's lanes, and gradients are added
// over all of them.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace t2v {

// They find each other at a key-value store of c10d (TCPStore) that process 0 serves, and add gradients in
// buckets by c10d's Gloo. All processes get the same bits.
class Processes {
 public:
  // From RANK, WORLD_SIZE, MASTER_ADDR and MASTER_PORT, or Slurm's SLURM_PROCID and SLURM_NTASKS with the
  // last two; one process without them. GLOO_SOCKET_IFNAME names the network interface; without it, the one
  // that has the machine's host name. Throws Error{usage} when some are missing or make no sense,
  // Error{internal} when the processes do not find each other.
  static Processes from_environment();
  Processes();  // one process
  ~Processes();
  Processes(Processes&&) noexcept;

  int64_t rank() const { return rank_; }
  int64_t count() const { return count_; }
  // The number of this process on its machine: LOCAL_RANK (torchrun's) or SLURM_LOCALID; 0 without them.
  int64_t local_rank() const { return local_rank_; }
  // Adds each tensor over all processes, in place: float32 or float64, of the same shapes on all. Throws
  // Error{internal} when a process is gone.
  void sum(std::vector<at::Tensor>& tensors) const;
  // A number added over all processes.
  double total(double value) const;
  // Returns when all processes have come here: what one has written before, the others can read after.
  void wait_for_all() const;

 private:
  struct Group;
  std::string name() const;
  int64_t rank_ = 0, count_ = 1, local_rank_ = 0;
  std::unique_ptr<Group> group_;
};

}  // namespace t2v
