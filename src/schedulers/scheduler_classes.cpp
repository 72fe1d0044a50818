#include "schedulers/scheduler_classes.h"

#include <algorithm>

#include "base/utf8.h"
#include "schedulers/reading.h"

namespace t2v {

// Each in the file of its name.
SchedulerClass ddpm(), ddim(), cogvideox_ddim(), unipc(), euler(), flow_euler(), dpm_solver(),
    dpm_solver_sde(), cogvideox_dpm();

const std::vector<SchedulerClass>& scheduler_classes() {
  static const std::vector<SchedulerClass> classes = {
      ddpm(),       ddim(),       cogvideox_ddim(), unipc(),         euler(),
      flow_euler(), dpm_solver(), dpm_solver_sde(), cogvideox_dpm(),
  };
  return classes;
}

namespace {

std::string joined(const std::vector<std::string>& names) {
  std::string all;
  for (const auto& name : names) all += (all.empty() ? "" : ", ") + name;
  return all;
}

}  // namespace

std::vector<std::string> scheduler_names() {
  std::vector<std::string> names;
  for (const auto& one : scheduler_classes())
    if (std::find(names.begin(), names.end(), one.name) == names.end()) names.emplace_back(one.name);
  return names;
}

std::string scheduler_list() { return joined(scheduler_names()); }

const SchedulerClass& scheduler_named(const std::string& name) {
  for (const auto& one : scheduler_classes())
    if (name == one.name) return one;
  const auto near = nearest_name(name, scheduler_names());
  throw Error(ErrorKind::usage, "there is no scheduler '" + name + "'; " +
                                    (near ? "did you mean '" + *near + "'? " : "") + "The schedulers are " +
                                    scheduler_list());
}

const SchedulerClass& scheduler_of_class(const std::string& class_name, const std::string& where) {
  std::vector<std::string> names;
  for (const auto& one : scheduler_classes()) {
    if (one.class_name == nullptr) continue;
    if (class_name == one.class_name) return one;
    names.emplace_back(one.class_name);
  }
  refuse_setting(where, "_class_name", "\"" + class_name + "\"", joined(names));
}

}  // namespace t2v
