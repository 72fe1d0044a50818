#include "pipeline/plan/output_template.h"

#include <limits.h>
#include <xxhash.h>

#include <cctype>
#include <cstdio>
#include <ctime>

#include "t2v/error.h"

namespace t2v {

namespace {

std::string date() {
  const std::time_t now = std::time(nullptr);
  std::tm local{};
  localtime_r(&now, &local);
  char text[32];
  std::strftime(text, sizeof text, "%Y-%m-%d", &local);
  return text;
}

std::string padded(int64_t value, const std::string& format, const std::string& field) {
  std::string text = std::to_string(value);
  if (format.empty()) return text;
  if (format.size() > 2 || format.find_first_not_of("0123456789") != std::string::npos)
    throw Error(ErrorKind::usage, "output name: '{" + field + ":" + format + "}' should be {" + field +
                                      "} or, padded to four digits, {" + field + ":04}");
  const auto width = static_cast<std::size_t>(std::stoi(format));
  return text.size() < width ? std::string(width - text.size(), '0') + text : text;
}

}  // namespace

std::string file_name_of_prompt(const std::string& prompt, std::size_t length) {
  std::string text;
  for (const char c : prompt) {
    if (text.size() >= length) break;
    if (std::isalnum(static_cast<unsigned char>(c)) != 0 && static_cast<unsigned char>(c) < 0x80) {
      text += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    } else if (!text.empty() && text.back() != '-') {
      text += '-';
    }
  }
  while (!text.empty() && text.back() == '-') text.pop_back();
  return text.empty() ? "clip" : text;
}

std::string expand_output(const std::string& pattern, const OutputFields& fields) {
  std::string out;
  for (std::size_t i = 0; i < pattern.size();) {
    if ((pattern[i] == '{' || pattern[i] == '}') && i + 1 < pattern.size() && pattern[i + 1] == pattern[i]) {
      out += pattern[i];
      i += 2;
      continue;
    }
    if (pattern[i] != '{') {
      out += pattern[i++];
      continue;
    }
    const auto end = pattern.find('}', i);
    if (end == std::string::npos)
      throw Error(ErrorKind::usage, "output name '" + pattern + "': '{' without '}' (write {{ for a brace)");
    const auto inside = pattern.substr(i + 1, end - i - 1);
    const auto colon = inside.find(':');
    const auto field = inside.substr(0, colon);
    const auto format = colon == std::string::npos ? "" : inside.substr(colon + 1);
    if (field == "index")
      out += padded(fields.index, format, field);
    else if (field == "seed")
      out += padded(fields.seed, format, field);
    else if (field == "prompt" && format.empty())
      out += file_name_of_prompt(fields.prompt);
    else if (field == "date" && format.empty() && !fields.id)
      out += date();
    else if (field == "id" && format.empty() && fields.id)
      out += *fields.id;
    else
      throw Error(ErrorKind::usage, "output name: '{" + inside +
                                        "}' is not known; there are {index} {seed} {prompt} " +
                                        (fields.id ? "{id}" : "{date}") + ", and {index:04}");
    i = end + 1;
  }
  return out;
}

std::string name_that_fits(const std::string& name, const std::string& suffix) {
  if (name.size() + suffix.size() <= NAME_MAX) return name + suffix;
  char hash[18];
  std::snprintf(hash, sizeof hash, "-%016llx",
                static_cast<unsigned long long>(XXH3_64bits(name.data(), name.size())));
  auto length = NAME_MAX - suffix.size() - 17;
  while (length > 0 && (static_cast<unsigned char>(name[length]) & 0xc0) == 0x80)
    --length;  // within a character
  return name.substr(0, length) + hash + suffix;
}

bool distinguishes_clips(const std::string& pattern) {
  return expand_output(pattern, {0, 0, ""}) != expand_output(pattern, {1, 1, ""});
}

}  // namespace t2v
