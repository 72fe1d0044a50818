// What a setting is set to, from texts and from JSON.
#include <algorithm>
#include <charconv>
#include <cmath>

#include "base/json_text.h"
#include "base/utf8.h"
#include "pipeline/plan/settings.h"

namespace t2v {

namespace {

using R = GenerationRequest;

template <class T>
T parse_number(const std::string& text, const std::string& where, const char* expected) {
  T value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  bool fine = error == std::errc() && end == text.data() + text.size();
  if constexpr (std::is_floating_point_v<T>) fine = fine && std::isfinite(value);
  if (!fine) throw Error(ErrorKind::usage, where + " should be " + expected + ", found '" + text + "'");
  return value;
}

// All text is refused here that could be no prompt, no JSON string and no file name.
std::string checked_text(const std::string& text, const std::string& where) {
  if (const auto defect = find_text_defect(text))
    throw Error(ErrorKind::usage, where + ": " + defect->what + " at byte " +
                                      std::to_string(defect->byte_offset) +
                                      "; text should be UTF-8 without control characters");
  return text;
}

std::vector<double> parse_numbers(const std::string& text, const std::string& where) {
  std::vector<double> numbers;
  for (std::size_t begin = 0; begin < text.size();) {
    const auto end = std::min(text.find_first_of(", ", begin), text.size());
    if (end > begin)
      numbers.push_back(parse_number<double>(text.substr(begin, end - begin), where, "a list of numbers"));
    begin = end + 1;
  }
  if (numbers.empty())
    throw Error(ErrorKind::usage, where + " should be a list of numbers, found '" + text + "'");
  return numbers;
}

bool parse_bool(const std::string& text, const std::string& where) {
  if (text == "true" || text == "1" || text == "on" || text == "yes") return true;
  if (text == "false" || text == "0" || text == "off" || text == "no") return false;
  throw Error(ErrorKind::usage, where + " should be true or false, found '" + text + "'");
}

}  // namespace

double parse_fraction(const std::string& text, const std::string& where) {
  const auto slash = text.find('/');
  const char* expected = "a number";
  if (slash == std::string::npos) return parse_number<double>(text, where, expected);
  const auto above = parse_number<double>(text.substr(0, slash), where, expected);
  const auto below = parse_number<double>(text.substr(slash + 1), where, expected);
  if (below == 0) throw Error(ErrorKind::usage, where + " should be a number, found '" + text + "'");
  return above / below;
}

void set_from_json(R& request, const Setting& setting, const Json& value, const std::string& where) {
  if (std::holds_alternative<std::optional<std::vector<double>> R::*>(setting.field)) {
    bool fine = value.is_array();
    for (const auto& item : value) fine = fine && item.is_number();
    if (!fine)
      throw Error(ErrorKind::usage,
                  where + ": '" + setting.key + "' should be a list of numbers, found " + json_text(value));
  }
  const Json object = {{setting.key, value}};
  try {
    std::visit(
        [&](auto field) {
          request.*field = json_get<typename std::remove_reference_t<decltype(request.*field)>::value_type>(
              object, setting.key, where);
        },
        setting.field);
  } catch (const Error& error) {
    throw Error(ErrorKind::usage, error.what());
  }
  if (const auto* field = std::get_if<std::optional<std::string> R::*>(&setting.field))
    checked_text(*(request.**field), where + ": '" + setting.key + "'");
  if (const auto* field = std::get_if<std::optional<std::vector<std::string>> R::*>(&setting.field))
    for (const auto& text : *(request.**field)) checked_text(text, where + ": '" + setting.key + "'");
}

void set_from_text(R& request, const Setting& setting, const std::string& text, const std::string& where) {
  if (const auto* field = std::get_if<std::optional<std::string> R::*>(&setting.field))
    request.** field = checked_text(text, where);
  if (const auto* field = std::get_if<std::optional<int64_t> R::*>(&setting.field))
    request.** field = parse_number<int64_t>(text, where, "a whole number");
  if (const auto* field = std::get_if<std::optional<double> R::*>(&setting.field))
    request.** field = parse_fraction(text, where);
  if (const auto* field = std::get_if<std::optional<bool> R::*>(&setting.field))
    request.** field = parse_bool(text, where);
  if (const auto* field = std::get_if<std::optional<std::vector<double>> R::*>(&setting.field)) {
    auto& list = request.**field;
    if (!list) list.emplace();
    for (const double number : parse_numbers(text, where)) list->push_back(number);
  }
  if (const auto* field = std::get_if<std::optional<std::vector<std::string>> R::*>(&setting.field)) {
    auto& list = request.**field;
    if (!list) list.emplace();
    list->push_back(checked_text(text, where));
  }
}

}  // namespace t2v
