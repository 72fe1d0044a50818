// Prompts files: what a batch is to make. Plain text (a prompt a line), JSON Lines, a JSON array or CSV; in
// all but the first any generate setting can be given per entry. Nothing is thrown at the first mistake: all
// of them are collected, each with its line and column.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "batch/csv.h"
#include "t2v/request.h"

namespace t2v {

enum class PromptsFormat { text, jsonl, json, csv };

struct PromptsEntry {
  Place place = {};                          // where it begins
  std::optional<std::string> id = {};        // the user's own name for it
  GenerationRequest settings = {};           // what the entry itself says
  std::map<std::string, Place> places = {};  // of each key it gives
  bool whole = true;                         // false: something of it was wrong and is among the defects
};

struct PromptsDefect {
  Place place;
  std::string message;  // "prompts.jsonl:3:12: …"
};

struct PromptsFile {
  std::string name;  // as messages say it
  std::vector<PromptsEntry> entries;
  std::vector<PromptsDefect> defects;
};

// "txt", "jsonl", "json" or "csv". Throws Error{usage}.
PromptsFormat parse_prompts_format(const std::string& name);

// By the file's extension, else by the text: JSON objects, an array of them, or a line of setting names with
// commas. Only .txt, stdin ("-") and what the shell hands over as /dev/fd/N are plain prompts without being
// called so: of any other file each line of its markup would become a clip, so that Error{usage} is thrown.
PromptsFormat guess_prompts_format(const std::string& name, std::string_view text);

PromptsFile parse_prompts(const std::string& name, std::string_view text, PromptsFormat format);

// Reads all of a file, or of stdin for "-". Throws Error{usage} when it cannot be read or is larger than 256
// MiB.
std::string read_prompts(const std::string& name);

// "prompts.jsonl:3:12"
std::string place_text(const std::string& name, const Place& place);

}  // namespace t2v
