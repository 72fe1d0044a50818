#include <gtest/gtest.h>

#include "errors.h"
#include "support.h"

namespace t2v::test {
namespace {

const char* const kDdpm = "DDPMScheduler";
const char* const kDdim = "DDIMScheduler";
const char* const kUniPcClass = "UniPCMultistepScheduler";

SchedulerConfig flow_config(const Json& settings = Json::object()) {
  return config_of("FlowMatchEulerDiscreteScheduler", settings);
}

ErrorKind kind_thrown(const std::string& name, const SchedulerConfig& config, int64_t steps, double eta = 0) {
  try {
    make_scheduler(name, config, {.steps = steps, .eta = eta});
  } catch (const Error& error) {
    return error.kind();
  }
  ADD_FAILURE() << "nothing was thrown";
  return ErrorKind::internal;
}

Bank seeded_bank() { return bank_of(read_json(golden("schedulers.json"))); }

TEST(TrainingLevel, IsWhatTheNetworkWasTrainedToSee) {
  const auto config = shipped_config();  // squared cosine with zero terminal SNR
  const auto last = training_level(config, 999), middle = training_level(config, 500);
  EXPECT_EQ(last.alpha, 0);
  EXPECT_EQ(last.sigma, 1);
  EXPECT_NEAR(middle.alpha * middle.alpha + middle.sigma * middle.sigma, 1, 1e-6);
  EXPECT_NEAR(middle.alpha * middle.alpha, 0.5, 0.02);  // the cosine's middle
  auto flow = config;
  flow.use_flow_sigmas = true;
  EXPECT_EQ(training_level(flow, 250).alpha, 0.75F);
  EXPECT_EQ(training_level(flow, 250).sigma, 0.25F);
  for (const int64_t timestep : {-1, 1000})
    expect_error(ErrorKind::usage, {"0 and 999", std::to_string(timestep)},
                 [&] { training_level(config, timestep); });
}

// What a step makes of the true prediction is linear in the clean sample, the noise in the sample and the
// fresh noise: three elements, each with one of them, tell the three factors. Known content is noised to a
// level by the same numbers (add_noise), and would stand out if they were others.
void expect_levels_of(const std::string& name, const SchedulerConfig& config, const Schedule& schedule) {
  SCOPED_TRACE(name + " " + config.settings.dump());
  const auto scheduler = make_scheduler(name, config, schedule);
  const auto clean = here(at::tensor({1.0F, 0.0F, 0.0F})), noise = here(at::tensor({0.0F, 1.0F, 0.0F})),
             fresh = here(at::tensor({0.0F, 0.0F, 1.0F}));
  for (int64_t i = 0; i < schedule.steps; ++i) {
    const auto [alpha, sigma] = scheduler->level(i);
    const auto sample = scheduler->add_noise(clean, noise, i);
    EXPECT_TRUE(at::equal(sample, clean * alpha + noise * sigma));
    const auto prediction = config.use_flow_sigmas ? noise - clean : noise * alpha - clean * sigma;
    const auto needed = static_cast<std::size_t>(scheduler->noises_needed(i));
    const auto next = scheduler->step(prediction, i, sample, std::vector(needed, fresh)).cpu();
    const auto* factors = next.const_data_ptr<float>();
    const auto expected = i + 1 < schedule.steps ? scheduler->level(i + 1) : NoiseLevel{1, 0};
    EXPECT_NEAR(factors[0], expected.alpha, 2e-4) << "after step " << i;
    EXPECT_NEAR(std::hypot(factors[1], factors[2]), expected.sigma, 2e-4) << "after step " << i;
    EXPECT_EQ(std::abs(factors[2]) > 1e-4, needed > 0 && expected.sigma > 0) << "after step " << i;
  }
}

TEST(Schedulers, StepFromOneLevelToTheNext) {
  for (const auto& name : scheduler_names()) {
    if (name != "flow-euler") expect_levels_of(name, shipped_config(), {.steps = 10});
    if (scheduler_named(name).samples_flows)
      expect_levels_of(name, flow_config({{"shift", 3.0}}), {.steps = 10});
  }
  expect_levels_of("ddim", shipped_config(), {.steps = 10, .eta = 0.7});
  expect_levels_of("flow-euler", flow_config({{"stochastic_sampling", true}}), {.steps = 10});
  expect_levels_of("ddpm", shipped_config(), {.steps = 4, .timesteps = {999, 749, 300, 20}});
  expect_levels_of("dpm++", shipped_config(), {.steps = 3, .timesteps = {999, 600, 100}});
  expect_levels_of("euler", shipped_config(), {.steps = 3, .timesteps = {999, 600.5, 100}});
  for (const char* spacing : {"karras", "exponential", "beta"}) {
    for (const char* name : {"euler", "unipc", "dpm++", "dpm++-sde"})
      expect_levels_of(name, shipped_config({{"sigma_max", 80}}), {.steps = 6, .sigma_schedule = spacing});
    expect_levels_of("flow-euler", flow_config(), {.steps = 6, .sigma_schedule = spacing});
  }
  expect_levels_of("unipc", flow_config(), {.steps = 6, .sigma_schedule = "karras"});
  expect_levels_of("flow-euler", flow_config(), {.steps = 3, .sigmas = {0.9, 0.5, 0.3}});
  expect_levels_of("unipc", flow_config({{"shift", 5.0}}), {.steps = 3, .sigmas = {0.9, 0.5, 0.3}});
}

// Each that remembers, of each order.
std::vector<std::pair<std::string, SchedulerConfig>> multistep() {
  std::vector<std::pair<std::string, SchedulerConfig>> all = {{"cogvideox-dpm", shipped_config()}};
  for (const int order : {1, 2, 3})
    for (const char* name : {"unipc", "dpm++", "dpm++-sde"})
      all.emplace_back(name, shipped_config({{"solver_order", order}}));
  return all;
}

TEST(Schedulers, GoOnFromASavedHistoryAsIfUninterrupted) {
  const auto bank = seeded_bank();
  for (const auto& [name, config] : multistep()) {
    const int64_t steps = 8;
    const auto whole = run_steps(*make_scheduler(name, config, {.steps = steps}), bank, bank.start, 0, steps);
    for (int64_t cut = 1; cut < steps; ++cut) {
      const auto first = make_scheduler(name, config, {.steps = steps});
      const auto sample = run_steps(*first, bank, bank.start, 0, cut).back();
      const auto second = make_scheduler(name, config, {.steps = steps});
      second->set_history(first->history());
      EXPECT_TRUE(at::equal(run_steps(*second, bank, sample, cut, steps).back(), whole.back()))
          << name << " cut at " << cut;
    }
  }
}

TEST(Schedulers, HistoryMattersAndMustFit) {
  const auto bank = seeded_bank();
  for (const char* name : {"unipc", "dpm++", "dpm++-sde", "cogvideox-dpm"}) {
    const auto scheduler = make_scheduler(name, shipped_config(), {.steps = 8});
    const auto half = run_steps(*scheduler, bank, bank.start, 0, 4).back();
    const auto history = scheduler->history();
    const auto with = run_steps(*scheduler, bank, half, 4, 8);
    scheduler->set_history({});
    const auto without = run_steps(*scheduler, bank, half, 4, 8);  // starting in the middle, as editing does
    EXPECT_FALSE(at::allclose(with.front(), without.front())) << name;
    scheduler->set_history(history);
    EXPECT_THROW(run_steps(*scheduler, bank, half, 5, 6), Error) << name;
  }
}

// As in a pipeline that writes the first step's result over its sample.
TEST(Schedulers, TheCorrectorGoesOnFromASampleThatWasOverwritten) {
  const auto bank = seeded_bank();
  auto config = shipped_config();
  const auto plain = make_scheduler("unipc", config, {.steps = 6});
  const auto first = run_steps(*plain, bank, bank.start, 0, 1).back();
  auto history = plain->history();
  history.last_sample = first;
  plain->set_history(history);
  const auto expected = run_steps(*plain, bank, first, 1, 6);
  config.overwrites_samples = true;
  const auto found = run_steps(*make_scheduler("unipc", config, {.steps = 6}), bank, bank.start, 0, 6);
  EXPECT_TRUE(at::equal(found.front(), first));
  for (std::size_t i = 0; i < expected.size(); ++i) EXPECT_TRUE(at::equal(found[i + 1], expected[i])) << i;
  config.overwrites_samples = false;
  const auto without = run_steps(*make_scheduler("unipc", config, {.steps = 6}), bank, bank.start, 0, 6);
  EXPECT_FALSE(at::allclose(without[1], found[1]));
}

TEST(Schedulers, KeepNoneOfTheCallersTensors) {
  const auto bank = seeded_bank();
  for (const char* name : {"unipc", "dpm++", "cogvideox-dpm"})
    for (const char* prediction : {"epsilon", "sample", "v_prediction"})
      for (const bool predict_x0 : {true, false}) {
        const auto config = config_of(kUniPcClass, {{"prediction_type", prediction},
                                                    {"predict_x0", predict_x0},
                                                    {"final_sigmas_type", "sigma_min"}});
        const auto expected = run_steps(*make_scheduler(name, config, {.steps = 6}), bank, bank.start, 0, 6);
        const auto scheduler = make_scheduler(name, config, {.steps = 6});
        auto sample = bank.start.clone();
        const auto buffer = at::empty_like(sample);
        for (int64_t i = 0; i < 6; ++i) {
          buffer.copy_(bank.predictions[static_cast<std::size_t>(i)]);
          const auto next = scheduler->step(buffer, i, sample, noises_of(*scheduler, bank, i));
          sample.fill_(NAN);
          sample = next.clone();
        }
        EXPECT_TRUE(at::equal(sample, expected.back())) << name << " " << prediction;
      }
}

TEST(Schedulers, NoiseIsNeededWhereTheReferenceDrawsIt) {
  auto config = shipped_config();
  config.timestep_spacing = TimestepSpacing::leading;
  const auto ddpm = make_scheduler("ddpm", config, {.steps = 10});
  EXPECT_EQ(ddpm->noises_needed(0), 1);
  EXPECT_EQ(ddpm->noises_needed(8), 1);
  EXPECT_EQ(ddpm->noises_needed(9), 0);  // timestep 0
  config.timestep_spacing = TimestepSpacing::trailing;
  EXPECT_EQ(make_scheduler("ddpm", config, {.steps = 10})->noises_needed(9), 1);
  EXPECT_EQ(make_scheduler("ddim", config, {.steps = 10})->noises_needed(3), 0);
  EXPECT_EQ(make_scheduler("ddim", config, {.steps = 10, .eta = 0.5})->noises_needed(3), 1);
  EXPECT_EQ(make_scheduler("unipc", config, {.steps = 10})->noises_needed(3), 0);
  EXPECT_EQ(make_scheduler("dpm++", config, {.steps = 10})->noises_needed(3), 0);
  EXPECT_EQ(make_scheduler("dpm++-sde", config, {.steps = 10})->noises_needed(3), 1);
  // Two once there is a prediction before, but for the last step, which ends at the clean sample.
  const auto bank = seeded_bank();
  const auto cogvideox = make_scheduler("cogvideox-dpm", config, {.steps = 4});
  std::vector<int64_t> noises;
  auto sample = bank.start;
  for (int64_t i = 0; i < 4; ++i) {
    noises.push_back(cogvideox->noises_needed(i));
    sample = cogvideox->step(bank.predictions[0], i, sample, noises_of(*cogvideox, bank, i));
  }
  EXPECT_EQ(noises, (std::vector<int64_t>{1, 2, 2, 1}));
}

TEST(Schedulers, AStepWithUnfitArgumentsIsADefect) {
  const auto bank = seeded_bank();
  const auto ddpm = make_scheduler("ddpm", shipped_config(), {.steps = 10});
  const auto& sample = bank.start;
  EXPECT_THROW(ddpm->step(sample, 0, sample, {}), Error);  // no noise
  EXPECT_THROW(ddpm->step(sample, 0, sample, {sample, sample}), Error);
  EXPECT_THROW(ddpm->step(sample, 10, sample, {sample}), Error);
  EXPECT_THROW(ddpm->step(sample, -1, sample, {sample}), Error);
  EXPECT_THROW(ddpm->step(sample[0], 0, sample, {sample}), Error);
  EXPECT_THROW(ddpm->step(sample.to(at::kDouble), 0, sample, {sample}), Error);
  EXPECT_THROW(ddpm->step(sample, 0, sample, {sample[0]}), Error);
  EXPECT_NO_THROW(ddpm->step(sample, 0, sample, {sample}));
}

TEST(Schedulers, StayOnTheSamplesDevice) {
  const auto options = at::TensorOptions().device(at::kMeta).dtype(at::kFloat);
  for (const auto& name : scheduler_names()) {
    const auto config = name == "flow-euler" ? flow_config({{"stochastic_sampling", true}})
                                             : shipped_config({{"solver_order", 3}});
    const auto scheduler = make_scheduler(name, config, {.steps = 6, .eta = name == "ddim" ? 0.5 : 0});
    for (const auto& shape : {std::vector<int64_t>{7, 64}, std::vector<int64_t>{1, 16, 3, 4, 6}}) {
      scheduler->set_history({});
      auto sample = at::empty(shape, options);
      for (int64_t i = 0; i < 6; ++i)
        sample = scheduler->step(
            at::empty(shape, options), i, sample,
            std::vector(static_cast<std::size_t>(scheduler->noises_needed(i)), at::empty(shape, options)));
      EXPECT_TRUE(sample.is_meta());
      EXPECT_EQ(sample.scalar_type(), at::kFloat);
      EXPECT_EQ(sample.sizes().vec(), shape);
    }
  }
}

TEST(Schedulers, ATokensResultDoesNotDependOnItsNeighbours) {
  const auto bank = seeded_bank();
  for (const auto& name : scheduler_names()) {
    const auto config = name == "flow-euler" ? flow_config() : shipped_config();
    const auto whole = run_steps(*make_scheduler(name, config, {.steps = 6}), bank, bank.start, 0, 6).back();
    Bank row{.start = bank.start[1], .predictions = {}, .noises = {}};
    for (const auto& prediction : bank.predictions) row.predictions.push_back(prediction[1]);
    for (const auto& noise : bank.noises) row.noises.push_back(noise[1]);
    EXPECT_TRUE(at::equal(run_steps(*make_scheduler(name, config, {.steps = 6}), row, row.start, 0, 6).back(),
                          whole[1]));
  }
}

TEST(Schedulers, FullNoiseFractionIsFiniteAtZeroTerminalSnr) {
  // The reference gives NaN for 24 of these step counts (3, 7, 14, 20, ...), by a square root of a rounding
  // error.
  const auto bank = seeded_bank();
  for (int64_t steps = 1; steps < 60; ++steps) {
    const auto sample = run_steps(*make_scheduler("ddim", shipped_config(), {.steps = steps, .eta = 1}), bank,
                                  bank.start, 0, steps)
                            .back();
    EXPECT_TRUE(sample.isfinite().all().item<bool>()) << steps;
  }
}

TEST(Schedulers, TheLastStepOfBh1IsTheCleanSample) {
  // At the final sigma of zero the reference multiplies an infinity by zero here.
  const auto bank = seeded_bank();
  const auto config = config_of(kUniPcClass, {{"solver_type", "bh1"}, {"prediction_type", "sample"}});
  const auto samples = run_steps(*make_scheduler("unipc", config, {.steps = 5}), bank, bank.start, 0, 5);
  EXPECT_TRUE(at::allclose(samples.back(), bank.predictions[4], 1e-6, 1e-6));
}

TEST(Schedulers, RefuseWhatTheyCannotSample) {
  for (const std::string kind : {"ddpm", "ddim", "unipc", "euler", "dpm++", "cogvideox-dpm"}) {
    for (const int64_t steps : {int64_t{-1}, int64_t{0}, int64_t{1001}, INT64_MAX})
      EXPECT_EQ(kind_thrown(kind, shipped_config(), steps), ErrorKind::usage);
    EXPECT_EQ(kind_thrown(kind, shipped_config(), 10, -0.1), ErrorKind::usage);
    EXPECT_EQ(kind_thrown(kind, shipped_config(), 10, NAN), ErrorKind::usage);
    EXPECT_NO_THROW(make_scheduler(kind, shipped_config(), {.steps = 1}));
    EXPECT_NO_THROW(make_scheduler(kind, shipped_config(), {.steps = 1000}));
  }
  EXPECT_EQ(kind_thrown("ddpm", shipped_config(), 10, 0.5), ErrorKind::usage);
  EXPECT_EQ(kind_thrown("unipc", shipped_config(), 10, 0.5), ErrorKind::usage);
  EXPECT_EQ(kind_thrown("ddim", shipped_config(), 10, 1.5), ErrorKind::usage);

  const auto flow = config_of(kUniPcClass,
                              {{"use_flow_sigmas", true}, {"prediction_type", "flow_prediction"}});
  EXPECT_EQ(kind_thrown("ddim", flow, 10), ErrorKind::usage);
  EXPECT_EQ(kind_thrown("ddpm", flow, 10), ErrorKind::usage);
  EXPECT_EQ(kind_thrown("cogvideox-dpm", flow, 10), ErrorKind::usage);
  EXPECT_EQ(kind_thrown("euler", flow, 10), ErrorKind::usage);
  EXPECT_EQ(kind_thrown("flow-euler", shipped_config(), 10), ErrorKind::usage);
  for (const char* variance : {"learned", "learned_range", "fixed_large_log"}) {
    const auto config = config_of(kDdim, {{"variance_type", variance}});
    EXPECT_EQ(kind_thrown("ddpm", config, 10), ErrorKind::usage);
    EXPECT_NO_THROW(make_scheduler("ddim", config, {.steps = 10}));  // which has no such setting
  }
}

TEST(Schedulers, OnlyAlearnedVarianceIsReadBesideThePrediction) {
  const auto bank = seeded_bank();
  const auto& sample = bank.start;
  const auto with_variance = [&](double variance) {
    return at::cat({bank.predictions[0], at::full_like(sample, variance)}, 1);
  };
  for (const auto& name : scheduler_names()) {
    const auto config = name == "flow-euler" ? flow_config() : shipped_config();
    const auto noises = noises_of(*make_scheduler(name, config, {.steps = 6}), bank, 0);
    const auto plain = make_scheduler(name, config, {.steps = 6})
                           ->step(bank.predictions[0], 0, sample, noises);
    EXPECT_TRUE(at::equal(
        make_scheduler(name, config, {.steps = 6})->step(with_variance(0.3), 0, sample, noises), plain))
        << name;
  }
  const auto ddpm = make_scheduler("ddpm", shipped_config({{"variance_type", "learned_range"}}),
                                   {.steps = 6, .predicts_variance = true});
  const auto step = [&](double variance, const at::Tensor& noise) {
    return ddpm->step(with_variance(variance), 2, sample, {noise});
  };
  const auto nothing = at::zeros_like(sample);
  EXPECT_TRUE(at::equal(step(-1, nothing), step(1, nothing)));
  EXPECT_GT((step(1, sample) - step(-1, sample)).abs().max().item<double>(), 0.01);
  EXPECT_THROW(ddpm->step(bank.predictions[0], 2, sample, {sample}), Error);
}

TEST(Schedulers, RefuseSchedulesThatTheyDoNotTake) {
  const auto refused = [](const char* name, const SchedulerConfig& config, const Schedule& schedule,
                          const std::vector<std::string>& parts) {
    expect_error(ErrorKind::usage, parts, [&] { make_scheduler(name, config, schedule); });
  };
  const auto levels = shipped_config(), flow = flow_config();
  for (const char* name : {"ddim", "unipc", "cogvideox-dpm"})
    refused(name, levels, {.steps = 2, .timesteps = {900, 100}}, {"--timesteps", name, "ddpm"});
  refused("ddpm", levels, {.steps = 2, .sigmas = {1, 0.5}}, {"--sigmas", "--timesteps"});
  refused("dpm++", flow, {.steps = 2, .sigmas = {1, 0.5}}, {"--sigmas", "dpm++", "flow-euler"});
  refused("dpm++", flow, {.steps = 2, .timesteps = {900, 100}}, {"--timesteps", "flow-euler"});
  for (const char* name : {"ddpm", "ddim", "cogvideox-dpm"})
    refused(name, levels, {.steps = 2, .sigma_schedule = "karras"}, {"--sigma-schedule", name, "unipc"});
  refused("euler", levels, {.steps = 2, .sigma_schedule = "karas"}, {"karras, exponential or beta", "karas"});
  for (const char* name : {"euler", "dpm++"})
    refused(name, levels, {.steps = 2, .timesteps = {900, 100}, .sigma_schedule = "beta"},
            {"--timesteps", "leave out one"});
  refused("unipc", flow, {.steps = 2, .sigmas = {1, 0.5}, .sigma_schedule = "karras"}, {"leave out one"});
  for (const char* name : {"unipc", "dpm++"})
    refused(name, flow, {.steps = 2, .sigma_schedule = "beta"}, {name, "flow-euler"});
  refused("ddpm", levels, {.steps = 3, .timesteps = {900, 100}}, {"--timesteps", "3 steps", "found 2"});
  refused("ddpm", levels, {.steps = 2, .timesteps = {900, 900}}, {"falling", "900 at place 2"});
  refused("ddpm", levels, {.steps = 2, .timesteps = {1000, 1}}, {"999", "1000 at place 1"});
  refused("ddpm", levels, {.steps = 2, .timesteps = {900, 0.5}}, {"whole numbers", "0.5"});
  refused("ddpm", levels, {.steps = 2, .timesteps = {900, -1}}, {"-1 at place 2"});
  refused("flow-euler", flow, {.steps = 2, .sigmas = {1, 0}}, {"above 0", "0 at place 2"});
  refused("flow-euler", flow, {.steps = 2, .sigmas = {1.5, 0.5}}, {"1.5 at place 1"});
  refused("flow-euler", flow, {.steps = 1, .timesteps = {500}, .sigmas = {0.5}}, {"leave out one"});
}

TEST(Schedulers, RefuseSettingsWithoutAFiniteResult) {
  auto zero_snr = shipped_config();
  zero_snr.prediction_type = PredictionType::epsilon;
  EXPECT_EQ(kind_thrown("ddim", zero_snr, 10), ErrorKind::usage);
  EXPECT_EQ(kind_thrown("ddpm", zero_snr, 10), ErrorKind::usage);
  EXPECT_NO_THROW(make_scheduler("unipc", zero_snr, {.steps = 10}));
  zero_snr.timestep_spacing = TimestepSpacing::leading;  // does not visit the last timestep
  EXPECT_NO_THROW(make_scheduler("ddim", zero_snr, {.steps = 10}));

  EXPECT_EQ(kind_thrown("unipc", config_of(kUniPcClass, {{"predict_x0", false}}), 10), ErrorKind::usage);
  for (const int order : {2, 3})
    EXPECT_EQ(
        kind_thrown("unipc", config_of(kUniPcClass, {{"lower_order_final", false}, {"solver_order", order}}),
                    10),
        ErrorKind::usage);
  EXPECT_EQ(kind_thrown("unipc", config_of(kUniPcClass, {{"timestep_spacing", "leading"}}), 1000),
            ErrorKind::usage);
  EXPECT_EQ(kind_thrown("ddim", config_of(kDdim, {{"steps_offset", 1}}), 1000), ErrorKind::usage);
  EXPECT_EQ(kind_thrown("ddpm",
                        config_of(kDdpm, {{"num_train_timesteps", 1}, {"rescale_betas_zero_snr", true}}), 1),
            ErrorKind::usage);
}

}  // namespace
}  // namespace t2v::test
