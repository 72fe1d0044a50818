// Against the reference, step by step: tests/golden/schedulers.json from tools/oracle/schedulers.py.
#include <gtest/gtest.h>

#include <algorithm>
#include <iostream>

#include "schedulers/schedule.h"
#include "support.h"

namespace t2v::test {
namespace {

// Of the tensor's scale. On a processor like the golden file's the error is zero. Where torch's kernels round
// square roots and logarithms otherwise, a thousand steps of UniPC with zero terminal SNR add up to 2.7e-4 (a
// Xeon with AMX; the reference beside its own golden file there differs by the same), and the solver in its
// noise form, which is worse conditioned, comes to 1.01e-5.
double tolerance_of(const Json& golden_case) {
  if (golden_case.at("steps").get<int64_t>() > 100) return 5e-4;
  // The reference's Euler subtracts numbers of 4096 times the result's in float32.
  const auto& settings = golden_case.at("settings");
  if (golden_case.at("class") == "EulerDiscreteScheduler" &&
      settings.value("rescale_betas_zero_snr", false) && !settings.contains("sigma_max"))
    return 5e-4;
  return settings.value("predict_x0", true) ? 1e-5 : 2e-5;
}

// Euler's timesteps between two trained ones come of float32 logarithms, which numpy rounds otherwise in one
// of twenty.
double timestep_tolerance_of(const Json& golden_case) {
  return golden_case.at("class") == "EulerDiscreteScheduler" ? 1e-3 : 0;
}

std::string variance_of(const Json& golden_case) {
  return golden_case.at("settings").value("variance_type", "");
}

Schedule schedule_of(const Json& golden_case) {
  return {.steps = golden_case.at("steps").get<int64_t>(),
          .eta = golden_case.at("eta").get<double>(),
          .timesteps = golden_case.value("given_timesteps", std::vector<double>()),
          .sigmas = golden_case.value("given_sigmas", std::vector<double>()),
          .tokens = golden_case.value("tokens", int64_t{0}),
          .predicts_variance = variance_of(golden_case).starts_with("learned")};
}

// The bank of a case: with a variance beside each prediction where it is learned.
Bank bank_for(const Bank& shared, const Json& golden_case, const Scheduler& scheduler) {
  auto bank = shared;
  bank.start = shared.start * scheduler.init_noise_sigma();
  const auto variance = variance_of(golden_case);
  const auto count = shared.predictions.size();
  for (std::size_t i = 0; variance.starts_with("learned") && i < count; ++i) {
    const auto& beside = shared.predictions[(i + 1) % count];
    bank.predictions[i] = at::cat(
        {shared.predictions[i], variance == "learned" ? beside.abs() : beside.clamp(-1, 1)}, 1);
  }
  return bank;
}

TEST(Schedulers, AgreeWithTheReferenceAtEveryStep) {
  const auto golden_file = read_json(golden("schedulers.json"));
  const auto shared = bank_of(golden_file);
  double worst = 0;
  std::string worst_case;
  for (const auto& expected : golden_file.at("cases")) {
    const auto class_name = expected.at("class").get<std::string>();
    const auto description = class_name + " " + expected.at("settings").dump() + " steps " +
                             expected.at("steps").dump() + " eta " + expected.at("eta").dump();
    SCOPED_TRACE(description);
    const auto steps = expected.at("steps").get<int64_t>();
    const auto scheduler = make_scheduler(scheduler_of_class(class_name, "golden").name,
                                          config_of(class_name, expected.at("settings")),
                                          schedule_of(expected));
    ASSERT_EQ(static_cast<int64_t>(scheduler->timesteps().size()), steps);
    const auto timesteps = expected.at("timesteps").get<std::vector<double>>();
    for (std::size_t i = 0; i < timesteps.size(); ++i)
      EXPECT_NEAR(scheduler->timesteps()[i], timesteps[i], timestep_tolerance_of(expected)) << "at " << i;
    const auto bank = bank_for(shared, expected, *scheduler);
    const auto samples = run_steps(*scheduler, bank, bank.start, 0, steps);
    const double tolerance = tolerance_of(expected);
    for (std::size_t k = 0; k < expected.at("kept").size(); ++k) {
      const auto step = expected.at("kept")[k].get<std::size_t>();
      const auto reference = tensor_of(expected.at("samples")[k], golden_file.at("shape"));
      const double scale = reference.abs().max().item<double>();
      const double error = (samples.at(step) - reference).abs().max().item<double>() / scale;
      EXPECT_LE(error, tolerance) << "at step " << step;
      if (error > worst) {
        worst = error;
        worst_case = description + ", step " + std::to_string(step);
      }
    }
  }
  std::cout << "worst relative error " << worst << ": " << worst_case << "\n";
}

// The sum that the oracle writes in place of every timestep.
int64_t weighted_sum(const std::vector<double>& timesteps) {
  int64_t sum = 0;
  for (std::size_t i = 0; i < timesteps.size(); ++i)
    sum += static_cast<int64_t>(timesteps[i]) * static_cast<int64_t>(i + 1);
  return sum % 65521;
}

TEST(Schedulers, TimestepsAreTheReferencesForEveryNumberOfSteps) {
  const auto golden_file = read_json(golden("schedulers.json"));
  for (const auto& grid : golden_file.at("timestep_sums")) {
    SCOPED_TRACE(grid.at("class").get<std::string>() + " " + grid.at("settings").dump());
    const std::string name = scheduler_of_class(grid.at("class").get<std::string>(), "golden").name;
    const auto config = config_of(grid.at("class").get<std::string>(), grid.at("settings"));
    int64_t longer_in_reference = 0;
    for (int64_t steps = 1; steps <= 1000; steps += config.use_flow_sigmas ? 37 : 1) {
      std::vector<double> timesteps;
      if (config.use_flow_sigmas)
        timesteps = make_scheduler(name, config, {.steps = steps})->timesteps();
      else
        for (const auto one : spaced_timesteps(config, steps, name == "unipc" ? 1 : 0))
          timesteps.push_back(static_cast<double>(one));
      ASSERT_EQ(static_cast<int64_t>(timesteps.size()), steps);
      ASSERT_TRUE(std::is_sorted(timesteps.rbegin(), timesteps.rend())) << steps;
      ASSERT_GE(timesteps.back(), 0) << steps;
      ASSERT_LT(timesteps.front(), 1000) << steps;
      const auto expected = grid.at("sums")[static_cast<std::size_t>(steps - 1)];
      if (expected.is_null()) {
        ++longer_in_reference;
      } else {
        EXPECT_EQ(weighted_sum(timesteps), expected.get<int64_t>()) << steps << " steps";
      }
    }
    EXPECT_EQ(longer_in_reference, config.timestep_spacing == TimestepSpacing::trailing ? 62 : 0);
  }
}

}  // namespace
}  // namespace t2v::test
