// What the scheduler tests share: the golden file of tools/oracle/schedulers.py and configs from short JSON
// texts.
#pragma once

#include <ATen/ATen.h>

#include <string>
#include <vector>

#include "base/json.h"
#include "device.h"
#include "paths.h"
#include "schedulers/scheduler_classes.h"

namespace t2v::test {

inline SchedulerConfig config_of(const std::string& class_name, Json settings) {
  settings["_class_name"] = class_name;
  return parse_scheduler_config(settings, "scheduler_config.json");
}

// The shipped model's, with other settings.
inline SchedulerConfig shipped_config(const Json& settings = Json::object()) {
  auto json = read_json(shipped_model() / "scheduler" / "scheduler_config.json");
  json.update(settings);
  return parse_scheduler_config(json, "scheduler_config.json");
}

// The shared inputs of the golden cases.
struct Bank {
  at::Tensor start;
  std::vector<at::Tensor> predictions, noises;
};

inline at::Tensor tensor_of(const Json& values, const Json& shape) {
  return here(at::tensor(values.get<std::vector<float>>())).reshape(shape.get<std::vector<int64_t>>());
}

inline Bank bank_of(const Json& golden) {
  Bank bank{.start = tensor_of(golden.at("start"), golden.at("shape")), .predictions = {}, .noises = {}};
  for (const auto& values : golden.at("predictions"))
    bank.predictions.push_back(tensor_of(values, golden.at("shape")));
  for (const auto& values : golden.at("noises")) bank.noises.push_back(tensor_of(values, golden.at("shape")));
  return bank;
}

// Of step i: noise i of the bank, then those after it.
inline std::vector<at::Tensor> noises_of(const Scheduler& scheduler, const Bank& bank, int64_t i) {
  std::vector<at::Tensor> noises;
  for (int64_t k = 0; k < scheduler.noises_needed(i); ++k)
    noises.push_back(bank.noises[static_cast<std::size_t>(i + k) % bank.noises.size()]);
  return noises;
}

// Runs steps first ... last - 1 from `sample` on the bank's predictions; returns every sample.
inline std::vector<at::Tensor> run_steps(Scheduler& scheduler, const Bank& bank, at::Tensor sample,
                                         int64_t first, int64_t last) {
  std::vector<at::Tensor> samples;
  for (int64_t i = first; i < last; ++i) {
    const auto at_bank = static_cast<std::size_t>(i) % bank.predictions.size();
    sample = scheduler.step(bank.predictions[at_bank], i, sample, noises_of(scheduler, bank, i));
    samples.push_back(sample);
  }
  return samples;
}

}  // namespace t2v::test
