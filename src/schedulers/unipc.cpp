// Zhao et al. (2023), "UniPC: a unified predictor-corrector framework for fast sampling of diffusion models",
// algorithms 1 and 2 (UniC, UniP with B(h)), on variance-preserving levels or on rectified flow. Reference:
// diffusers scheduling_unipc_multistep.py.
#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>

#include "schedulers/reading.h"
#include "schedulers/schedule.h"
#include "schedulers/scheduler_classes.h"
#include "schedulers/sigmas.h"

namespace t2v {

namespace {

enum class SolverType { bh1, bh2 };

struct UniPcConfig {
  int64_t solver_order = 2;  // 1 to 3
  SolverType solver_type = SolverType::bh2;
  bool predict_x0 = true;                  // the solver works on the clean sample rather than on the noise
  bool lower_order_final = true;           // the order falls to 1 towards the last step
  std::vector<int64_t> disable_corrector;  // steps after which the corrector is left out
  bool ends_at_zero = true;                // final_sigmas_type
  bool overwrites_samples = false;
};

std::vector<int64_t> integers(const Json& json, const std::string& key, const std::string& where) {
  if (!json.contains(key) || json.at(key).is_null()) return {};
  for (const auto& item : json.at(key))
    if (!json.at(key).is_array() || !item.is_number_integer())
      refuse_setting(where, key, json.at(key).dump(), "a list of integers");
  return json_get<std::vector<int64_t>>(json, key, where);
}

UniPcConfig unipc_config(const SchedulerConfig& config) {
  const auto& json = config.settings;
  const auto& where = config.where;
  sigma_spacing(config);
  if (config.use_dynamic_shifting) refuse_if_true(config, {"use_dynamic_shifting"});
  refuse_if_set(config, {"solver_p", "shift_terminal"});
  UniPcConfig own;
  own.solver_order = integer_between(json, "solver_order", own.solver_order, 1, 3, where);
  if (config.scheduler == "unipc")  // other solvers have other types
    own.solver_type = choice<SolverType>(json, "solver_type", own.solver_type,
                                         {{"bh1", SolverType::bh1}, {"bh2", SolverType::bh2}}, where);
  own.predict_x0 = json_get_or<bool>(json, "predict_x0", own.predict_x0, where);
  own.lower_order_final = json_get_or<bool>(json, "lower_order_final", own.lower_order_final, where);
  own.disable_corrector = integers(json, "disable_corrector", where);
  own.ends_at_zero = ends_at_zero(config);
  own.overwrites_samples = config.overwrites_samples;
  return own;
}

SigmaSchedule flow_schedule(const SchedulerConfig& config, const Schedule& asked, bool to_zero) {
  SigmaSchedule schedule;
  const auto trained = static_cast<double>(config.num_train_timesteps);
  const double delta = (1 / trained - 1) / static_cast<double>(asked.steps);
  for (int64_t i = 0; i < asked.steps; ++i) {
    double sigma = asked.sigmas.empty() ? static_cast<double>(i) * delta + 1
                                        : asked.sigmas[static_cast<std::size_t>(i)];
    sigma = config.flow_shift * sigma / (1 + (config.flow_shift - 1) * sigma);
    if (i == 0 && std::fabs(sigma - 1) < 1e-6) sigma -= 1e-6;  // pure noise has no logarithm of its alpha
    schedule.timesteps.push_back(static_cast<int64_t>(sigma * trained));
    schedule.sigmas.push_back(static_cast<float>(sigma));
  }
  schedule.sigmas.push_back(to_zero ? 0.0F : schedule.sigmas.back());
  return schedule;
}

SigmaSchedule trained_schedule(const SchedulerConfig& config, int64_t steps, bool to_zero) {
  const auto trained = trained_sigmas(config);
  SigmaSchedule schedule{.timesteps = spaced_timesteps(config, steps, 1), .sigmas = {}};
  for (const int64_t timestep : schedule.timesteps) schedule.sigmas.push_back(trained.at(timestep));
  schedule.sigmas.push_back(to_zero ? 0.0F : trained.front());
  return schedule;
}

// Of the trained sigmas, also for a flow: s of clean + s * noise is s / (1 + s) there. The reference has no
// other spacing than Karras's for flows, and rounds no other's timesteps.
SigmaSchedule spaced_schedule(const SchedulerConfig& config, SigmaSpacing spacing, int64_t steps,
                              bool to_zero) {
  if (config.use_flow_sigmas && spacing != SigmaSpacing::karras)
    throw Error(ErrorKind::usage,
                "the scheduler unipc spaces the sigmas of a flow by karras alone; use flow-euler");
  const auto trained = trained_sigmas(config);
  auto sigmas = spaced_sigmas(config, spacing, trained.back(), trained.front(), steps);
  auto timesteps = timesteps_of_sigmas(trained, sigmas);
  for (std::size_t i = 0; config.use_flow_sigmas && i < sigmas.size(); ++i) {
    sigmas[i] = sigmas[i] / (sigmas[i] + 1);
    timesteps[i] = sigmas[i] * static_cast<double>(config.num_train_timesteps);
  }
  SigmaSchedule schedule{.timesteps = {}, .sigmas = {sigmas.begin(), sigmas.end()}};
  const bool rounds = spacing == SigmaSpacing::karras && !config.use_flow_sigmas;
  for (const double timestep : timesteps)
    schedule.timesteps.push_back(static_cast<int64_t>(rounds ? std::nearbyint(timestep) : timestep));
  schedule.sigmas.push_back(to_zero ? 0.0F : schedule.sigmas.back());
  return schedule;
}

SigmaSchedule schedule_of(const SchedulerConfig& config, const Schedule& asked, bool to_zero) {
  const auto spacing = sigma_spacing(config);
  refuse_given_levels(spacing, asked);
  if (spacing != SigmaSpacing::by_timestep) return spaced_schedule(config, spacing, asked.steps, to_zero);
  return config.use_flow_sigmas ? flow_schedule(config, asked, to_zero)
                                : trained_schedule(config, asked.steps, to_zero);
}

// One UniP or UniC update, without its tensors:
// x_t = sample_scale * x - prediction_scale * m0 - residual_scale * sum_k weights[k] * (m_k - m0) / ratios[k]
struct Update {
  float sample_scale;
  float prediction_scale;
  float residual_scale;
  std::vector<float> ratios;   // (lambda_k - lambda_0) / h of the earlier predictions m_1, m_2; the
                               // corrector's new prediction has 1
  std::vector<float> weights;  // as many
};

// Solves sum_j ratios[j]^i weights[j] = right[i]; NaN when that is singular.
std::vector<float> solve_weights(const std::vector<float>& ratios, std::vector<float> right) {
  const auto row = at::tensor(ratios);
  std::vector<at::Tensor> rows;
  for (std::size_t i = 0; i < ratios.size(); ++i) rows.push_back(row.pow(static_cast<int64_t>(i)));
  right.resize(ratios.size());
  const auto [weights, info] = at::linalg_solve_ex(at::stack(rows), at::tensor(right));
  if (info.item<int64_t>() != 0) return std::vector<float>(ratios.size(), NAN);
  return to_vector(weights);
}

class UniPc final : public Scheduler {
 public:
  UniPc(const SchedulerConfig& config, UniPcConfig own, SigmaSchedule schedule)
      : Scheduler(schedule.timesteps),
        prediction_type_(config.prediction_type),
        config_(std::move(own)),
        raw_sigmas_(std::move(schedule.sigmas)) {
    for (const float sigma : raw_sigmas_) {
      alphas_.push_back(config.use_flow_sigmas ? 1 - sigma : 1 / torch_sqrt(sigma * sigma + 1));
      sigmas_.push_back(config.use_flow_sigmas ? sigma : sigma * alphas_.back());
    }
    for (std::size_t i = 0; i < sigmas_.size(); ++i)
      lambdas_.push_back(torch_log(alphas_[i]) - torch_log(sigmas_[i]));
    check_finite();
  }

  int64_t noises_needed(int64_t) const override { return 0; }
  NoiseLevel level(int64_t step_index) const override {
    return {alphas_.at(step_index), sigmas_.at(step_index)};
  }
  SchedulerHistory history() const override { return history_; }
  void set_history(SchedulerHistory history) override { history_ = std::move(history); }

 private:
  enum class Part { predictor, corrector };

  int64_t steps() const { return static_cast<int64_t>(timesteps().size()); }

  // The order of the predictor at a step, with `known` predictions (that of the step itself included).
  int64_t order_at(int64_t step_index, int64_t known) const {
    const int64_t order = config_.lower_order_final ? std::min(config_.solver_order, steps() - step_index)
                                                    : config_.solver_order;
    return std::min(order, known);
  }

  bool corrects(int64_t step_index) const {
    const auto& disabled = config_.disable_corrector;
    return step_index > 0 && std::find(disabled.begin(), disabled.end(), step_index - 1) == disabled.end();
  }

  // The update from level `from` to from + 1.
  Update update(Part part, int64_t from, int64_t order) const {
    const float h = lambdas_.at(from + 1) - lambdas_.at(from);
    const float hh = config_.predict_x0 ? -h : h;
    const float h_phi_1 = torch_expm1(hh);
    const float b_h = config_.solver_type == SolverType::bh1 ? hh : h_phi_1;
    const auto& target = config_.predict_x0 ? alphas_ : sigmas_;
    const auto& other = config_.predict_x0 ? sigmas_ : alphas_;

    Update result{.sample_scale = other.at(from + 1) / other.at(from),
                  .prediction_scale = target.at(from + 1) * h_phi_1,
                  .residual_scale = target.at(from + 1) * b_h,
                  .ratios = {},
                  .weights = {}};
    for (int64_t k = 1; k < order; ++k)
      result.ratios.push_back((lambdas_.at(from - k) - lambdas_.at(from)) / h);
    if (part == Part::corrector) result.ratios.push_back(1.0F);

    std::vector<float> right;  // b of the paper's eq. 5
    float h_phi_k = h_phi_1 / hh - 1;
    float factorial = 1;
    for (int64_t i = 1; i <= order; ++i) {
      right.push_back(h_phi_k * factorial / b_h);
      factorial *= static_cast<float>(i + 1);
      h_phi_k = h_phi_k / hh - 1 / factorial;
    }
    // One weight has a closed form in the paper: UniP-2 and UniC-1.
    if (!result.ratios.empty())
      result.weights = result.ratios.size() == 1 ? std::vector<float>{0.5F}
                                                 : solve_weights(result.ratios, right);
    return result;
  }

  // An update with its tensors: `known` holds m_0, m_1, ... (newest first), `corrected` the prediction at the
  // target, for a corrector.
  static at::Tensor apply(const Update& update, const at::Tensor& x, const std::vector<at::Tensor>& known,
                          const at::Tensor& corrected) {
    auto result = x * update.sample_scale - known.front() * update.prediction_scale;
    at::Tensor residual;
    for (std::size_t k = 0; k < update.weights.size(); ++k) {
      const bool newest = corrected.defined() && k + 1 == update.weights.size();
      const auto difference = newest ? corrected - known.front()
                                     : (known.at(k + 1) - known.front()) / update.ratios[k];
      residual = residual.defined() ? residual + difference * update.weights[k]
                                    : difference * update.weights[k];
    }
    return residual.defined() ? result - residual * update.residual_scale : result;
  }

  at::Tensor converted(const at::Tensor& prediction, int64_t step_index, const at::Tensor& sample) const {
    const float alpha = alphas_.at(step_index);
    const float sigma = sigmas_.at(step_index);
    switch (prediction_type_) {
      case PredictionType::epsilon:
        return config_.predict_x0 ? (sample - prediction * sigma) / alpha : prediction.clone();
      case PredictionType::v_prediction:
        return config_.predict_x0 ? sample * alpha - prediction * sigma : prediction * alpha + sample * sigma;
      // What is kept for later steps is never the caller's own tensor, which may be a buffer.
      case PredictionType::sample:
        return config_.predict_x0 ? prediction.clone() : (sample - prediction * alpha) / sigma;
      case PredictionType::flow_prediction:
        return sample - prediction * raw_sigmas_.at(step_index);
    }
    throw Error(ErrorKind::internal, "an unknown prediction type");
  }

  at::Tensor advance(const at::Tensor& prediction, int64_t step_index, const at::Tensor& sample,
                     const std::vector<at::Tensor>&) override {
    if (!history_.predictions.empty() && step_index != history_.next_step)
      throw Error(ErrorKind::internal, "scheduler unipc: step " + std::to_string(step_index) +
                                           " where step " + std::to_string(history_.next_step) +
                                           " follows; set an empty history to start anew");
    auto latest = converted(prediction, step_index, sample);
    auto& kept = history_.predictions;
    const auto newest_first = [&kept] { return std::vector<at::Tensor>(kept.rbegin(), kept.rend()); };

    const bool corrected = corrects(step_index) && history_.last_sample.has_value();
    const auto x = corrected ? apply(update(Part::corrector, step_index - 1, history_.last_order),
                                     *history_.last_sample, newest_first(), latest)
                             : sample.clone();
    kept.push_back(latest);
    if (static_cast<int64_t>(kept.size()) > config_.solver_order) kept.erase(kept.begin());
    history_.last_sample = x;
    history_.last_order = order_at(step_index, static_cast<int64_t>(kept.size()));
    history_.next_step = step_index + 1;
    auto next = apply(update(Part::predictor, step_index, history_.last_order), x, newest_first(), {});
    if (config_.overwrites_samples && !corrected) history_.last_sample = next.clone();
    return next;
  }

  bool is_finite(const Update& update) const {
    if (!all_finite({update.sample_scale, update.prediction_scale})) return false;
    for (std::size_t k = 0; k < update.weights.size(); ++k)
      if (!all_finite({update.weights[k], update.residual_scale, 1 / update.ratios[k]})) return false;
    return true;
  }

  // All updates of a whole run are finite, or Error{usage}.
  void check_finite() const {
    int64_t order = 0;
    for (int64_t i = 0; i < steps(); ++i) {
      bool finite = !corrects(i) || is_finite(update(Part::corrector, i - 1, order));
      order = order_at(i, i + 1);
      finite = finite && is_finite(update(Part::predictor, i, order));
      if (!finite)
        throw_not_finite("unipc", static_cast<std::size_t>(i), timesteps().size(),
                         "two steps share a noise level (use fewer steps), or final_sigmas_type is zero with "
                         "predict_x0 = false or "
                         "lower_order_final = false");
    }
  }

  PredictionType prediction_type_;
  UniPcConfig config_;
  std::vector<float> raw_sigmas_;  // [steps + 1], as scheduled
  std::vector<float> alphas_, sigmas_,
      lambdas_;  // [steps + 1]: sample = alpha * clean + sigma * noise; lambda = log(alpha / sigma)
  SchedulerHistory history_;
};

std::unique_ptr<Scheduler> make_unipc(const SchedulerConfig& config, const Schedule& schedule) {
  const auto own = unipc_config(config);
  if (config.prediction_type == PredictionType::flow_prediction && !own.predict_x0)
    throw Error(
        ErrorKind::usage,
        "the scheduler unipc needs predict_x0 = true for a model with prediction_type flow_prediction");
  return std::make_unique<UniPc>(config, own, schedule_of(config, schedule, own.ends_at_zero));
}

}  // namespace

SchedulerClass unipc() {
  return {.name = "unipc",
          .class_name = "UniPCMultistepScheduler",
          .defaults = {.timestep_spacing = TimestepSpacing::linspace},
          .samples_flows = true,
          .takes_sigmas = true,
          .takes_sigma_schedule = true,
          .check = [](const SchedulerConfig& config) { unipc_config(config); },
          .make = make_unipc};
}

}  // namespace t2v
