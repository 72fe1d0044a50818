// How a scheduler's file reads what it alone knows of scheduler_config.json. Internal to this room.
#pragma once

#include <initializer_list>
#include <string>
#include <utility>
#include <vector>

#include "schedulers/config.h"

namespace t2v {

template <class Value>
using Choices = std::vector<std::pair<const char*, Value>>;

// Throws Error{bad_input}: `key` is what is `found`.
[[noreturn]] void refuse_setting(const std::string& where, const std::string& key, const std::string& found,
                                 const std::string& supported);

// Settings that would change the samples and that are not implemented: bools that may only be false, values
// that may only be null.
void refuse_if_true(const SchedulerConfig& config, std::initializer_list<const char*> keys);
void refuse_if_set(const SchedulerConfig& config, std::initializer_list<const char*> keys);

int64_t integer_between(const Json& json, const std::string& key, int64_t otherwise, int64_t least,
                        int64_t most, const std::string& where);

// final_sigmas_type: the last step ends at a sigma of zero, or at the least one.
bool ends_at_zero(const SchedulerConfig& config);

// The last step ends at alpha = 1 rather than at the first trained level.
bool set_alpha_to_one(const SchedulerConfig& config);

template <class Value>
Value choice(const Json& json, const std::string& key, Value otherwise, const Choices<Value>& choices,
             const std::string& where) {
  if (!json.is_object() || !json.contains(key) || json.at(key).is_null()) return otherwise;
  const auto found = json_get<std::string>(json, key, where);
  std::string names;
  for (const auto& [name, value] : choices) {
    if (found == name) return value;
    names += (names.empty() ? "" : ", ") + std::string(name);
  }
  refuse_setting(where, key, "\"" + found + "\"", names);
}

}  // namespace t2v
