// Note: [A stand-in for a card]
// libtorch's privateuseone as a device of its own, on a machine without one. Every operation is computed by
// the CPU's kernel on copies, but tensors of two devices are refused as CUDA refuses them, and the device's
// memory cannot be read or written by the host between copies: a tensor that was made in the wrong place, or
// whose bytes are taken for host memory, fails here as it would on a card. T2V_TEST_DEVICE=privateuseone.
#include <ATen/ATen.h>
#include <ATen/EmptyTensor.h>
#include <ATen/detail/PrivateUse1HooksInterface.h>
#include <ATen/native/CPUFallback.h>
#include <ATen/ops/_reshape_alias_native.h>
#include <ATen/ops/as_strided_native.h>
#include <ATen/ops/unfold_native.h>
#include <ATen/ops/view_as_complex_native.h>
#include <ATen/ops/view_as_real_native.h>
#include <ATen/ops/view_native.h>
#include <c10/core/Allocator.h>
#include <c10/core/DeviceType.h>
#include <c10/core/impl/DeviceGuardImplInterface.h>
#include <sys/mman.h>
#include <torch/library.h>

#include <atomic>
#include <map>
#include <mutex>
#include <new>
#include <set>

#include "stand_in.h"

namespace t2v {
namespace {

constexpr auto kind = c10::DeviceType::PrivateUse1;

// What is told of the stand-in's work (stand_in.h).
std::mutex seen_mutex;
std::vector<std::string> waits;
std::set<int64_t> streams;
thread_local int64_t stream_here = 0;
thread_local int within = 0;  // operations that are computed here, which copy to the host and back

struct Within {
  Within() {
    const std::lock_guard lock(seen_mutex);
    if (within++ == 0) streams.insert(stream_here);
  }
  ~Within() { --within; }
  Within(const Within&) = delete;
  Within& operator=(const Within&) = delete;
};

void note_wait(const std::string& what) {
  const std::lock_guard lock(seen_mutex);
  if (within == 0) waits.push_back(what);
}

// One device whose streams are numbers, everything done when a call returns: events are nothing.
struct Guard final : c10::impl::NoOpDeviceGuardImpl<kind> {
  c10::Device exchangeDevice(c10::Device) const override { return {kind, 0}; }
  c10::Device getDevice() const override { return {kind, 0}; }
  c10::Stream getStream(c10::Device) const noexcept override { return stream(stream_here); }
  c10::Stream getStreamFromGlobalPool(c10::Device, bool) const override {
    static std::atomic<int64_t> last = 0;
    return stream(++last);
  }
  c10::Stream exchangeStream(c10::Stream to) const noexcept override {
    return stream(std::exchange(stream_here, to.id()));
  }
  void synchronizeEvent(void*) const override {}
  static c10::Stream stream(int64_t id) { return c10::Stream(c10::Stream::UNSAFE, {kind, 0}, id); }
  void record(void**, const c10::Stream&, const c10::DeviceIndex, const c10::EventFlag) const override {}
  void block(void*, const c10::Stream&) const override {}
  bool queryEvent(void*) const override { return true; }
  bool queryStream(const c10::Stream&) const override { return true; }
};
C10_REGISTER_GUARD_IMPL(PrivateUse1, Guard)

// Of the host's memory, what a card reads and writes by itself.
class PinnedAllocator final : public c10::Allocator {
 public:
  c10::DataPtr allocate(std::size_t bytes) override {
    auto* begin = ::operator new(std::max<std::size_t>(1, bytes));
    const std::lock_guard lock(mutex_);
    blocks_[begin] = bytes;
    return {begin, begin, free_block, c10::kCPU};
  }
  c10::DeleterFnPtr raw_deleter() const override { return free_block; }
  void copy_data(void* to, const void* from, std::size_t bytes) const override {
    default_copy_data(to, from, bytes);
  }
  static bool holds(const void* place) {
    const std::lock_guard lock(mutex_);
    auto block = blocks_.upper_bound(place);
    if (block == blocks_.begin()) return false;
    --block;
    return static_cast<const char*>(place) < static_cast<const char*>(block->first) + block->second;
  }

 private:
  static void free_block(void* begin) {
    const std::lock_guard lock(mutex_);
    blocks_.erase(begin);
    ::operator delete(begin);
  }
  inline static std::mutex mutex_;
  inline static std::map<const void*, std::size_t> blocks_;
};

// Autograd and pinned memory ask for the machine's accelerator.
struct Hooks final : at::PrivateUse1HooksInterface {
  bool isPinnedPtr(const void* place) const override { return PinnedAllocator::holds(place); }
  c10::Allocator* getPinnedMemoryAllocator() const override {
    static PinnedAllocator pinned;
    return &pinned;
  }
  bool isBuilt() const override { return true; }
  bool isAvailable() const override { return true; }
  bool hasPrimaryContext(at::DeviceIndex) const override { return true; }
};

const bool is_registered = [] {
  static Hooks hooks;
  at::RegisterPrivateUse1HooksInterface(&hooks);
  c10::register_privateuse1_backend("stand_in");
  return true;
}();

// Pages that the host may touch only while they are opened.
struct HiddenPages {
  explicit HiddenPages(std::size_t size)
      : bytes(size), begin(::mmap(nullptr, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)) {
    if (begin == MAP_FAILED) throw std::bad_alloc();
  }
  HiddenPages(const HiddenPages&) = delete;
  HiddenPages& operator=(const HiddenPages&) = delete;
  ~HiddenPages() { ::munmap(begin, bytes); }

  std::size_t bytes;
  void* begin;
  int opened = 0;
};

class Opened {
 public:
  explicit Opened(const at::Tensor& x)
      : block_(x.device().type() == kind ? static_cast<HiddenPages*>(x.storage().data_ptr().get_context())
                                         : nullptr) {
    if (block_ != nullptr && block_->opened++ == 0)
      ::mprotect(block_->begin, block_->bytes, PROT_READ | PROT_WRITE);
  }
  ~Opened() {
    if (block_ != nullptr && --block_->opened == 0) ::mprotect(block_->begin, block_->bytes, PROT_NONE);
  }
  Opened(const Opened&) = delete;
  Opened& operator=(const Opened&) = delete;

 private:
  HiddenPages* block_;
};

class StandInAllocator final : public c10::Allocator {
 public:
  c10::DataPtr allocate(std::size_t bytes) override {
    if (bytes == 0) return {nullptr, c10::Device(kind, 0)};
    auto* block = new HiddenPages(bytes);
    return {block->begin, block, free_block, c10::Device(kind, 0)};
  }
  c10::DeleterFnPtr raw_deleter() const override { return nullptr; }
  void copy_data(void*, const void*, std::size_t) const override {
    TORCH_CHECK(false, "the stand-in copies tensors, not bytes");
  }

 private:
  static void free_block(void* block) { delete static_cast<HiddenPages*>(block); }
};

StandInAllocator& allocator() {
  static StandInAllocator the_allocator;
  return the_allocator;
}

at::Tensor empty(at::IntArrayRef size, std::optional<at::ScalarType> dtype, std::optional<at::Layout>,
                 std::optional<at::Device>, std::optional<bool>, std::optional<at::MemoryFormat> format) {
  return at::detail::empty_generic(size, &allocator(), c10::DispatchKeySet(c10::DispatchKey::PrivateUse1),
                                   dtype.value_or(at::kFloat), format);
}

at::Tensor empty_strided(at::IntArrayRef size, at::IntArrayRef stride, std::optional<at::ScalarType> dtype,
                         std::optional<at::Layout>, std::optional<at::Device>, std::optional<bool>) {
  return at::detail::empty_strided_generic(size, stride, &allocator(),
                                           c10::DispatchKeySet(c10::DispatchKey::PrivateUse1),
                                           dtype.value_or(at::kFloat));
}

// The tensor's memory as the CPU sees it while it is opened.
at::Tensor on_host(const at::Tensor& x) {
  return x.device().type() != kind ? x : at::from_blob(x.data_ptr(), x.sizes(), x.strides(), x.scalar_type());
}

at::Tensor copy_from(const at::Tensor& from, const at::Tensor& to, bool non_blocking) {
  if (from.numel() == 0) return to;
  if (from.is_cpu() || to.is_cpu()) {
    const auto& on_cpu = from.is_cpu() ? from : to;
    if (!non_blocking || !PinnedAllocator::holds(on_cpu.const_data_ptr()))
      note_wait(from.is_cpu() ? "a copy to the card" : "a copy to the host");
  }
  const Within here;
  const Opened source(from), target(to);
  on_host(to).copy_(from.is_conj() ? on_host(from).conj() : on_host(from));
  return to;
}

const at::Tensor& resize_there(const at::Tensor& x, at::IntArrayRef size, std::optional<at::MemoryFormat>) {
  if (x.sizes() == size) return x;  // a view keeps its strides
  const auto bytes = at::detail::computeStorageNbytesContiguous(size, x.dtype().itemsize());
  auto storage = x.storage();
  if (bytes > storage.nbytes()) {
    storage.set_data_ptr_noswap(allocator().allocate(bytes));
    storage.set_nbytes(bytes);
  }
  x.unsafeGetTensorImpl()->set_sizes_contiguous(size);
  return x;
}

at::Tensor copy_from_and_resize(const at::Tensor& from, const at::Tensor& to) {
  resize_there(to, from.sizes(), {});
  return copy_from(from, to, false);
}

// A number on the CPU may stand beside tensors of a card; a tensor may not.
void check_devices(const std::vector<at::Tensor>& arguments, const std::string& operation) {
  bool there = false, on_cpu = false;
  for (const auto& x : arguments) {
    there = there || (x.defined() && x.device().type() == kind);
    on_cpu = on_cpu || (x.defined() && x.is_cpu() && x.dim() > 0);
  }
  TORCH_CHECK(!there || !on_cpu, operation, ": one tensor is on ", c10::Device(kind, 0),
              ", another on the CPU");
}

void fallback(const c10::OperatorHandle& operation, torch::jit::Stack* stack) {
  std::vector<at::Tensor> arguments;
  for (const auto& value : torch::jit::last(*stack, operation.schema().arguments().size())) {
    if (value.isTensor()) arguments.push_back(value.toTensor());
    if (value.isTensorList())
      for (const auto& x : value.toTensorVector()) arguments.push_back(x);
    if (value.isOptionalTensorList())
      for (const std::optional<at::Tensor>& x : value.toOptionalTensorVector())
        if (x) arguments.push_back(*x);
  }
  const auto& name = operation.schema().name();
  check_devices(arguments, name);
  static const std::set<std::string> waiting = {
      "aten::_local_scalar_dense", "aten::equal",   "aten::nonzero",
      "aten::masked_select",       "aten::_unique", "aten::_unique2",
      "aten::unique_dim"};
  const bool by_mask = name.starts_with("aten::index") &&
                       std::any_of(arguments.begin() + 1, arguments.end(), [](const at::Tensor& x) {
                         return x.defined() && x.scalar_type() == at::kBool;
                       });
  if (waiting.contains(name) || by_mask) note_wait(name);
  const Within here;
  at::native::cpu_fallback(operation, stack, /*error_on_views=*/true);
}

at::Tensor convolution(const at::Tensor& x, const at::Tensor& weight, const std::optional<at::Tensor>& bias,
                       at::IntArrayRef stride, at::IntArrayRef padding, at::IntArrayRef dilation,
                       bool transposed, at::IntArrayRef output_padding, int64_t groups) {
  check_devices({x, weight, bias.value_or(at::Tensor())}, "convolution");
  const Within here;
  const auto there = bias && bias->defined() ? std::optional(bias->cpu()) : std::nullopt;
  return at::convolution(x.cpu(), weight.cpu(), there, stride, padding, dilation, transposed, output_padding,
                         groups)
      .to(x.device());
}

std::tuple<at::Tensor, at::Tensor, at::Tensor> convolution_backward(
    const at::Tensor& gradient, const at::Tensor& x, const at::Tensor& weight, at::IntArrayRef stride,
    at::IntArrayRef padding, at::IntArrayRef dilation, bool transposed, at::IntArrayRef output_padding,
    int64_t groups, std::array<bool, 3> wanted) {
  check_devices({gradient, x, weight}, "convolution_backward");
  const Within here;
  const std::vector<int64_t> bias_size = {gradient.size(1)};
  const auto [of_x, of_weight, of_bias] = at::convolution_backward(
      gradient.cpu(), x.cpu(), weight.cpu(), wanted[2] ? at::OptionalIntArrayRef(bias_size) : std::nullopt,
      stride, padding, dilation, transposed, output_padding, groups, wanted);
  const auto there = [&](const at::Tensor& tensor) {
    return tensor.defined() ? tensor.to(x.device()) : tensor;
  };
  return {there(of_x), there(of_weight), there(of_bias)};
}

TORCH_LIBRARY_IMPL(_, PrivateUse1, library) {
  library.fallback(torch::CppFunction::makeFromBoxedFunction<&fallback>());
}

// Conjugates are resolved by copying them.
TORCH_LIBRARY_IMPL(aten, Conjugate, library) {
  library.impl("_copy_from", torch::CppFunction::makeFallthrough());
}

TORCH_LIBRARY_IMPL(aten, PrivateUse1, library) {
  library.impl("empty.memory_format", empty);
  library.impl("empty_strided", empty_strided);
  library.impl("_copy_from", copy_from);
  library.impl("_copy_from_and_resize", copy_from_and_resize);
  library.impl("resize_", resize_there);
  library.impl("as_strided", at::native::as_strided_tensorimpl);
  library.impl("view", at::native::view);
  library.impl("_reshape_alias", at::native::_reshape_alias);
  library.impl("unfold", at::native::unfold);
  library.impl("view_as_real", at::native::view_as_real);
  library.impl("view_as_complex", at::native::view_as_complex);
  library.impl("convolution_overrideable", convolution);
  library.impl("convolution_backward_overrideable", convolution_backward);
}

}  // namespace

namespace test {

std::vector<std::string> waits_of_stand_in() {
  const std::lock_guard lock(seen_mutex);
  return std::exchange(waits, {});
}

std::vector<int64_t> streams_of_stand_in() {
  const std::lock_guard lock(seen_mutex);
  const auto seen = std::exchange(streams, {});
  return {seen.begin(), seen.end()};
}

}  // namespace test
}  // namespace t2v
