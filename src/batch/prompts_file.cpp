#include "batch/prompts_file.h"

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <memory>

#include "base/json_keys.h"
#include "base/signals.h"
#include "base/utf8.h"
#include "pipeline/plan/settings.h"

namespace t2v {

namespace {

constexpr std::size_t most_bytes = std::size_t{256} << 20;
constexpr JsonLimits entry_limits{.bytes = std::size_t{1} << 20, .depth = 8, .refuse_duplicate_keys = false};

std::string_view without_byte_order_mark(std::string_view text) {
  if (text.starts_with("\xEF\xBB\xBF")) text.remove_prefix(3);
  return text;
}

struct Line {
  int64_t number;
  std::string_view text;
};

std::vector<Line> split_lines(std::string_view text) {
  std::vector<Line> lines;
  for (int64_t number = 1; !text.empty(); ++number) {
    const auto end = std::min(text.find('\n'), text.size());
    auto line = text.substr(0, end);
    if (line.ends_with('\r')) line.remove_suffix(1);
    lines.push_back({number, line});
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return lines;
}

std::string_view trimmed(std::string_view text) {
  const auto begin = std::min(text.find_first_not_of(" \t"), text.size());
  text.remove_prefix(begin);
  return text.substr(0, text.find_last_not_of(" \t") + 1);
}

int64_t column_of(std::string_view line, std::size_t byte) {
  const auto before = line.substr(0, byte);
  return 1 + std::count_if(before.begin(), before.end(), [](unsigned char c) { return (c & 0xC0) != 0x80; });
}

// The place of a byte of `text`, which begins at `begin`.
Place place_in(const Place& begin, std::string_view text, std::size_t byte) {
  const auto before = text.substr(0, byte);
  const auto last_line = before.rfind('\n');
  if (last_line == std::string_view::npos) return {begin.line, begin.column - 1 + column_of(before, byte)};
  return {begin.line + std::count(before.begin(), before.end(), '\n'),
          column_of(before.substr(last_line + 1), byte)};
}

const Setting* find_setting(const std::string& key) {
  const auto& settings = generation_settings();
  const auto found = std::find_if(settings.begin(), settings.end(),
                                  [&](const Setting& setting) { return key == setting.key; });
  return found == settings.end() ? nullptr : &*found;
}

std::string unknown_key(const std::string& key) {
  std::vector<std::string> names = {"id"};
  for (const auto& setting : generation_settings()) names.emplace_back(setting.key);
  const auto near = nearest_name(key, names);
  return "unknown key '" + key + "'" +
         (near ? "; did you mean '" + *near + "'?" : "; there are id and the settings of t2v generate");
}

class Parser {
 public:
  explicit Parser(const std::string& name) { file_.name = name; }

  PromptsFile take() {
    std::stable_sort(file_.defects.begin(), file_.defects.end(),
                     [](const auto& a, const auto& b) { return a.place < b.place; });
    return std::move(file_);
  }

  void parse_text(std::string_view text) {
    for (const auto& line : split_lines(text)) {
      const auto prompt = trimmed(line.text);
      if (prompt.empty() || prompt.starts_with('#')) continue;
      const Place place{line.number,
                        column_of(line.text, static_cast<std::size_t>(prompt.data() - line.text.data()))};
      if (const auto defect = find_text_defect(prompt)) {
        complain({place.line, place.column + column_of(prompt, defect->byte_offset) - 1},
                 defect->what + "; prompts are UTF-8 without control characters");
        continue;
      }
      PromptsEntry entry{.place = place};
      entry.settings.prompt = std::string(prompt);
      entry.places["prompt"] = place;
      file_.entries.push_back(std::move(entry));
    }
  }

  void parse_jsonl(std::string_view text) {
    for (const auto& line : split_lines(text))
      if (!trimmed(line.text).empty())
        json_entry({line.number, column_of(line.text, line.text.find_first_not_of(" \t"))},
                   trimmed(line.text), "line");
  }

  void parse_json_array(std::string_view text) {
    const auto array = split_json_array(text);
    if (array.defect) complain(place_in({}, text, array.defect->byte), array.defect->what);
    Place place;
    std::size_t byte = 0;  // at `place`
    for (const auto& item : array.items) {
      const auto begin = static_cast<std::size_t>(item.data() - text.data());
      place = place_in(place, text.substr(byte), begin - byte);
      byte = begin;
      if (item.empty())
        complain(place, "an item is missing here; there is a comma too many");
      else
        json_entry(place, item, "item");
    }
  }

  void parse_csv_text(std::string_view text) {
    const auto table = parse_csv(text);
    for (const auto& defect : table.defects) complain(defect.place, defect.what);
    if (table.rows.empty()) return;
    const auto& header = table.rows.front();
    if (!known_columns(header)) return;
    for (std::size_t row = 1; row < table.rows.size(); ++row) csv_row(header, table.rows[row]);
  }

 private:
  std::string at(const Place& place) const { return place_text(file_.name, place); }
  void complain(const Place& place, const std::string& what) {
    file_.defects.push_back({place, at(place) + ": " + what});
  }

  // Runs what throws an Error whose message begins with the place.
  template <class Action>
  void collect(const Place& place, const Action& action) {
    try {
      action();
    } catch (const Error& error) {
      file_.defects.push_back({place, error.what()});
    }
  }

  void set_id(PromptsEntry& entry, const Place& place, const std::string& id) {
    const auto allowed = [](char c) {
      return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_' || c == '-' || c == '.';
    };
    const bool fine = !id.empty() && id.size() <= 100 && id.front() != '.' && id.front() != '-' &&
                      std::all_of(id.begin(), id.end(), allowed);
    if (!fine)
      complain(place,
               "'id' should be 1 to 100 of the characters A-Z a-z 0-9 _ - . (the first no - or .), since it "
               "becomes part of a file name");
    else
      entry.id = id;
  }

  // An object of settings, or a string: its prompt. unit: what `text` is one of.
  void json_entry(const Place& begin, std::string_view text, const std::string& unit) {
    const auto before = file_.defects.size();
    Json object;
    if (const auto defect = try_parse_json(text, object, entry_limits)) {
      const auto& what = defect->what;
      const auto reason = what.find("syntax error");
      return complain(place_in(begin, text, defect->byte),
                      reason == std::string::npos ? what : "bad JSON: " + what.substr(reason));
    }
    PromptsEntry entry{.place = begin};
    if (object.is_string()) {
      collect(begin, [&] { set_from_json(entry.settings, *find_setting("prompt"), object, at(begin)); });
      entry.places["prompt"] = begin;
      return add(std::move(entry), before);
    }
    if (!object.is_object())
      return complain(begin, "each " + unit + " should be a JSON object such as {\"prompt\": \"…\"}");
    for (const auto& [key, byte] : find_json_keys(text)) {
      const auto place = place_in(begin, text, byte);
      if (!entry.places.emplace(key, place).second) {
        complain(place, "the key '" + key + "' stands twice");
        continue;
      }
      const auto& value = object.at(key);
      if (value.is_null()) continue;
      if (key == "id" && (value.is_string() || value.is_number_integer()))
        set_id(entry, place, value.is_string() ? value.get<std::string>() : value.dump());
      else if (key == "id")
        complain(place, "'id' should be text");
      else if (const auto* setting = find_setting(key))
        collect(place, [&, setting] { set_from_json(entry.settings, *setting, value, at(place)); });
      else
        complain(place, unknown_key(key));
    }
    add(std::move(entry), before);
  }

  bool known_columns(const std::vector<CsvCell>& header) {
    const auto before = file_.defects.size();
    std::map<std::string, Place> seen;
    for (const auto& cell : header) {
      if (cell.text != "id" && find_setting(cell.text) == nullptr)
        complain(cell.place, unknown_key(cell.text));
      else if (!seen.emplace(cell.text, cell.place).second)
        complain(cell.place, "the column '" + cell.text + "' stands twice");
    }
    return file_.defects.size() == before;
  }

  void csv_row(const std::vector<CsvCell>& header, const std::vector<CsvCell>& row) {
    if (row.size() != header.size())
      return complain(row.front().place, std::to_string(row.size()) + " cells, but the header has " +
                                             std::to_string(header.size()) +
                                             " columns; cells with commas go in quotes");
    const auto before = file_.defects.size();
    PromptsEntry entry{.place = row.front().place};
    for (std::size_t i = 0; i < row.size(); ++i) {
      const auto& key = header[i].text;
      const auto& cell = row[i];
      entry.places[key] = cell.place;
      if (cell.text.empty()) continue;
      if (key == "id")
        set_id(entry, cell.place, cell.text);
      else
        collect(cell.place, [&] {
          set_from_text(entry.settings, *find_setting(key), cell.text, at(cell.place) + ": '" + key + "'");
        });
    }
    add(std::move(entry), before);
  }

  void add(PromptsEntry entry, std::size_t defects_before) {
    entry.whole = file_.defects.size() == defects_before;
    file_.entries.push_back(std::move(entry));
  }

  PromptsFile file_;
};

}  // namespace

PromptsFormat parse_prompts_format(const std::string& name) {
  if (name == "txt") return PromptsFormat::text;
  if (name == "jsonl") return PromptsFormat::jsonl;
  if (name == "json") return PromptsFormat::json;
  if (name == "csv") return PromptsFormat::csv;
  throw Error(ErrorKind::usage, "--format should be txt, jsonl, json or csv, found '" + name + "'");
}

namespace {

// Whether the text begins as an array of JSON does, which "[cinematic] a red circle" does not.
bool begins_json_array(std::string_view text) {
  const auto open = text.find_first_not_of(" \t\r\n");
  if (open == std::string_view::npos || text[open] != '[') return false;
  const auto next = text.find_first_not_of(" \t\r\n", open + 1);
  return next != std::string_view::npos &&
         std::string_view("{\"]").find(text[next]) != std::string_view::npos;
}

bool is_json_object(std::string_view line) {
  Json value;
  return !try_parse_json(line, value, entry_limits) && value.is_object();
}

// By the first line that is not empty; nothing when it is neither an object nor a line of setting names.
std::optional<PromptsFormat> format_of_line(std::string_view line, bool whole_object) {
  if (line.starts_with('{'))
    return !whole_object || is_json_object(line) ? std::optional(PromptsFormat::jsonl) : std::nullopt;
  const auto header = parse_csv(line);
  const bool names = !header.rows.empty() &&
                     std::all_of(header.rows[0].begin(), header.rows[0].end(), [](const CsvCell& cell) {
                       return cell.text == "id" || find_setting(cell.text) != nullptr;
                     });
  return names ? std::optional(PromptsFormat::csv) : std::nullopt;
}

}  // namespace

PromptsFormat guess_prompts_format(const std::string& name, std::string_view text) {
  auto extension = std::filesystem::path(name).extension().string();
  std::transform(extension.begin(), extension.end(), extension.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  if (extension == ".txt") return PromptsFormat::text;
  if (extension == ".jsonl" || extension == ".ndjson") return PromptsFormat::jsonl;
  if (extension == ".csv") return PromptsFormat::csv;
  text = without_byte_order_mark(text);
  const bool may_be_text = name == "-" || name.starts_with("/dev/");
  if ((may_be_text || extension == ".json") && begins_json_array(text)) return PromptsFormat::json;
  const auto begin = std::min(text.find_first_not_of(" \t\r\n"), text.size());
  const auto first = trimmed(text.substr(begin, text.find_first_of("\r\n", begin) - begin));
  if (const auto format = format_of_line(first, !may_be_text)) return *format;
  if (may_be_text) return PromptsFormat::text;
  throw Error(
      ErrorKind::usage,
      name +
          ": what it holds is not plain. A prompt a line is .txt, JSON objects a line .jsonl, an array "
          "of JSON objects .json, a table .csv; name the file so, or give --format txt, jsonl, json or "
          "csv. Other formats, such as YAML, are not read");
}

PromptsFile parse_prompts(const std::string& name, std::string_view text, PromptsFormat format) {
  Parser parser(name);
  text = without_byte_order_mark(text);
  if (format == PromptsFormat::text) parser.parse_text(text);
  if (format == PromptsFormat::jsonl) parser.parse_jsonl(text);
  if (format == PromptsFormat::json) parser.parse_json_array(text);
  if (format == PromptsFormat::csv) parser.parse_csv_text(text);
  return parser.take();
}

std::string read_prompts(const std::string& name) {
  const auto refuse = [&](const std::string& why) { throw Error(ErrorKind::usage, name + ": " + why); };
  const bool standard_input = name == "-";
  std::error_code unknown;
  if (!standard_input && std::filesystem::is_directory(name, unknown))
    refuse("is a folder; a prompts file is needed");
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> opened(
      standard_input ? nullptr : std::fopen(name.c_str(), "rbe"),
      [](std::FILE* file) { return file == nullptr ? 0 : std::fclose(file); });
  std::FILE* file = standard_input ? stdin : opened.get();
  if (file == nullptr) refuse(std::string("cannot be read (") + std::strerror(errno) + ")");
  std::string text;
  std::string chunk(std::size_t{1} << 16, '\0');
  while (const auto got = std::fread(chunk.data(), 1, chunk.size(), file)) {
    text.append(chunk, 0, got);
    if (text.size() > most_bytes) refuse("larger than 256 MiB; split it");
  }
  throw_if_signalled();  // which ends a wait for stdin
  if (std::ferror(file) != 0) refuse(std::string("cannot be read (") + std::strerror(errno) + ")");
  return text;
}

std::string place_text(const std::string& name, const Place& place) {
  return (name == "-" ? "stdin" : name) + ":" + std::to_string(place.line) + ":" +
         std::to_string(place.column);
}

}  // namespace t2v
