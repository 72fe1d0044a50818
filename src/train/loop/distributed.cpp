#include "train/loop/distributed.h"

#include <ATen/ATen.h>
#define USE_C10D_GLOO  // without it the header declares nothing
#include <torch/csrc/distributed/c10d/ProcessGroupGloo.hpp>
#include <torch/csrc/distributed/c10d/TCPStore.hpp>

#include <algorithm>
#include <cstdlib>
#include <set>
#include <string>

#include "t2v/error.h"

namespace t2v {

namespace {

constexpr int64_t bucket_elements = int64_t{1} << 20;
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
    throw Error(ErrorKind::usage, std::string(what) + " should be a whole number from " +
                                      std::to_string(least) + " to " + std::to_string(most) + ", found '" +
                                      text + "'");
  return value;
}

}  // namespace

struct Processes::Group {
  c10::intrusive_ptr<c10d::ProcessGroupGloo> gloo;
  std::set<int64_t> sizes;  // of what was added up so far, in elements: the same on all processes

  // Adds buckets of a flat tensor over all processes while later ones are on their way.
  void all_reduce(const at::Tensor& flat, c10d::ReduceOp::RedOpType operation) const {
    c10d::AllreduceOptions options;
    options.reduceOp = operation;
    std::vector<c10::intrusive_ptr<c10d::Work>> works;
    for (const auto& bucket : flat.split(bucket_elements)) {
      std::vector<at::Tensor> one = {bucket};
      works.push_back(gloo->allreduce(one, options));
    }
    for (const auto& work : works) work->wait();
  }

  void agree_on_size(int64_t size) {
    if (!sizes.insert(size).second) return;
    const auto largest = at::tensor({size, -size});
    all_reduce(largest, c10d::ReduceOp::MAX);
    if (largest[0].item<int64_t>() != size || largest[1].item<int64_t>() != -size)
      throw Error(ErrorKind::internal,
                  "another process trains another network: its gradients have another size");
  }
};

Processes::Processes() = default;
Processes::~Processes() = default;
Processes::Processes(Processes&&) noexcept = default;

Processes Processes::from_environment() {
  Processes processes;
  const bool by_hand = std::getenv("WORLD_SIZE") != nullptr || std::getenv("RANK") != nullptr;
  const char* count = by_hand ? std::getenv("WORLD_SIZE") : variable({"SLURM_NTASKS"});
  const char* rank = by_hand ? std::getenv("RANK") : variable({"SLURM_PROCID"});
  const char* address = std::getenv("MASTER_ADDR");
  if (!by_hand && (count == nullptr || address == nullptr))
    return processes;  // a Slurm job that trains alone sets no MASTER_ADDR
  if (count == nullptr || rank == nullptr)
    throw Error(ErrorKind::usage, "RANK and WORLD_SIZE go together; only one of them is set");
  processes.count_ = whole_number(count, "WORLD_SIZE", 1, 1024);
  processes.rank_ = whole_number(rank, "RANK", 0, processes.count_ - 1);
  if (const char* local = by_hand ? std::getenv("LOCAL_RANK") : std::getenv("SLURM_LOCALID"))
    processes.local_rank_ = whole_number(local, by_hand ? "LOCAL_RANK" : "SLURM_LOCALID", 0, 1023);
  if (processes.count_ == 1) return processes;
  if (address == nullptr)
    throw Error(ErrorKind::usage, "WORLD_SIZE is " + std::to_string(processes.count_) +
                                      ": MASTER_ADDR should name the machine of process 0");
  const char* port = std::getenv("MASTER_PORT");
  c10d::TCPStoreOptions options;
  options.port = static_cast<uint16_t>(port == nullptr ? c10d::TCPStoreOptions::kDefaultPort
                                                       : whole_number(port, "MASTER_PORT", 1, 65535));
  options.isServer = processes.rank_ == 0;
  options.numWorkers = static_cast<std::size_t>(processes.count_);
  options.timeout = std::chrono::minutes(5);
  try {
    const auto store = c10::make_intrusive<c10d::TCPStore>(address, options);
    auto gloo = c10d::ProcessGroupGloo::Options::create(patience);
    const char* interface = std::getenv("GLOO_SOCKET_IFNAME");
    gloo->devices.push_back(interface == nullptr
                                ? c10d::ProcessGroupGloo::createDefaultDevice()
                                : c10d::ProcessGroupGloo::createDeviceForInterface(interface));
    processes.group_ = std::make_unique<Group>();
    processes.group_->gloo = c10::make_intrusive<c10d::ProcessGroupGloo>(
        store, static_cast<int>(processes.rank_), static_cast<int>(processes.count_), std::move(gloo));
  } catch (const std::exception& error) {
    throw Error(ErrorKind::internal, processes.name() + " did not find the others at " + address + ":" +
                                         std::to_string(options.port) + " (" + error.what() + ")");
  }
  return processes;
}

std::string Processes::name() const {
  return "process " + std::to_string(rank_) + " of " + std::to_string(count_);
}

void Processes::sum(std::vector<at::Tensor>& tensors) const {
  if (count_ == 1) return;
  try {
    for (const auto dtype : {at::kFloat, at::kDouble}) {
      std::vector<at::Tensor> parts;
      for (const auto& tensor : tensors)
        if (tensor.scalar_type() == dtype) parts.push_back(tensor.detach().to(at::kCPU).flatten());
      if (parts.empty()) continue;
      const auto flat = at::cat(parts);
      group_->agree_on_size(flat.numel());
      group_->all_reduce(flat, c10d::ReduceOp::SUM);
      int64_t begin = 0;
      for (auto& tensor : tensors) {
        if (tensor.scalar_type() != dtype) continue;
        tensor.copy_(flat.narrow(0, begin, tensor.numel()).view(tensor.sizes()));
        begin += tensor.numel();
      }
    }
  } catch (const Error&) {
    throw;
  } catch (const std::exception& error) {
    throw Error(ErrorKind::internal,
                name() + " lost the others; start all of them again with --resume (" + error.what() + ")");
  }
}

double Processes::total(double value) const {
  std::vector<at::Tensor> values = {at::tensor({value}, at::TensorOptions(at::kDouble))};
  sum(values);
  return values[0].item<double>();
}

void Processes::wait_for_all() const { total(0); }

}  // namespace t2v
