#include "schedulers/config.h"

#include <cmath>

#include "schedulers/reading.h"
#include "schedulers/scheduler_classes.h"

namespace t2v {

void refuse_setting(const std::string& where, const std::string& key, const std::string& found,
                    const std::string& supported) {
  throw Error(
      ErrorKind::bad_input,
      where + ": '" + key + "' is " + found + "; t2v supports " + supported +
          " here. Use a model whose scheduler has such a setting, or a version of t2v that knows this one.");
}

void refuse_if_true(const SchedulerConfig& config, std::initializer_list<const char*> keys) {
  for (const char* key : keys)
    if (json_get_or<bool>(config.settings, key, false, config.where))
      refuse_setting(config.where, key, "true", "only false");
}

void refuse_if_set(const SchedulerConfig& config, std::initializer_list<const char*> keys) {
  for (const char* key : keys)
    if (config.settings.contains(key) && !config.settings.at(key).is_null())
      refuse_setting(config.where, key, "set", "only null");
}

int64_t integer_between(const Json& json, const std::string& key, int64_t otherwise, int64_t least,
                        int64_t most, const std::string& where) {
  const auto found = json_get_or<int64_t>(json, key, otherwise, where);
  if (found < least || found > most)
    refuse_setting(where, key, std::to_string(found), std::to_string(least) + " to " + std::to_string(most));
  return found;
}

bool set_alpha_to_one(const SchedulerConfig& config) {
  return json_get_or<bool>(config.settings, "set_alpha_to_one", true, config.where);
}

bool ends_at_zero(const SchedulerConfig& config) {
  return choice<bool>(config.settings, "final_sigmas_type", true, {{"zero", true}, {"sigma_min", false}},
                      config.where);
}

namespace {

void read_noise_schedule(const Json& json, const std::string& where, SchedulerConfig& config) {
  config.num_train_timesteps = integer_between(json, "num_train_timesteps", config.num_train_timesteps, 1,
                                               1'000'000, where);
  config.beta_schedule = choice<BetaSchedule>(json, "beta_schedule", config.beta_schedule,
                                              {{"linear", BetaSchedule::linear},
                                               {"scaled_linear", BetaSchedule::scaled_linear},
                                               {"squaredcos_cap_v2", BetaSchedule::squaredcos_cap_v2}},
                                              where);
  config.beta_start = json_get_or<double>(json, "beta_start", config.beta_start, where);
  config.beta_end = json_get_or<double>(json, "beta_end", config.beta_end, where);
  for (const auto& [key, beta] :
       {std::pair{"beta_start", config.beta_start}, std::pair{"beta_end", config.beta_end}})
    if (!(beta > 0 && beta < 1)) refuse_setting(where, key, std::to_string(beta), "a number between 0 and 1");
  config.rescale_betas_zero_snr = json_get_or<bool>(json, "rescale_betas_zero_snr", false, where);
  if (!config.snr_shift_scale) return;
  config.snr_shift_scale = json_get_or<double>(json, "snr_shift_scale", *config.snr_shift_scale, where);
  if (!(*config.snr_shift_scale > 0))
    refuse_setting(where, "snr_shift_scale", json.at("snr_shift_scale").dump(), "a number above 0");
}

void read_flow(const Json& json, const std::string& where, SchedulerConfig& config) {
  const char* shift = config.use_flow_sigmas ? "shift" : "flow_shift";
  config.flow_shift = json_get_or<double>(json, shift, config.flow_shift, where);
  if (!(config.flow_shift > 0 && std::isfinite(config.flow_shift)))
    refuse_setting(where, shift, std::to_string(config.flow_shift), "a number above 0");
  config.use_flow_sigmas = json_get_or<bool>(json, "use_flow_sigmas", config.use_flow_sigmas, where);
  config.use_dynamic_shifting = json_get_or<bool>(json, "use_dynamic_shifting", false, where);
}

}  // namespace

SchedulerConfig parse_scheduler_config(const Json& json, const std::string& where) {
  const auto& of_file = scheduler_of_class(json_get<std::string>(json, "_class_name", where), where);
  auto config = of_file.defaults;
  config.scheduler = of_file.name;
  config.settings = json;
  config.where = where;
  refuse_if_true(config, {"thresholding"});
  refuse_if_set(config, {"trained_betas"});

  read_noise_schedule(json, where, config);
  config.prediction_type = choice<PredictionType>(json, "prediction_type", config.prediction_type,
                                                  {{"epsilon", PredictionType::epsilon},
                                                   {"v_prediction", PredictionType::v_prediction},
                                                   {"sample", PredictionType::sample},
                                                   {"flow_prediction", PredictionType::flow_prediction}},
                                                  where);
  config.timestep_spacing = choice<TimestepSpacing>(json, "timestep_spacing", config.timestep_spacing,
                                                    {{"leading", TimestepSpacing::leading},
                                                     {"linspace", TimestepSpacing::linspace},
                                                     {"trailing", TimestepSpacing::trailing}},
                                                    where);
  config.steps_offset = integer_between(json, "steps_offset", config.steps_offset, 0,
                                        config.num_train_timesteps, where);
  config.clip_sample = json_get_or<bool>(json, "clip_sample", config.clip_sample, where);
  if (config.snr_shift_scale) config.clip_sample = false;  // the reference's step does not look at it
  config.clip_sample_range = json_get_or<double>(json, "clip_sample_range", config.clip_sample_range, where);
  if (!(config.clip_sample_range > 0))
    refuse_setting(where, "clip_sample_range", std::to_string(config.clip_sample_range), "a number above 0");
  read_flow(json, where, config);
  of_file.check(config);
  return config;
}

}  // namespace t2v
