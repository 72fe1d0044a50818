#include "pipeline/flop_counter.h"

#include <ATen/ATen.h>
#include <ATen/record_function.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <map>
#include <mutex>
#include <set>
#include <string_view>

#include "pipeline/run/stopwatch.h"

namespace t2v {

namespace {

std::atomic<double> total = 0;
thread_local int depth = 0;  // of counted operations
std::mutex attention_mutex;
std::set<std::string> attention_names;

void note_attention(std::string_view name) {
  constexpr std::string_view prefix = "aten::_scaled_dot_product_";
  if (!name.starts_with(prefix)) return;
  const std::lock_guard lock(attention_mutex);
  attention_names.emplace(name.substr(prefix.size()));
}

enum class Kind { product, convolution, attention };

// By name, and which inputs are multiplied.
struct Counted {
  Kind kind;
  std::size_t first, second;
};
const Counted* find(const at::RecordFunction& function) {
  static const std::map<std::string, Counted> counted = {
      {"aten::linear", {Kind::product, 0, 1}},
      {"aten::matmul", {Kind::product, 0, 1}},
      {"aten::mm", {Kind::product, 0, 1}},
      {"aten::bmm", {Kind::product, 0, 1}},
      {"aten::addmm", {Kind::product, 1, 2}},
      {"aten::baddbmm", {Kind::product, 1, 2}},
      {"aten::convolution", {Kind::convolution, 0, 1}},
      {"aten::mkldnn_convolution", {Kind::convolution, 0, 1}},
      {"aten::scaled_dot_product_attention", {Kind::attention, 0, 1}}};
  const auto entry = counted.find(function.name());
  return entry == counted.end() ? nullptr : &entry->second;
}

// What is known of an operation when it begins: its inputs are gone when it ends.
struct Cost : at::ObserverContext {
  double whole = 0, of_result = 0;  // for each number of the result
};

std::unique_ptr<Cost> cost_of(const Counted& counted, const at::RecordFunction& function) {
  auto cost = std::make_unique<Cost>();
  const auto inputs = function.inputs();
  if (inputs.size() <= counted.second) return cost;
  const auto &a = inputs[counted.first], &b = inputs[counted.second];
  if (!a.isTensor() || !b.isTensor()) return cost;
  const auto &first = a.toTensor(), &second = b.toTensor();
  if (counted.kind == Kind::product)
    cost->of_result = 2 * static_cast<double>(first.size(-1));
  else if (counted.kind == Kind::convolution)
    cost->of_result = 2 * static_cast<double>(second.numel() / second.size(0));
  else  // scores, and the sum of the values: rows of the second input for each number of the first
    cost->whole = 4 * static_cast<double>(first.numel()) * static_cast<double>(second.size(-2));
  return cost;
}

std::unique_ptr<at::ObserverContext> begin(const at::RecordFunction& function) {
  note_attention(function.name());
  const auto* counted = find(function);
  if (counted == nullptr || depth++ > 0) return nullptr;
  return cost_of(*counted, function);
}

void end(const at::RecordFunction& function, at::ObserverContext* context) {
  if (find(function) == nullptr) return;
  --depth;
  if (context == nullptr) return;
  const auto& cost = static_cast<const Cost&>(*context);
  const auto& results = function.outputs();
  const bool known = !results.empty() && results[0].isTensor();
  total += cost.whole + (known ? cost.of_result * static_cast<double>(results[0].toTensor().numel()) : 0);
}

}  // namespace

FlopCounter::FlopCounter() {
  total = 0;
  attention_names.clear();
  handle_ = at::addGlobalCallback(at::RecordFunctionCallback(begin, end)
                                      .needsInputs(true)
                                      .needsOutputs(true)
                                      .scopes({at::RecordScope::FUNCTION}));
}

FlopCounter::~FlopCounter() { at::removeCallback(handle_); }

double FlopCounter::flops() const { return total; }

std::vector<std::string> FlopCounter::attention() const {
  const std::lock_guard lock(attention_mutex);
  return {attention_names.begin(), attention_names.end()};
}

void wait_for_device(at::Device device) { at::zeros({1}, at::TensorOptions(device)).cpu(); }

double product_rate(at::Device device, at::ScalarType dtype, int rounds) {
  const int64_t size = device.is_cpu() ? 1024 : 8192;
  const auto options = at::TensorOptions(device).dtype(dtype);
  const auto a = at::rand({size, size}, options), b = at::rand({size, size}, options);
  auto c = at::mm(a, b);
  wait_for_device(device);
  double best = 0;
  for (int round = 0; round < rounds; ++round) {
    constexpr int times = 8;
    const Stopwatch watch;
    for (int i = 0; i < times; ++i) at::mm_out(c, a, b);
    wait_for_device(device);
    best = std::max(best, times * 2.0 * std::pow(static_cast<double>(size), 3) / watch.seconds());
  }
  return best;
}

}  // namespace t2v
