// The device that tests of networks run on, and what they leave for tools/device-check's table.
#pragma once

#include <ATen/ATen.h>

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "golden.h"

namespace t2v::test {

// T2V_TEST_DEVICE: cuda, cuda:1, or privateuseone (tests/device/stand_in.cpp); the CPU where it is not set.
inline at::Device device() {
  static const at::Device named = [] {
    const char* name = std::getenv("T2V_TEST_DEVICE");
    at::Device device(name == nullptr || *name == '\0' ? "cpu" : name);
    if (!device.is_cpu() && !device.has_index()) device.set_index(0);
    return device;
  }();
  return named;
}

inline at::Tensor here(const at::Tensor& x) { return x.to(device()); }

// random_normal, drawn on the CPU, there.
inline at::Tensor random_here(at::IntArrayRef shape, int64_t seed) {
  return here(random_normal(shape, seed));
}

// An error's limit: `on_cpu`, and 1e-3 of scale on other devices, which sum in another order.
inline double limit(double on_cpu) { return device().is_cpu() ? on_cpu : 1e-3; }

// Equal bits on the CPU; on other devices, whose products choose their algorithm by shape, within the limit.
inline bool same(const at::Tensor& found, const at::Tensor& expected) {
  if (device().is_cpu()) return at::equal(found, expected);
  return relative_error(found, expected) <= limit(0);
}

// Prints an error, and adds it to the line of the table that `stage` is.
inline void record(const std::string& stage, const std::string& what, double error,
                   std::optional<double> limit) {
  std::printf("%s: %s %.1e%s\n", stage.c_str(), what.c_str(), error,
              limit ? (" of " + nlohmann::json(*limit).dump()).c_str() : "");
  const char* file = std::getenv("T2V_TEST_RECORD");
  if (file == nullptr) return;
  nlohmann::json line = {{"stage", stage}, {"error", error}};
  if (limit) line["limit"] = *limit;
  std::ofstream(file, std::ios::app) << line.dump() << "\n";
}

}  // namespace t2v::test
