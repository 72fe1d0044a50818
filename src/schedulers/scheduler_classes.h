// The schedulers that there are, by name.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "schedulers/config.h"
#include "schedulers/scheduler.h"

namespace t2v {

struct SchedulerClass {
  const char* name = nullptr;        // as users write it
  const char* class_name = nullptr;  // "_class_name" in scheduler_config.json
  SchedulerConfig defaults = {};     // of a file of this class, where it says nothing
  bool samples_levels = true;        // models trained by alphas_cumprod
  bool samples_flows = false;        // models trained as a flow
  bool takes_eta = false, takes_timesteps = false, takes_sigmas = false, takes_sigma_schedule = false;
  // Reads what only this class knows. Throws Error{bad_input} for what is not supported.
  void (*check)(const SchedulerConfig& config) = nullptr;
  // Of a config of whatever class, and a schedule that it takes. Throws Error{bad_input, usage}.
  std::unique_ptr<Scheduler> (*make)(const SchedulerConfig& config, const Schedule& schedule) = nullptr;
};

// Several classes of one name are the same scheduler with other defaults.
const std::vector<SchedulerClass>& scheduler_classes();

// Each name once, in the order of the list, and all of them as a text: "ddpm, ddim".
std::vector<std::string> scheduler_names();
std::string scheduler_list();

// As users write it. Throws Error{usage} naming the nearest one.
const SchedulerClass& scheduler_named(const std::string& name);
// As `_class_name` has it. Throws Error{bad_input}.
const SchedulerClass& scheduler_of_class(const std::string& class_name, const std::string& where);

}  // namespace t2v
