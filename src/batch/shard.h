// Which part of a batch one process makes, and that no two processes make the same part at once.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace t2v {

struct Shard {
  int64_t index = 0;  // from 0
  int64_t count = 1;
  std::string source;  // where it was read: "--shard", "SLURM_ARRAY_TASK_ID", …; empty: the whole batch

  bool holds(int64_t item) const { return item % count == index; }
  friend bool operator==(const Shard& a, const Shard& b) { return a.index == b.index && a.count == b.count; }
};

// "I/N", I from 0. Throws Error{usage}.
Shard parse_shard(const std::string& text, const std::string& where);

using GetVariable = std::function<std::optional<std::string>(const char* name)>;

// From `flag` (--shard) if given, else from the scheduler's variables: a Slurm job array (SLURM_ARRAY_TASK_ID
// with _MIN, _STEP, _COUNT), a Kubernetes indexed job (JOB_COMPLETION_INDEX with JOB_COMPLETIONS), RANK with
// WORLD_SIZE. T2V_SHARDS says the number of shards in the first two cases: it must be set where the scheduler
// does not tell it, and when part of an array is submitted again (the index then counts from 0 in the array
// as it was). Throws Error{usage} for a contradiction.
Shard find_shard(const std::optional<std::string>& flag, const GetVariable& variable);

// The same from the process's environment.
Shard find_shard(const std::optional<std::string>& flag);

std::string host_name();

// The manifests of a batch's folder, in order of their names: FOLDER/.t2v/shard-0-of-4.sqlite, … Throws
// Error{output} when FOLDER/.t2v is there and cannot be read.
std::filesystem::path manifest_path(const std::filesystem::path& folder, const Shard& shard);
std::vector<std::pair<Shard, std::filesystem::path>> find_manifests(const std::filesystem::path& folder);

// Held by the one process that makes a shard; the system gives it back when the process ends, however it
// ends.
class ShardLock {
 public:
  // Throws Error{output} when another process holds this shard, or any shard of another count in the same
  // folder.
  ShardLock(const std::filesystem::path& folder, const Shard& shard);
  ~ShardLock();
  ShardLock(const ShardLock&) = delete;
  ShardLock& operator=(const ShardLock&) = delete;

 private:
  int descriptor_ = -1;
};

// Whether a process is making this shard right now.
bool is_shard_locked(const std::filesystem::path& folder, const Shard& shard);

}  // namespace t2v
