#include <gtest/gtest.h>

#include "support.h"

namespace t2v::test {
namespace {

const char* const kUniPc = "UniPCMultistepScheduler";

std::string refusal(const std::string& class_name, const Json& settings) {
  try {
    config_of(class_name, settings);
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::bad_input);
    return error.what();
  }
  ADD_FAILURE() << settings << " was accepted";
  return "";
}

TEST(SchedulerConfig, ReadsTheShippedModels) {
  const auto config = shipped_config();
  EXPECT_EQ(config.num_train_timesteps, 1000);
  EXPECT_EQ(config.beta_schedule, BetaSchedule::squaredcos_cap_v2);
  EXPECT_EQ(config.prediction_type, PredictionType::v_prediction);
  EXPECT_EQ(config.timestep_spacing, TimestepSpacing::trailing);
  EXPECT_TRUE(config.rescale_betas_zero_snr);
  EXPECT_EQ(config.scheduler, "unipc");
  EXPECT_FALSE(config.use_flow_sigmas);
  // What DDIM takes from it.
  EXPECT_FALSE(config.clip_sample);
}

TEST(SchedulerConfig, AbsentKeysHaveTheDefaultsOfTheFilesClass) {
  const auto unipc = config_of(kUniPc, Json::object());
  EXPECT_EQ(unipc.timestep_spacing, TimestepSpacing::linspace);
  EXPECT_FALSE(unipc.clip_sample);
  for (const char* class_name : {"DDIMScheduler", "DDPMScheduler"}) {
    const auto config = config_of(class_name, {{"beta_schedule", nullptr}, {"a_key_of_some_checkpoint", 3}});
    EXPECT_EQ(config.timestep_spacing, TimestepSpacing::leading);
    EXPECT_TRUE(config.clip_sample);
    EXPECT_EQ(config.beta_schedule, BetaSchedule::linear);
  }
  EXPECT_TRUE(config_of(kUniPc, {{"clip_sample", true}}).clip_sample);
}

TEST(SchedulerConfig, ReadsAWanFile) {
  const auto config = config_of(kUniPc, {{"prediction_type", "flow_prediction"},
                                         {"use_flow_sigmas", true},
                                         {"flow_shift", 3.0},
                                         {"disable_corrector", {0, 2}},
                                         {"solver_p", nullptr},
                                         {"shift_terminal", nullptr}});
  EXPECT_EQ(config.prediction_type, PredictionType::flow_prediction);
  EXPECT_TRUE(config.use_flow_sigmas);
  EXPECT_EQ(config.flow_shift, 3.0);
}

TEST(SchedulerConfig, RefusesSettingsThatWouldChangeTheResult) {
  for (const char* key : {"thresholding", "use_dynamic_shifting"}) {
    const auto message = refusal(kUniPc, {{key, true}});
    EXPECT_NE(message.find(key), std::string::npos) << message;
    EXPECT_NE(message.find("scheduler_config.json"), std::string::npos) << message;
    EXPECT_NO_THROW(config_of(kUniPc, {{key, false}}));
  }
  refusal(kUniPc, {{"trained_betas", {0.1, 0.2}}});
  refusal(kUniPc, {{"solver_p", {{"_class_name", "DDIMScheduler"}}}});
  refusal(kUniPc, {{"shift_terminal", 0.1}});
}

TEST(SchedulerConfig, NamesKeyValueAndWhatIsSupported) {
  const auto message = refusal(kUniPc, {{"beta_schedule", "laplace"}});
  for (const char* part : {"beta_schedule", "laplace", "linear", "scaled_linear", "squaredcos_cap_v2"})
    EXPECT_NE(message.find(part), std::string::npos) << message;
}

TEST(SchedulerConfig, RefusesUnknownValuesAndValuesOutOfRange) {
  const std::vector<Json> bad = {
      {{"prediction_type", "velocity"}},
      {{"timestep_spacing", "even"}},
      {{"solver_type", "midpoint"}},
      {{"final_sigmas_type", "one"}},
      {{"solver_order", 0}},
      {{"solver_order", 4}},
      {{"num_train_timesteps", 0}},
      {{"num_train_timesteps", int64_t{1} << 60}},
      {{"num_train_timesteps", 10.5}},
      {{"beta_start", 0.0}},
      {{"beta_end", 1.0}},
      {{"beta_end", "0.02"}},
      {{"steps_offset", -1}},
      {{"flow_shift", 0.0}},
      {{"clip_sample_range", -1.0}},
      {{"disable_corrector", {0.5}}},
      {{"disable_corrector", 3}},
      {{"predict_x0", 1}},
      {{"beta_schedule", 7}},
  };
  for (const auto& settings : bad) refusal(kUniPc, settings);
  refusal("DDPMScheduler", {{"variance_type", "small"}});
  refusal("DDIMScheduler", {{"set_alpha_to_one", 1}});
  for (const char* name : {"CogVideoXDDIMScheduler", "CogVideoXDPMScheduler"})
    refusal(name, {{"snr_shift_scale", 0.0}});
  const std::vector<Json> bad_flows = {{{"shift", 0.0}},
                                       {{"time_shift_type", "cosine"}},
                                       {{"max_image_seq_len", 256}},
                                       {{"shift_terminal", 1.5}},
                                       {{"invert_sigmas", true}},
                                       {{"use_karras_sigmas", true}, {"use_exponential_sigmas", true}}};
  for (const auto& settings : bad_flows) refusal("FlowMatchEulerDiscreteScheduler", settings);
  const std::vector<Json> bad_solvers = {{{"algorithm_type", "dpmsolver"}},
                                         {{"solver_type", "euler"}},
                                         {{"solver_order", 4}},
                                         {{"use_lu_lambdas", true}},
                                         {{"lambda_min_clipped", -5.1}}};
  for (const auto& settings : bad_solvers) refusal("DPMSolverMultistepScheduler", settings);
}

TEST(SchedulerConfig, ReadsAnEulerFile) {
  const auto config = config_of("EulerDiscreteScheduler", {{"timestep_type", "discrete"}});
  EXPECT_EQ(config.scheduler, "euler");
  EXPECT_EQ(config.timestep_spacing, TimestepSpacing::linspace);
  EXPECT_FALSE(config.clip_sample);
  // What has no effect without v_prediction is no reason to refuse a file.
  EXPECT_NO_THROW(config_of("EulerDiscreteScheduler", {{"timestep_type", "continuous"}}));
  for (const Json& settings : {Json{{"interpolation_type", "log_linear"}},
                               Json{{"timestep_type", "continuous"}, {"prediction_type", "v_prediction"}}})
    refusal("EulerDiscreteScheduler", settings);
}

TEST(SchedulerConfig, TakesOneSpacingOfSigmas) {
  for (const char* name : {"EulerDiscreteScheduler", "UniPCMultistepScheduler", "DPMSolverMultistepScheduler",
                           "FlowMatchEulerDiscreteScheduler"}) {
    EXPECT_NO_THROW(config_of(name, {{"use_beta_sigmas", true}, {"use_karras_sigmas", false}}));
    const auto message = refusal(name, {{"use_karras_sigmas", true}, {"use_beta_sigmas", true}});
    EXPECT_NE(message.find("use_beta_sigmas"), std::string::npos) << message;
  }
}

TEST(SchedulerConfig, RefusesOtherClasses) {
  const auto message = refusal("LCMScheduler", Json::object());
  EXPECT_NE(message.find("UniPCMultistepScheduler"), std::string::npos) << message;
  EXPECT_THROW(parse_scheduler_config(Json::object(), "x"), Error);
  EXPECT_THROW(parse_scheduler_config(Json::array(), "x"), Error);
}

TEST(SchedulerConfig, ReadsAFlowEulerFile) {
  const auto config = config_of("FlowMatchEulerDiscreteScheduler", {{"shift", 7.0}, {"flow_shift", 2.0}});
  EXPECT_EQ(config.scheduler, "flow-euler");
  EXPECT_EQ(config.prediction_type, PredictionType::flow_prediction);
  EXPECT_TRUE(config.use_flow_sigmas);
  EXPECT_EQ(config.flow_shift, 7.0);
  EXPECT_NO_THROW(make_scheduler("unipc", config, {.steps = 4}));
  EXPECT_NO_THROW(make_scheduler("dpm++", config, {.steps = 4}));
}

TEST(SchedulerConfig, ClassesHaveNames) {
  EXPECT_EQ(scheduler_list(), "ddpm, ddim, unipc, euler, flow-euler, dpm++, dpm++-sde, cogvideox-dpm");
  for (const auto& name : scheduler_names()) EXPECT_EQ(scheduler_named(name).name, name);
  EXPECT_EQ(config_of("CogVideoXDDIMScheduler", Json::object()).scheduler, "ddim");
  try {
    scheduler_named("unpic");
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::usage);
    EXPECT_NE(std::string(error.what()).find("did you mean 'unipc'"), std::string::npos) << error.what();
  }
}

}  // namespace
}  // namespace t2v::test
