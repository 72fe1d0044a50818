#include <gtest/gtest.h>

#include "errors.h"
#include "support.h"

namespace t2v::test {
namespace {

const char* const kDdpm = "DDPMScheduler";
const char* const kDdim = "DDIMScheduler";
const char* const kUniPc = "UniPCMultistepScheduler";

ErrorKind kind_thrown(SchedulerKind kind, const SchedulerConfig& config, int64_t steps, double eta = 0) {
  try {
    make_scheduler(kind, config, steps, eta);
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

TEST(Schedulers, UniPcGoesOnFromASavedHistoryAsIfUninterrupted) {
  const auto bank = seeded_bank();
  auto config = shipped_config();
  for (config.solver_order = 1; config.solver_order <= 3; ++config.solver_order) {
    const int64_t steps = 8;
    const auto whole = run_steps(*make_scheduler(SchedulerKind::unipc, config, steps, 0), bank, bank.start, 0,
                                 steps);
    for (int64_t cut = 1; cut < steps; ++cut) {
      const auto first = make_scheduler(SchedulerKind::unipc, config, steps, 0);
      const auto sample = run_steps(*first, bank, bank.start, 0, cut).back();
      const auto second = make_scheduler(SchedulerKind::unipc, config, steps, 0);
      second->set_history(first->history());
      EXPECT_TRUE(at::equal(run_steps(*second, bank, sample, cut, steps).back(), whole.back()))
          << "cut at " << cut;
    }
  }
}

TEST(Schedulers, UniPcHistoryMattersAndMustFit) {
  const auto bank = seeded_bank();
  const auto scheduler = make_scheduler(SchedulerKind::unipc, shipped_config(), 8, 0);
  const auto half = run_steps(*scheduler, bank, bank.start, 0, 4).back();
  const auto history = scheduler->history();
  const auto with = run_steps(*scheduler, bank, half, 4, 8).back();
  scheduler->set_history({});
  const auto without = run_steps(*scheduler, bank, half, 4, 8).back();  // starting in the middle, as editing
                                                                        // does
  EXPECT_FALSE(at::allclose(with, without));
  scheduler->set_history(history);
  EXPECT_THROW(run_steps(*scheduler, bank, half, 5, 6), Error);
}

TEST(Schedulers, KeepNoneOfTheCallersTensors) {
  const auto bank = seeded_bank();
  for (const char* prediction : {"epsilon", "sample", "v_prediction"}) {
    for (const bool predict_x0 : {true, false}) {
      const auto config = config_of(
          kUniPc,
          {{"prediction_type", prediction}, {"predict_x0", predict_x0}, {"final_sigmas_type", "sigma_min"}});
      const auto expected = run_steps(*make_scheduler(SchedulerKind::unipc, config, 6, 0), bank, bank.start,
                                      0, 6)
                                .back();
      const auto scheduler = make_scheduler(SchedulerKind::unipc, config, 6, 0);
      auto sample = bank.start.clone();
      const auto buffer = at::empty_like(sample);
      for (int64_t i = 0; i < 6; ++i) {
        buffer.copy_(bank.predictions[static_cast<std::size_t>(i)]);
        const auto next = scheduler->step(buffer, i, sample, {});
        sample.fill_(NAN);
        sample = next.clone();
      }
      EXPECT_TRUE(at::equal(sample, expected)) << prediction;
    }
  }
}

TEST(Schedulers, NoiseIsNeededWhereTheReferenceDrawsIt) {
  auto config = shipped_config();
  config.timestep_spacing = TimestepSpacing::leading;
  const auto ddpm = make_scheduler(SchedulerKind::ddpm, config, 10, 0);
  EXPECT_TRUE(ddpm->needs_noise(0));
  EXPECT_TRUE(ddpm->needs_noise(8));
  EXPECT_FALSE(ddpm->needs_noise(9));  // timestep 0
  config.timestep_spacing = TimestepSpacing::trailing;
  EXPECT_TRUE(make_scheduler(SchedulerKind::ddpm, config, 10, 0)->needs_noise(9));
  EXPECT_FALSE(make_scheduler(SchedulerKind::ddim, config, 10, 0)->needs_noise(3));
  EXPECT_TRUE(make_scheduler(SchedulerKind::ddim, config, 10, 0.5)->needs_noise(3));
  EXPECT_FALSE(make_scheduler(SchedulerKind::unipc, config, 10, 0)->needs_noise(3));
}

TEST(Schedulers, AStepWithUnfitArgumentsIsADefect) {
  const auto bank = seeded_bank();
  const auto ddpm = make_scheduler(SchedulerKind::ddpm, shipped_config(), 10, 0);
  const auto& sample = bank.start;
  EXPECT_THROW(ddpm->step(sample, 0, sample, {}), Error);  // no noise
  EXPECT_THROW(ddpm->step(sample, 10, sample, sample), Error);
  EXPECT_THROW(ddpm->step(sample, -1, sample, sample), Error);
  EXPECT_THROW(ddpm->step(sample[0], 0, sample, sample), Error);
  EXPECT_THROW(ddpm->step(sample.to(at::kDouble), 0, sample, sample), Error);
  EXPECT_THROW(ddpm->step(sample, 0, sample, sample[0]), Error);
  EXPECT_NO_THROW(ddpm->step(sample, 0, sample, sample));
}

TEST(Schedulers, StayOnTheSamplesDevice) {
  const auto options = at::TensorOptions().device(at::kMeta).dtype(at::kFloat);
  for (const auto kind : {SchedulerKind::ddpm, SchedulerKind::ddim, SchedulerKind::unipc}) {
    auto config = shipped_config();
    config.solver_order = 3;
    const auto scheduler = make_scheduler(kind, config, 6, kind == SchedulerKind::ddim ? 0.5 : 0);
    for (const auto& shape : {std::vector<int64_t>{7, 64}, std::vector<int64_t>{1, 16, 3, 4, 6}}) {
      scheduler->set_history({});
      auto sample = at::empty(shape, options);
      for (int64_t i = 0; i < 6; ++i)
        sample = scheduler->step(at::empty(shape, options), i, sample, at::empty(shape, options));
      EXPECT_TRUE(sample.is_meta());
      EXPECT_EQ(sample.scalar_type(), at::kFloat);
      EXPECT_EQ(sample.sizes().vec(), shape);
    }
  }
}

TEST(Schedulers, ATokensResultDoesNotDependOnItsNeighbours) {
  const auto bank = seeded_bank();
  for (const auto kind : {SchedulerKind::ddpm, SchedulerKind::ddim, SchedulerKind::unipc}) {
    const auto whole = run_steps(*make_scheduler(kind, shipped_config(), 6, 0), bank, bank.start, 0, 6)
                           .back();
    Bank row{.start = bank.start[1], .predictions = {}, .noises = {}};
    for (const auto& prediction : bank.predictions) row.predictions.push_back(prediction[1]);
    for (const auto& noise : bank.noises) row.noises.push_back(noise[1]);
    EXPECT_TRUE(at::equal(
        run_steps(*make_scheduler(kind, shipped_config(), 6, 0), row, row.start, 0, 6).back(), whole[1]));
  }
}

TEST(Schedulers, FullNoiseFractionIsFiniteAtZeroTerminalSnr) {
  // The reference gives NaN for 24 of these step counts (3, 7, 14, 20, ...), by a square root of a rounding
  // error.
  const auto bank = seeded_bank();
  for (int64_t steps = 1; steps < 60; ++steps) {
    const auto sample = run_steps(*make_scheduler(SchedulerKind::ddim, shipped_config(), steps, 1.0), bank,
                                  bank.start, 0, steps)
                            .back();
    EXPECT_TRUE(sample.isfinite().all().item<bool>()) << steps;
  }
}

TEST(Schedulers, TheLastStepOfBh1IsTheCleanSample) {
  // At the final sigma of zero the reference multiplies an infinity by zero here.
  const auto bank = seeded_bank();
  const auto config = config_of(kUniPc, {{"solver_type", "bh1"}, {"prediction_type", "sample"}});
  const auto samples = run_steps(*make_scheduler(SchedulerKind::unipc, config, 5, 0), bank, bank.start, 0, 5);
  EXPECT_TRUE(at::allclose(samples.back(), bank.predictions[4], 1e-6, 1e-6));
}

TEST(Schedulers, RefuseWhatTheyCannotSample) {
  for (const auto kind : {SchedulerKind::ddpm, SchedulerKind::ddim, SchedulerKind::unipc}) {
    for (const int64_t steps : {int64_t{-1}, int64_t{0}, int64_t{1001}, INT64_MAX})
      EXPECT_EQ(kind_thrown(kind, shipped_config(), steps), ErrorKind::usage);
    EXPECT_EQ(kind_thrown(kind, shipped_config(), 10, -0.1), ErrorKind::usage);
    EXPECT_EQ(kind_thrown(kind, shipped_config(), 10, NAN), ErrorKind::usage);
    EXPECT_NO_THROW(make_scheduler(kind, shipped_config(), 1, 0));
    EXPECT_NO_THROW(make_scheduler(kind, shipped_config(), 1000, 0));
  }
  EXPECT_EQ(kind_thrown(SchedulerKind::ddpm, shipped_config(), 10, 0.5), ErrorKind::usage);
  EXPECT_EQ(kind_thrown(SchedulerKind::unipc, shipped_config(), 10, 0.5), ErrorKind::usage);
  EXPECT_EQ(kind_thrown(SchedulerKind::ddim, shipped_config(), 10, 1.5), ErrorKind::usage);

  const auto flow = config_of(kUniPc, {{"use_flow_sigmas", true}, {"prediction_type", "flow_prediction"}});
  EXPECT_EQ(kind_thrown(SchedulerKind::ddim, flow, 10), ErrorKind::usage);
  EXPECT_EQ(kind_thrown(SchedulerKind::ddpm, flow, 10), ErrorKind::usage);
  for (const char* variance : {"learned", "learned_range", "fixed_large_log"}) {
    const auto config = config_of(kDdim, {{"variance_type", variance}});
    EXPECT_EQ(kind_thrown(SchedulerKind::ddpm, config, 10), ErrorKind::usage);
    EXPECT_NO_THROW(make_scheduler(SchedulerKind::ddim, config, 10, 0));  // which has no such setting
  }
}

TEST(Schedulers, RefuseSettingsWithoutAFiniteResult) {
  auto zero_snr = shipped_config();
  zero_snr.prediction_type = PredictionType::epsilon;
  EXPECT_EQ(kind_thrown(SchedulerKind::ddim, zero_snr, 10), ErrorKind::usage);
  EXPECT_EQ(kind_thrown(SchedulerKind::ddpm, zero_snr, 10), ErrorKind::usage);
  EXPECT_NO_THROW(make_scheduler(SchedulerKind::unipc, zero_snr, 10, 0));
  zero_snr.timestep_spacing = TimestepSpacing::leading;  // does not visit the last timestep
  EXPECT_NO_THROW(make_scheduler(SchedulerKind::ddim, zero_snr, 10, 0));

  EXPECT_EQ(kind_thrown(SchedulerKind::unipc, config_of(kUniPc, {{"predict_x0", false}}), 10),
            ErrorKind::usage);
  for (const int order : {2, 3})
    EXPECT_EQ(kind_thrown(SchedulerKind::unipc,
                          config_of(kUniPc, {{"lower_order_final", false}, {"solver_order", order}}), 10),
              ErrorKind::usage);
  EXPECT_EQ(kind_thrown(SchedulerKind::unipc, config_of(kUniPc, {{"timestep_spacing", "leading"}}), 1000),
            ErrorKind::usage);
  EXPECT_EQ(kind_thrown(SchedulerKind::ddim, config_of(kDdim, {{"steps_offset", 1}}), 1000),
            ErrorKind::usage);
  EXPECT_EQ(kind_thrown(SchedulerKind::ddpm,
                        config_of(kDdpm, {{"num_train_timesteps", 1}, {"rescale_betas_zero_snr", true}}), 1),
            ErrorKind::usage);
}

}  // namespace
}  // namespace t2v::test
