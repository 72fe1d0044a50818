// Every setting of a request, declared once: the name in JSON and environment, the flags, the help text, and
// where it is kept. The command line, the environment, config files, --print-config and the sidecar all go
// through this table, and so do the plan and t2v.json.
#pragma once

#include <limits>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "base/json.h"
#include "t2v/request.h"
#include "weights/model_folder.h"

namespace t2v {

using SettingField = std::variant<
    std::optional<std::string> GenerationRequest::*, std::optional<int64_t> GenerationRequest::*,
    std::optional<double> GenerationRequest::*, std::optional<bool> GenerationRequest::*,
    std::optional<std::vector<double>> GenerationRequest::*,
    std::optional<std::vector<std::string>> GenerationRequest::*>;  // given several times, each adds one

// Whether what is given several times adds up.
bool is_list(const SettingField& field);

// Where a setting is written, as the plan made it.
enum class Record {
  nowhere,
  plan,  // what --dry-run prints: a matter of this run
  clip,  // there, and with the clip: needed to make it again
};

struct Setting {
  const char* key;    // JSON key; the environment variable is T2V_ and the key in capitals
  const char* flags;  // as CLI11 takes them: "-s,--seed"
  const char* group;  // heading in --help
  const char* help;
  SettingField field;
  Record record;
  bool in_model = false;                                             // t2v.json may have it
  double least = 0, most = std::numeric_limits<double>::infinity();  // of numbers
};

const std::vector<Setting>& generation_settings();
const Setting& setting_of(const std::string& key);

// "24", "23.976" or "24000/1001". Throws Error{usage}.
double parse_fraction(const std::string& text, const std::string& where);

// Sets the field from a JSON value, or from text (a flag or an environment variable), which adds to a list:
// a text, or numbers with commas or spaces between them. `where` is named in messages. Throws Error{usage}.
void set_from_json(GenerationRequest& request, const Setting& setting, const Json& value,
                   const std::string& where);
void set_from_text(GenerationRequest& request, const Setting& setting, const std::string& text,
                   const std::string& where);

// All settings of an object of key: value; unknown keys are refused with the nearest name. Throws
// Error{usage}.
GenerationRequest request_from_json(const Json& object, const std::string& where);
Json request_to_json(const GenerationRequest& request);

// What a model's t2v.json and its family say of settings. where: the file. Throws Error{bad_input} for
// unknown keys, with the nearest known one, and for bad values.
GenerationRequest default_settings(const ModelDefaults& defaults, const std::string& where);

// Throws Error{usage} naming the flag of a number that is out of its range.
void check_ranges(const GenerationRequest& request);

// The settings of a plan that are written in such places, by key.
Json recorded_settings(const GenerationRequest& settings, Record least);

// `over` wins over `base`, setting by setting. Settings that say the same thing in different words go
// together: a size in `over` displaces width, height and aspect of `base`, --frames displaces seconds,
// --quality displaces crf.
GenerationRequest merge_requests(const GenerationRequest& base, const GenerationRequest& over);

}  // namespace t2v
