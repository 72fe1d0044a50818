#include "train/loop/trainer.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <chrono>
#include <cmath>
#include <numbers>

#include "base/json.h"
#include "t2v/error.h"
#include "train/loop/training_state.h"
#include "train/loop/workers.h"
#include "train/run/report.h"

namespace t2v {

namespace fs = std::filesystem;

namespace {

using Clock = std::chrono::steady_clock;
double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

class Training {
 public:
  Training(TrainingTask& task, const ParameterSet& parameters, const TrainerConfig& config,
           const Processes& processes, const TrainerHooks& hooks, Observer& observer)
      : task_(task),
        parameters_(parameters),
        config_(config),
        processes_(processes),
        hooks_(hooks),
        observer_(observer),
        optimizer_(parameters, config.optimizer),
        workers_(config.workers),
        newest_(config.folder / (config.stage + "-newest.safetensors")) {}

  ParameterSet run() {
    if (config_.resume) {
      if (const auto found = load_training_state(newest_, optimizer_, config_.fingerprint)) {
        at_ = *found;
        observer_.note(config_.stage + ": goes on after step " + std::to_string(at_.step));
      }
    }
    at_.fingerprint = config_.fingerprint;
    saved_seconds_ = evaluated_seconds_ = at_.seconds;
    for (;;) {
      const auto preparation = task_.prepare(at_.step + at_.skipped, workers_);
      if (preparation.done >= preparation.total) break;
      observer_.progress({"prepare " + config_.stage, preparation.done, preparation.total});
      stop_if_asked();
    }
    while (progress() < 1) {
      stop_if_asked();
      one_step();
      if (at_.seconds - saved_seconds_ >= 60 * config_.checkpoint_minutes) save();
      if (at_.seconds - evaluated_seconds_ >= 60 * config_.evaluate_minutes) {
        save();  // an evaluation can be stopped
        evaluate();
      }
    }
    save();
    evaluate();
    return optimizer_.average();
  }

 private:
  double progress() const {
    double progress = 0;
    if (config_.schedule.steps)
      progress = static_cast<double>(at_.step) /
                 static_cast<double>(std::max<int64_t>(1, *config_.schedule.steps));
    if (config_.schedule.minutes)
      progress = std::max(progress, at_.seconds / (60 * *config_.schedule.minutes));
    return std::min(progress, 1.0);
  }

  // All processes stop after the same step.
  void stop_if_asked() {
    std::optional<Error> asked;
    try {
      observer_.check_cancelled();
    } catch (const Error& error) {
      asked = error;
    }
    if (processes_.total(asked ? 1 : 0) == 0) return;
    save();
    processes_.wait_for_all();  // a launcher may kill process 0 once another one has ended
    throw asked.value_or(Error(ErrorKind::terminated, "another process of this run was stopped"));
  }

  void one_step() {
    const auto start = Clock::now();
    const double factor = learning_rate_factor(config_.schedule, at_.step, progress());
    task_.begin_step(at_.step + at_.skipped, progress(), workers_);
    auto [gradients, metrics] = run_lanes();
    const double loss = metrics["loss"] / metrics["weight"];
    const double norm = std::isfinite(loss) ? gradient_norm(gradients) : loss;
    if (!std::isfinite(norm) || (at_.step > 200 && norm > config_.spike_factor * at_.norm_mean))
      return go_back(loss, norm);
    optimizer_.step(gradients, norm, factor, workers_);
    at_.norm_mean = at_.step == 0 ? norm : 0.99 * at_.norm_mean + 0.01 * norm;
    ++at_.step;
    const double seconds = processes_.total(processes_.rank() == 0 ? seconds_since(start)
                                                                   : 0);  // one clock for all schedules
    at_.seconds += seconds;
    for (const auto& [name, value] : metrics) recent_[name] += value;
    recent_norm_ += norm;
    ++recent_steps_;
    recent_seconds_ += seconds;
    if (at_.step % config_.log_steps == 0) log(factor);
    observer_.progress({"train " + config_.stage, static_cast<int64_t>(progress() * 1000), 1000});
  }

  // Gradients of this step, of all lanes of all processes: lanes are added in their order, whatever thread
  // they ran on.
  std::pair<std::vector<at::Tensor>, Metrics> run_lanes() {
    std::vector<int64_t> mine;
    for (int64_t lane = processes_.rank(); lane < task_.lanes(); lane += processes_.count())
      mine.push_back(lane);
    while (replicas_.size() < mine.size()) replicas_.push_back(parameters_.replica());
    std::vector<Metrics> found(mine.size());
    workers_.run(static_cast<int64_t>(mine.size()), [&](int64_t i) {
      const auto k = static_cast<std::size_t>(i);
      found[k] = run_lane(task_, mine[k], replicas_[k]);
    });
    std::vector<at::Tensor> sums;
    Metrics metrics;
    for (std::size_t k = 0; k < mine.size(); ++k) {
      for (std::size_t p = 0; p < parameters_.list().size(); ++p) {
        auto& gradient = replicas_[k].list()[p].value.mutable_grad();
        const auto& value = parameters_.list()[p].value;
        if (k == 0)
          sums.push_back(gradient.defined() ? gradient : at::zeros_like(value.detach()));
        else if (gradient.defined())
          sums[p].add_(gradient);
        gradient = at::Tensor();
      }
      for (const auto& [name, value] : found[k]) metrics[name] += value;
    }
    if (mine.empty())
      for (const auto& parameter : parameters_.list())
        sums.push_back(at::zeros_like(parameter.value.detach()));
    if (processes_.count() > 1) sum_over_processes(sums, metrics);
    return {std::move(sums), std::move(metrics)};
  }

  // Every process names the same metrics: those of the lanes it ran.
  void sum_over_processes(std::vector<at::Tensor>& sums, Metrics& metrics) {
    std::vector<double> values;
    for (const auto& [name, value] : metrics) values.push_back(value);
    sums.push_back(at::tensor(values, at::TensorOptions(at::kDouble)));
    processes_.sum(sums);
    std::size_t i = 0;
    for (auto& [name, value] : metrics) value = sums.back()[static_cast<int64_t>(i++)].item<double>();
    sums.pop_back();
  }

  void go_back(double loss, double norm) {
    const auto what = config_.stage + ": step " + std::to_string(at_.step + 1) + " has a loss of " +
                      std::to_string(loss) + " and a gradient norm of " + std::to_string(norm) +
                      " (running mean " + std::to_string(at_.norm_mean) + ")";
    const int64_t failed = at_.step;
    const bool went_back = at_.skipped > 0;
    const auto found = went_back ? std::nullopt
                                 : load_training_state(newest_, optimizer_, config_.fingerprint);
    if (!found)
      throw Error(ErrorKind::non_finite,
                  what + (went_back ? ", for the second time" : "; there is no checkpoint to go back to") +
                      ". Lower the learning rate, or lengthen the warm-up.");
    at_ = *found;
    // Other batches than those that led here (Chowdhery et al. 2022, PaLM, section 5.1).
    at_.skipped = failed - at_.step + 1;
    observer_.note(what + "; going back to the checkpoint after step " + std::to_string(at_.step));
    write_line({{"stage", config_.stage}, {"event", "went back"}, {"from_step", failed}, {"step", at_.step}});
    save();
  }

  void save() {
    if (processes_.rank() == 0) save_training_state(newest_, optimizer_, at_);
    saved_seconds_ = at_.seconds;
  }

  void evaluate() {
    evaluated_seconds_ = at_.seconds;
    if (processes_.rank() != 0) return;
    const at::NoGradGuard no_grad;
    const auto metrics = task_.evaluate(optimizer_.average());
    Json line = {
        {"stage", config_.stage}, {"event", "evaluation"}, {"step", at_.step}, {"seconds", at_.seconds}};
    std::string text = config_.stage + " after " + std::to_string(at_.step) + " steps:";
    for (const auto& [name, value] : metrics) {
      line[name] = value;
      char number[40];
      std::snprintf(number, sizeof number, " %.4g", value);
      text += " " + name + number;
    }
    if (rate_ > 0) {
      char number[60];
      std::snprintf(number, sizeof number, " (trained at %.3g TFLOP/s)", rate_);
      text += number;
    }
    write_line(line);
    observer_.note(text);
    if (hooks_.evaluated) hooks_.evaluated(metrics, optimizer_.average(), at_.step);
  }

  void log(double factor) {
    const double weight = recent_["weight"];
    Json line = {{"stage", config_.stage},
                 {"step", at_.step},
                 {"seconds", at_.seconds},
                 {"progress", progress()},
                 {"learning_rate_factor", factor},
                 {"gradient_norm", recent_norm_ / static_cast<double>(recent_steps_)},
                 {"steps_per_second", static_cast<double>(recent_steps_) / recent_seconds_}};
    for (const auto& [name, value] : recent_) {
      if (name == "weight") continue;
      if (name == "flops")
        line["teraflops_per_second"] = rate_ = value / recent_seconds_ / 1e12;
      else if (name == "clips" || name == "tokens")
        line[name + "_per_second"] = value / recent_seconds_;
      else if (recent_.contains(name + "_weight"))
        line[name] = value / std::max(1e-12, recent_[name + "_weight"]);
      else if (!name.ends_with("_weight"))
        line[name] = value / weight;
    }
    write_line(line);
    recent_.clear();
    recent_norm_ = recent_seconds_ = 0;
    recent_steps_ = 0;
  }

  void write_line(const Json& line) {
    if (processes_.rank() != 0) return;
    append_metrics(config_.folder, line);
  }

  TrainingTask& task_;
  const ParameterSet& parameters_;
  const TrainerConfig& config_;
  const Processes& processes_;
  const TrainerHooks& hooks_;
  Observer& observer_;
  Optimizer optimizer_;
  Workers workers_;
  std::vector<ParameterSet> replicas_;
  fs::path newest_;
  TrainingState at_;
  double saved_seconds_ = 0, evaluated_seconds_ = 0;
  Metrics recent_;
  double recent_norm_ = 0, recent_seconds_ = 0;
  int64_t recent_steps_ = 0;
  double rate_ = 0;  // of the last logged steps, TFLOP/s
};

}  // namespace

double learning_rate_factor(const ScheduleConfig& schedule, int64_t step, double progress) {
  const double warm = schedule.warmup_steps > 0
                          ? std::min(1.0, static_cast<double>(step + 1) /
                                              static_cast<double>(schedule.warmup_steps))
                          : 1.0;
  const double begin = 1 - schedule.decay_share;
  if (progress <= begin || schedule.decay_share <= 0) return warm;
  const double done = std::min(1.0, (progress - begin) / schedule.decay_share);
  const double fall = schedule.cosine ? (1 + std::cos(std::numbers::pi * done)) / 2 : 1 - done;
  return warm * (schedule.final_factor + (1 - schedule.final_factor) * fall);
}

ParameterSet train(TrainingTask& task, const ParameterSet& parameters, const TrainerConfig& config,
                   const Processes& processes, const TrainerHooks& hooks, Observer& observer) {
  return Training(task, parameters, config, processes, hooks, observer).run();
}

}  // namespace t2v
