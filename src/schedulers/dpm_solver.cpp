// Lu et al. (2022), "DPM-Solver++: fast solver for guided sampling of diffusion probabilistic models",
// algorithm 2 (multistep), and its SDE. Reference: diffusers scheduling_dpmsolver_multistep.py.
#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>

#include "schedulers/reading.h"
#include "schedulers/schedule.h"
#include "schedulers/scheduler_classes.h"
#include "schedulers/sigmas.h"

namespace t2v {

namespace {

enum class SolverType { midpoint, heun };

struct DpmConfig {
  int64_t solver_order = 2;  // 1 to 3
  SolverType solver_type = SolverType::midpoint;
  bool stochastic = false;  // algorithm_type sde-dpmsolver++
  bool lower_order_final = true, euler_at_final = false;
  bool ends_at_zero = true;  // final_sigmas_type
};

DpmConfig dpm_config(const SchedulerConfig& config) {
  const auto& json = config.settings;
  const auto& where = config.where;
  refuse_if_true(config, {"use_lu_lambdas"});
  sigma_spacing(config);
  if (config.use_dynamic_shifting) refuse_if_true(config, {"use_dynamic_shifting"});
  refuse_if_set(config, {"lambda_min_clipped"});
  DpmConfig own;
  own.solver_order = integer_between(json, "solver_order", own.solver_order, 1, 3, where);
  own.ends_at_zero = ends_at_zero(config);
  own.lower_order_final = json_get_or<bool>(json, "lower_order_final", own.lower_order_final, where);
  own.euler_at_final = json_get_or<bool>(json, "euler_at_final", own.euler_at_final, where);
  if (config.scheduler != "dpm++") return own;  // other solvers have other types
  own.solver_type = choice<SolverType>(json, "solver_type", own.solver_type,
                                       {{"midpoint", SolverType::midpoint},
                                        {"heun", SolverType::heun},
                                        {"bh1", SolverType::midpoint},
                                        {"bh2", SolverType::midpoint},
                                        {"logrho", SolverType::midpoint}},
                                       where);
  own.stochastic = choice<bool>(json, "algorithm_type", false,
                                {{"dpmsolver++", false}, {"sde-dpmsolver++", true}, {"deis", false}}, where);
  return own;
}

// The reference gives a flow the sigmas of levels here, up to 157 where 1 is noise alone.
SigmaSchedule spaced_schedule(const SchedulerConfig& config, SigmaSpacing spacing,
                              const std::vector<float>& trained, int64_t steps) {
  if (config.use_flow_sigmas)
    throw Error(ErrorKind::usage,
                "the scheduler dpm++ has no karras, exponential or beta sigmas for a flow; use flow-euler");
  const auto sigmas = spaced_sigmas(config, spacing, trained.back(), trained.front(), steps);
  SigmaSchedule schedule{.timesteps = {}, .sigmas = {sigmas.begin(), sigmas.end()}};
  const bool rounds = spacing == SigmaSpacing::karras &&
                      config.beta_schedule != BetaSchedule::squaredcos_cap_v2;
  for (const double timestep : timesteps_of_sigmas(trained, sigmas))
    schedule.timesteps.push_back(static_cast<int64_t>(rounds ? std::nearbyint(timestep) : timestep));
  return schedule;
}

SigmaSchedule schedule_of(const SchedulerConfig& config, const DpmConfig& own, const Schedule& asked) {
  const auto spacing = sigma_spacing(config);
  refuse_given_levels(spacing, asked);
  const auto trained = trained_sigmas(config);
  SigmaSchedule schedule;
  if (spacing != SigmaSpacing::by_timestep) {
    schedule = spaced_schedule(config, spacing, trained, asked.steps);
  } else if (config.use_flow_sigmas) {
    const auto count = static_cast<double>(config.num_train_timesteps);
    const auto alphas = numpy_linspace(1, 1 / count, asked.steps + 1);
    for (auto i = alphas.size() - 1; i > 0; --i) {
      double sigma = 1 - alphas[i];
      sigma = config.flow_shift * sigma / (1 + (config.flow_shift - 1) * sigma);
      schedule.timesteps.push_back(static_cast<int64_t>(sigma * count));
      schedule.sigmas.push_back(static_cast<float>(sigma));
    }
  } else {
    schedule.timesteps = asked.timesteps.empty() ? spaced_timesteps(config, asked.steps, 1)
                                                 : whole_timesteps(asked.timesteps);
    for (const auto timestep : schedule.timesteps)
      schedule.sigmas.push_back(trained.at(static_cast<std::size_t>(timestep)));
  }
  schedule.sigmas.push_back(own.ends_at_zero ? 0.0F : trained.front());
  return schedule;
}

// One update, without its tensors: with differences d1 = slopes[0] (m0 - m1) and, at order 3, those of the
// prediction before,
// x_t = sample_scale * x + clean_scale * m0 + first_scale * D1 + second_scale * D2 + noise_scale * noise
struct Update {
  int64_t order = 1;
  float sample_scale = 0, clean_scale = 0, first_scale = 0, second_scale = 0, noise_scale = 0;
  std::vector<float> slopes;            // 1 / r0, 1 / r1
  float correction = 0, curvature = 0;  // r0 / (r0 + r1), 1 / (r0 + r1)
};

class DpmSolver final : public Scheduler {
 public:
  DpmSolver(const SchedulerConfig& config, const DpmConfig& own, SigmaSchedule schedule)
      : Scheduler(schedule.timesteps),
        prediction_type_(config.prediction_type),
        config_(own),
        raw_sigmas_(std::move(schedule.sigmas)) {
    for (const float sigma : raw_sigmas_) {
      alphas_.push_back(config.use_flow_sigmas ? 1 - sigma : 1 / torch_sqrt(sigma * sigma + 1));
      sigmas_.push_back(config.use_flow_sigmas ? sigma : sigma * alphas_.back());
      lambdas_.push_back(torch_log(alphas_.back()) - torch_log(sigmas_.back()));
    }
    for (int64_t i = 0; i < steps(); ++i)
      if (!is_finite(update(i, order_at(i, i + 1))))
        throw_not_finite(config_.stochastic ? "dpm++-sde" : "dpm++", static_cast<std::size_t>(i),
                         timesteps().size(),
                         "two steps share a noise level, or the last ends at the level that it begins at; "
                         "use other steps, or final_sigmas_type zero");
  }

  int64_t noises_needed(int64_t) const override { return config_.stochastic ? 1 : 0; }
  NoiseLevel level(int64_t step_index) const override {
    const auto i = static_cast<std::size_t>(step_index);
    return {alphas_.at(i), sigmas_.at(i)};
  }
  SchedulerHistory history() const override { return history_; }
  void set_history(SchedulerHistory history) override { history_ = std::move(history); }

 private:
  int64_t steps() const { return static_cast<int64_t>(timesteps().size()); }

  // With `known` predictions, that of the step itself included.
  int64_t order_at(int64_t step_index, int64_t known) const {
    const bool few = config_.lower_order_final && steps() < 15;
    int64_t most = config_.solver_order;
    if (step_index == steps() - 1 && (config_.euler_at_final || few || config_.ends_at_zero)) most = 1;
    if (step_index == steps() - 2 && few) most = std::min<int64_t>(most, 2);
    return std::min(most, known);
  }

  // The factor of the solver's integral of order 1 at h, and what those of order 2 and 3 make of it: of e^-h
  // for the ODE, of e^-2h for the SDE, with their signs.
  void set_scales(Update& made, float alpha, float h) const {
    const float hh = config_.stochastic ? 2.0F * h : h;
    const float falls = torch_exp(-hh) - 1.0F;
    const float integral = config_.stochastic ? 1.0F - torch_exp(-hh) : falls;
    made.clean_scale = config_.stochastic ? alpha * integral : -(alpha * integral);
    if (made.order == 2 && config_.solver_type == SolverType::midpoint)
      made.first_scale = 0.5F * made.clean_scale;
    else if (made.order > 1)
      made.first_scale = alpha * ((config_.stochastic ? integral / -hh : integral / hh) + 1.0F);
    if (made.order < 3) return;
    made.second_scale = config_.stochastic ? alpha * ((integral - hh) / (hh * hh) - 0.5F)
                                           : -(alpha * ((falls + h) / (h * h) - 0.5F));
  }

  Update update(int64_t step_index, int64_t order) const {
    const auto from = static_cast<std::size_t>(step_index);
    const float h = lambdas_.at(from + 1) - lambdas_.at(from);
    Update made;
    made.order = order;
    made.sample_scale = sigmas_.at(from + 1) / sigmas_.at(from);
    if (config_.stochastic) {
      made.sample_scale *= torch_exp(-h);
      made.noise_scale = sigmas_.at(from + 1) * torch_sqrt(1.0F - torch_exp(-2.0F * h));
    }
    set_scales(made, alphas_.at(from + 1), h);
    std::vector<float> r;
    for (std::size_t k = 0; k + 1 < static_cast<std::size_t>(order); ++k) {
      r.push_back((lambdas_.at(from - k) - lambdas_.at(from - k - 1)) / h);
      made.slopes.push_back(1.0F / r.back());
    }
    if (order == 3) {
      made.correction = r[0] / (r[0] + r[1]);
      made.curvature = 1.0F / (r[0] + r[1]);
    }
    return made;
  }

  bool is_finite(const Update& made) const {
    bool finite = all_finite({made.sample_scale, made.clean_scale, made.first_scale, made.second_scale,
                              made.noise_scale, made.correction, made.curvature});
    for (const float slope : made.slopes) finite = finite && all_finite({slope});
    return finite;
  }

  // The clean sample that a prediction stands for. What is kept for later steps is never the caller's own
  // tensor, which may be a buffer.
  at::Tensor converted(const at::Tensor& prediction, int64_t step_index, const at::Tensor& sample) const {
    const auto [alpha, sigma] = level(step_index);
    switch (prediction_type_) {
      case PredictionType::epsilon:
        return (sample - prediction * sigma) / alpha;
      case PredictionType::v_prediction:
        return sample * alpha - prediction * sigma;
      case PredictionType::sample:
        return prediction.clone();
      case PredictionType::flow_prediction:
        return sample - prediction * raw_sigmas_.at(static_cast<std::size_t>(step_index));
    }
    throw Error(ErrorKind::internal, "an unknown prediction type");
  }

  at::Tensor advance(const at::Tensor& prediction, int64_t step_index, const at::Tensor& sample,
                     const std::vector<at::Tensor>& noises) override {
    auto& kept = history_.predictions;
    if (!kept.empty() && step_index != history_.next_step)
      throw Error(ErrorKind::internal, "scheduler dpm++: step " + std::to_string(step_index) +
                                           " where step " + std::to_string(history_.next_step) +
                                           " follows; set an empty history to start anew");
    kept.push_back(converted(prediction, step_index, sample));
    if (static_cast<int64_t>(kept.size()) > config_.solver_order) kept.erase(kept.begin());
    history_.next_step = step_index + 1;
    const auto made = update(step_index, order_at(step_index, static_cast<int64_t>(kept.size())));
    const auto newest = [&kept](std::size_t back) { return kept[kept.size() - 1 - back]; };

    auto result = sample * made.sample_scale + newest(0) * made.clean_scale;
    if (made.order > 1) {
      auto first = (newest(0) - newest(1)) * made.slopes[0];
      at::Tensor second;
      if (made.order == 3) {
        const auto change = first - (newest(1) - newest(2)) * made.slopes[1];
        first = first + change * made.correction;
        second = change * made.curvature;
      }
      result = result + first * made.first_scale;
      if (second.defined()) result = result + second * made.second_scale;
    }
    return noises.empty() ? result : result + noises[0] * made.noise_scale;
  }

  PredictionType prediction_type_;
  DpmConfig config_;
  std::vector<float> raw_sigmas_;                 // [steps + 1], as scheduled
  std::vector<float> alphas_, sigmas_, lambdas_;  // [steps + 1], as UniPC has them
  SchedulerHistory history_;
};

std::unique_ptr<Scheduler> make_solver(const SchedulerConfig& config, const DpmConfig& own,
                                       const Schedule& schedule) {
  if (config.use_flow_sigmas && !schedule.timesteps.empty())
    throw Error(
        ErrorKind::usage,
        "--timesteps: the scheduler dpm++ has timesteps of its own for a model trained as a flow; use "
        "flow-euler");
  return std::make_unique<DpmSolver>(config, own, schedule_of(config, own, schedule));
}

}  // namespace

SchedulerClass dpm_solver() {
  return {.name = "dpm++",
          .class_name = "DPMSolverMultistepScheduler",
          .defaults = {.timestep_spacing = TimestepSpacing::linspace},
          .samples_flows = true,
          .takes_timesteps = true,
          .takes_sigma_schedule = true,
          .check = [](const SchedulerConfig& config) { dpm_config(config); },
          .make = [](const SchedulerConfig& config,
                     const Schedule& schedule) { return make_solver(config, dpm_config(config), schedule); }};
}

// The same with fresh noise at each step, whatever the file's algorithm_type.
SchedulerClass dpm_solver_sde() {
  auto scheduler = dpm_solver();
  scheduler.name = "dpm++-sde";
  scheduler.class_name = nullptr;
  scheduler.make = [](const SchedulerConfig& config, const Schedule& schedule) {
    auto own = dpm_config(config);
    own.stochastic = true;
    return make_solver(config, own, schedule);
  };
  return scheduler;
}

}  // namespace t2v
