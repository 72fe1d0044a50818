// How far a batch is, over all its shards.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "base/json.h"
#include "batch/manifest.h"

namespace t2v {

struct ShardStatus {
  Shard shard = {};
  int64_t done = 0, failed = 0, running = 0, pending = 0;
  double clips_per_minute = 0;  // over the last ten minutes in which it finished clips; 0: not known
  bool working = false;         // a process is at it
  std::string last_error = {};
};

struct BatchStatus {
  std::filesystem::path folder;
  std::vector<ShardStatus> shards;  // those that account for an item
  ShardStatus total;
  std::vector<ManifestRow> failures;
};

// Throws Error{usage} when the folder holds no manifest.
BatchStatus read_status(const std::filesystem::path& folder);

std::string status_table(const BatchStatus& status);
nlohmann::ordered_json status_json(const BatchStatus& status);

// Finished clips a minute over the ten minutes before the last of them. Several processes' rows count
// together.
double clips_per_minute(const std::vector<ManifestRow>& rows);

}  // namespace t2v
