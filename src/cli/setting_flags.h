// The settings of a clip as the commands that make clips take them: flags, over environment variables, over
// --config.
#pragma once

#include <map>
#include <memory>
#include <string>

#include "cli/app.h"
#include "t2v/request.h"

namespace t2v {

struct SettingFlags {
  std::multimap<std::string, std::string> given;  // setting key → text; several of a list
  std::string config;
};

// Adds a flag for every setting, and --config.
std::shared_ptr<SettingFlags> add_setting_flags(CLI::App& command);

// What the user asked for; the model's t2v.json and the family's defaults come in the plan. Throws
// Error{usage}.
GenerationRequest request_from(const SettingFlags& flags);

// A warning with both hashes where --config is a clip or a sidecar and its clip was made by another model
// than the one of the request. Throws Error{usage, bad_input}.
void warn_of_another_model(const SettingFlags& flags, const GenerationRequest& request);

}  // namespace t2v
