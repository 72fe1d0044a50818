#include "schedulers/config.h"

#include <cmath>
#include <utility>

#include "base/utf8.h"

namespace t2v {

namespace {

template <class Value>
using Choices = std::vector<std::pair<const char*, Value>>;

const Choices<SchedulerKind> kNames = {
    {"ddpm", SchedulerKind::ddpm},
    {"ddim", SchedulerKind::ddim},
    {"unipc", SchedulerKind::unipc},
};

constexpr const char* shifted_ddim = "CogVideoXDDIMScheduler";

template <class Value>
std::string list(const Choices<Value>& choices) {
  std::string all;
  for (const auto& [name, value] : choices) all += (all.empty() ? "" : ", ") + std::string(name);
  return all;
}

[[noreturn]] void refuse(const std::string& where, const std::string& key, const std::string& found,
                         const std::string& supported) {
  throw Error(
      ErrorKind::bad_input,
      where + ": '" + key + "' is " + found + "; t2v supports " + supported +
          " here. Use a model whose scheduler has such a setting, or a version of t2v that knows this one.");
}

template <class Value>
Value choice(const Json& json, const std::string& key, Value otherwise, const Choices<Value>& choices,
             const std::string& where) {
  if (!json.contains(key) || json.at(key).is_null()) return otherwise;
  const auto found = json_get<std::string>(json, key, where);
  for (const auto& [name, value] : choices)
    if (found == name) return value;
  refuse(where, key, "\"" + found + "\"", list(choices));
}

int64_t integer_between(const Json& json, const std::string& key, int64_t otherwise, int64_t least,
                        int64_t most, const std::string& where) {
  const auto found = json_get_or<int64_t>(json, key, otherwise, where);
  if (found < least || found > most)
    refuse(where, key, std::to_string(found), std::to_string(least) + " to " + std::to_string(most));
  return found;
}

std::vector<int64_t> integers(const Json& json, const std::string& key, const std::string& where) {
  if (!json.contains(key) || json.at(key).is_null()) return {};
  for (const auto& item : json.at(key))
    if (!json.at(key).is_array() || !item.is_number_integer())
      refuse(where, key, json.at(key).dump(), "a list of integers");
  return json_get<std::vector<int64_t>>(json, key, where);
}

// Settings of the three classes that would change the samples and that are not implemented.
void refuse_unsupported(const Json& json, const std::string& where) {
  for (const char* key : {"thresholding", "use_karras_sigmas", "use_exponential_sigmas", "use_beta_sigmas",
                          "use_dynamic_shifting"})
    if (json_get_or<bool>(json, key, false, where)) refuse(where, key, "true", "only false");
  for (const char* key : {"trained_betas", "solver_p", "shift_terminal"})
    if (json.contains(key) && !json.at(key).is_null()) refuse(where, key, "set", "only null");
}

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
    if (!(beta > 0 && beta < 1)) refuse(where, key, std::to_string(beta), "a number between 0 and 1");
  config.rescale_betas_zero_snr = json_get_or<bool>(json, "rescale_betas_zero_snr", false, where);
}

void read_solver(const Json& json, const std::string& where, SchedulerConfig& config) {
  config.solver_order = integer_between(json, "solver_order", config.solver_order, 1, 3, where);
  config.solver_type = choice<SolverType>(json, "solver_type", config.solver_type,
                                          {{"bh1", SolverType::bh1}, {"bh2", SolverType::bh2}}, where);
  config.predict_x0 = json_get_or<bool>(json, "predict_x0", config.predict_x0, where);
  config.lower_order_final = json_get_or<bool>(json, "lower_order_final", config.lower_order_final, where);
  config.disable_corrector = integers(json, "disable_corrector", where);
  config.final_sigmas_type = choice<FinalSigmasType>(
      json, "final_sigmas_type", config.final_sigmas_type,
      {{"zero", FinalSigmasType::zero}, {"sigma_min", FinalSigmasType::sigma_min}}, where);
  config.use_flow_sigmas = json_get_or<bool>(json, "use_flow_sigmas", config.use_flow_sigmas, where);
  config.flow_shift = json_get_or<double>(json, "flow_shift", config.flow_shift, where);
  if (!(config.flow_shift > 0 && std::isfinite(config.flow_shift)))
    refuse(where, "flow_shift", std::to_string(config.flow_shift), "a number above 0");
}

}  // namespace

SchedulerConfig parse_scheduler_config(const Json& json, const std::string& where) {
  const auto kind = scheduler_kind_of_class(json_get<std::string>(json, "_class_name", where), where);
  refuse_unsupported(json, where);

  SchedulerConfig config;
  config.timestep_spacing = kind == SchedulerKind::unipc ? TimestepSpacing::linspace
                                                         : TimestepSpacing::leading;
  config.clip_sample = kind != SchedulerKind::unipc;
  const bool is_shifted = json.at("_class_name") == shifted_ddim;
  if (is_shifted) {
    config.beta_schedule = BetaSchedule::scaled_linear;
    config.beta_start = 0.00085;
    config.beta_end = 0.012;
    config.snr_shift_scale = json_get_or<double>(json, "snr_shift_scale", 3, where);
    if (!(*config.snr_shift_scale > 0))
      refuse(where, "snr_shift_scale", json.at("snr_shift_scale").dump(), "a number above 0");
  }

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
  if (is_shifted) config.clip_sample = false;  // the reference's step does not look at it
  config.clip_sample_range = json_get_or<double>(json, "clip_sample_range", config.clip_sample_range, where);
  if (!(config.clip_sample_range > 0))
    refuse(where, "clip_sample_range", std::to_string(config.clip_sample_range), "a number above 0");
  config.set_alpha_to_one = json_get_or<bool>(json, "set_alpha_to_one", config.set_alpha_to_one, where);
  config.variance_type = choice<VarianceType>(json, "variance_type", config.variance_type,
                                              {{"fixed_small", VarianceType::fixed_small},
                                               {"fixed_small_log", VarianceType::fixed_small_log},
                                               {"fixed_large", VarianceType::fixed_large},
                                               {"fixed_large_log", VarianceType::fixed_large_log},
                                               {"learned", VarianceType::learned},
                                               {"learned_range", VarianceType::learned_range}},
                                              where);
  read_solver(json, where, config);
  return config;
}

SchedulerKind parse_scheduler_kind(const std::string& name) {
  std::vector<std::string> known;
  for (const auto& [candidate, kind] : kNames) {
    if (name == candidate) return kind;
    known.emplace_back(candidate);
  }
  const auto nearest = nearest_name(name, known);
  throw Error(ErrorKind::usage, "there is no scheduler '" + name + "'; " +
                                    (nearest ? "did you mean '" + *nearest + "'? " : "") +
                                    "The schedulers are " + list(kNames));
}

SchedulerKind scheduler_kind_of_class(const std::string& class_name, const std::string& where) {
  const Choices<SchedulerKind> classes = {
      {"DDPMScheduler", SchedulerKind::ddpm},
      {"DDIMScheduler", SchedulerKind::ddim},
      {shifted_ddim, SchedulerKind::ddim},
      {"UniPCMultistepScheduler", SchedulerKind::unipc},
  };
  for (const auto& [name, kind] : classes)
    if (class_name == name) return kind;
  refuse(where, "_class_name", "\"" + class_name + "\"", list(classes));
}

std::string scheduler_name(SchedulerKind kind) {
  for (const auto& [name, candidate] : kNames)
    if (kind == candidate) return name;
  throw Error(ErrorKind::internal, "a scheduler kind without a name");
}

}  // namespace t2v
