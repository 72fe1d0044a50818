#include "train/distributed.h"

#include <ATen/ATen.h>
#include <torch/csrc/distributed/c10d/TCPStore.hpp>

#include <cstdlib>
#include <cstring>
#include <string>

#include "t2v/error.h"

namespace t2v {

namespace {

constexpr std::size_t bucket_bytes = std::size_t{4} << 20;
constexpr auto patience = std::chrono::minutes(60);  // others may wait while process 0 evaluates

// The first of the variables that is set.
const char* variable(std::initializer_list<const char*> names) {
  for (const char* name : names)
    if (const char* value = std::getenv(name)) return value;
  return nullptr;
}

int64_t whole_number(const char* text, const char* what, int64_t least, int64_t most) {
  char* end = nullptr;
  const long long value = std::strtoll(text, &end, 10);
  if (*text == '\0' || *end != '\0' || value < least || value > most)
    throw Error(ErrorKind::usage, std::string(what) + " should be a whole number from " + std::to_string(least) + " to " +
                                      std::to_string(most) + ", found '" + text + "'");
  return value;
}

}  // namespace

struct Processes::Group {
  c10::intrusive_ptr<c10d::TCPStore> store;
  int64_t round = 0;

  static std::string key(int64_t round, int64_t rank, std::size_t bucket) {
    return "sum/" + std::to_string(round) + "/" + std::to_string(rank) + "/" + std::to_string(bucket);
  }
};

Processes::Processes() = default;
// Process 0 serves the store until the others have said that they are done with it.
Processes::~Processes() {
  if (!group_ || !group_->store) return;
  try {
    const auto key = [](int64_t rank) { return "left/" + std::to_string(rank); };
    if (rank_ != 0) group_->store->set(key(rank_), std::vector<uint8_t>{1});
    for (int64_t rank = 1; rank_ == 0 && rank < count_; ++rank) group_->store->wait({key(rank)}, std::chrono::seconds(30));
  } catch (const std::exception&) {
    // A process that has died says nothing.
  }
}
Processes::Processes(Processes&&) noexcept = default;

Processes Processes::from_environment() {
  Processes processes;
  const bool by_hand = std::getenv("WORLD_SIZE") != nullptr || std::getenv("RANK") != nullptr;
  const char* count = by_hand ? std::getenv("WORLD_SIZE") : variable({"SLURM_NTASKS"});
  const char* rank = by_hand ? std::getenv("RANK") : variable({"SLURM_PROCID"});
  const char* address = std::getenv("MASTER_ADDR");
  if (!by_hand && (count == nullptr || address == nullptr)) return processes;  // a Slurm job that trains alone sets no MASTER_ADDR
  if (count == nullptr || rank == nullptr) throw Error(ErrorKind::usage, "RANK and WORLD_SIZE go together; only one of them is set");
  processes.count_ = whole_number(count, "WORLD_SIZE", 1, 1024);
  processes.rank_ = whole_number(rank, "RANK", 0, processes.count_ - 1);
  if (const char* local = by_hand ? std::getenv("LOCAL_RANK") : std::getenv("SLURM_LOCALID"))
    processes.local_rank_ = whole_number(local, by_hand ? "LOCAL_RANK" : "SLURM_LOCALID", 0, 1023);
  if (processes.count_ == 1) return processes;
  if (address == nullptr)
    throw Error(ErrorKind::usage,
                "WORLD_SIZE is " + std::to_string(processes.count_) + ": MASTER_ADDR should name the machine of process 0");
  const char* port = std::getenv("MASTER_PORT");
  c10d::TCPStoreOptions options;
  options.port = static_cast<uint16_t>(port == nullptr ? c10d::TCPStoreOptions::kDefaultPort : whole_number(port, "MASTER_PORT", 1, 65535));
  options.isServer = processes.rank_ == 0;
  options.numWorkers = static_cast<std::size_t>(processes.count_);
  options.timeout = std::chrono::minutes(5);
  processes.group_ = std::make_unique<Group>();
  try {
    processes.group_->store = c10::make_intrusive<c10d::TCPStore>(address, options);
  } catch (const std::exception& error) {
    throw Error(ErrorKind::internal, "process " + std::to_string(processes.rank_) + " of " + std::to_string(processes.count_) +
                                         " did not find the others at " + address + ":" + std::to_string(options.port) +
                                         " within five minutes (" + error.what() + ")");
  }
  processes.group_->store->setTimeout(patience);
  return processes;
}

void Processes::sum(std::vector<at::Tensor>& tensors) const {
  if (count_ == 1) return;
  const int64_t round = group_->round++;
  std::vector<at::Tensor> flat;
  for (const auto& tensor : tensors) flat.push_back(tensor.detach().to(at::kCPU, at::kDouble).flatten());
  const auto mine = at::cat(flat);
  const auto* bytes = static_cast<const uint8_t*>(mine.const_data_ptr());
  const std::size_t size = mine.nbytes();
  const std::size_t buckets = (size + bucket_bytes - 1) / bucket_bytes;
  for (std::size_t b = 0; b < buckets; ++b)
    group_->store->set(Group::key(round, rank_, b),
                       std::vector<uint8_t>(bytes + b * bucket_bytes, bytes + std::min(size, (b + 1) * bucket_bytes)));
  auto total = at::zeros_like(mine);
  for (int64_t rank = 0; rank < count_; ++rank) {
    auto theirs = rank == rank_ ? mine : at::empty_like(mine);
    for (std::size_t b = 0; rank != rank_ && b < buckets; ++b) {
      const auto part = group_->store->get(Group::key(round, rank, b));
      if (part.size() != std::min(size, (b + 1) * bucket_bytes) - b * bucket_bytes)
        throw Error(ErrorKind::internal, "process " + std::to_string(rank) + " trains another network: its gradients have another size");
      std::memcpy(static_cast<uint8_t*>(theirs.mutable_data_ptr()) + b * bucket_bytes, part.data(), part.size());
    }
    total.add_(theirs);
  }
  // Who has come to this round has read all of the one before; so what was sent two rounds ago is not needed by anyone.
  for (std::size_t b = 0; round >= 2 && b < buckets; ++b) group_->store->deleteKey(Group::key(round - 2, rank_, b));
  int64_t begin = 0;
  for (auto& tensor : tensors) {
    tensor.copy_(total.narrow(0, begin, tensor.numel()).view(tensor.sizes()));
    begin += tensor.numel();
  }
}

void Processes::wait_for_all() const {
  std::vector<at::Tensor> nothing = {at::zeros({1})};
  sum(nothing);
}

}  // namespace t2v
