// From a prompts file to the items of a batch: identity, seed, file name and plan of each, all of it checked
// before any weight is read.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "batch/prompts_file.h"
#include "batch/shard.h"
#include "t2v/request.h"

namespace t2v {

struct BatchRequest {
  PromptsFile prompts;
  GenerationRequest defaults;     // for what an entry does not say; defaults.output is not used
  std::filesystem::path folder;   // of the batch: manifests, and what names are relative to
  std::string name = "{id}.mp4";  // template of the files, relative to the folder
  Shard shard = {};               // whose items are planned
  bool keep_folders = true;       // that had to be made for the plans
};

// One clip to be made.
struct BatchItem {
  std::string id = {};        // the same on every run and in every shard
  int64_t position = 0;       // in the batch, from 0
  Place place = {};           // of its entry
  std::string prompt = {};    // as given
  std::string file = {};      // relative to the folder
  std::string settings = {};  // JSON: what its bytes depend on, and where they go; not device and threads,
                              // which differ between machines
  std::string settings_hash = {};
  GenerationPlan plan = {};  // of one clip
};

// What identifies an entry without an id of its own: the prompt and how many entries before it have the same
// one. Entries can so be added, removed and moved without touching the others. The clips of an entry with a
// count are ID, ID.1, ID.2, …
//
// The seed of an entry comes from itself: its own, or a hash of its id and the batch's --seed; its clips
// count up from there. Neither its position nor the shard matters.
//
// Returns the items of the shard. Ids and names are checked for the whole batch, so that no two shards write
// one file; what else an item asks for, its own shard checks.
//
// Creates the folder and those that the shard's names need, and takes them away again when something is
// wrong. Throws one Error for all mistakes of the file and of the plans, a line each with its place: usage,
// or the kind that all of them have.
std::vector<BatchItem> plan_batch(const BatchRequest& request);

// The fixed beginning of a template: "out/{index}/a.mp4" → {"out", "{index}/a.mp4"}.
struct SplitTemplate {
  std::filesystem::path folder;
  std::string name;
};
SplitTemplate split_template(const std::string& pattern);

// Whether a relative name stays within its folder: no root, no "..". Symbolic links are not looked at.
bool stays_within_folder(const std::filesystem::path& name);

}  // namespace t2v
