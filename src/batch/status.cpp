#include "batch/status.h"

#include <algorithm>
#include <cstdio>
#include <map>

#include "batch/resume.h"

namespace t2v {

namespace {

constexpr double window_seconds = 600;

void add(ShardStatus& to, const ManifestRow& row, bool working) {
  switch (row.state) {
    case ItemState::done:
      ++to.done;
      break;
    case ItemState::failed:
      ++to.failed;
      to.last_error = row.error;
      break;
    // A row that a killed process left running is as good as pending.
    case ItemState::running:
      ++(working ? to.running : to.pending);
      break;
    case ItemState::pending:
      ++to.pending;
      break;
  }
}

std::string first_line(const std::string& text, std::size_t most) {
  auto line = text.substr(0, text.find('\n'));
  if (line.size() <= most) return line;
  line.resize(most - 3);
  while (!line.empty() && (static_cast<unsigned char>(line.back()) & 0xC0) == 0x80)
    line.pop_back();  // not within a character
  return line + "...";
}

std::string table_line(const std::string& name, const ShardStatus& status) {
  char rate[16] = "-", line[160];
  if (status.clips_per_minute > 0) std::snprintf(rate, sizeof rate, "%.1f", status.clips_per_minute);
  const char* state = status.working                        ? "working"
                      : status.running + status.pending > 0 ? "stopped"
                                                            : "finished";
  std::snprintf(line, sizeof line, "%-9s %8lld %8lld %8lld %8lld %10s  %-8s  ", name.c_str(),
                static_cast<long long>(status.done), static_cast<long long>(status.failed),
                static_cast<long long>(status.running), static_cast<long long>(status.pending), rate, state);
  return line + first_line(status.last_error, 100);
}

nlohmann::ordered_json shard_json(const ShardStatus& status) {
  return {{"done", status.done},
          {"failed", status.failed},
          {"running", status.running},
          {"pending", status.pending},
          {"clips_per_minute", status.clips_per_minute},
          {"working", status.working},
          {"last_error", status.last_error}};
}

}  // namespace

double clips_per_minute(const std::vector<ManifestRow>& rows) {
  const auto is_done = [](const ManifestRow& row) { return row.state == ItemState::done; };
  std::pair<double, double> latest;  // clocks may have been set back: what finished last need not have the
                                     // latest time
  for (const auto& row : rows)
    if (is_done(row)) latest = std::max(latest, {row.updated, row.finished});
  const double last = latest.second;
  double first = last;
  int64_t clips = 0;
  for (const auto& row : rows) {
    if (!is_done(row) || row.finished < last - window_seconds || row.finished > last) continue;
    ++clips;
    first = std::min(first, std::max(row.started, last - window_seconds));
  }
  return last > first ? static_cast<double>(clips) / (last - first) * 60 : 0;
}

BatchStatus read_status(const std::filesystem::path& folder) {
  if (find_manifests(folder).empty())
    throw Error(ErrorKind::usage, folder.string() +
                                      ": no batch has been made here (there is no manifest in " +
                                      (folder / ".t2v").string() + ")");
  BatchStatus status;
  status.folder = folder;
  std::map<std::pair<int64_t, int64_t>, std::vector<ManifestRow>> by_shard;
  const auto rows = newest_rows(read_all_manifests(folder));
  for (const auto& row : rows) by_shard[{row.shard.count, row.shard.index}].push_back(row);
  for (const auto& [key, shard_rows] : by_shard) {
    ShardStatus shard{.shard = {key.second, key.first, ""}};
    shard.working = is_shard_locked(folder, shard.shard);
    shard.clips_per_minute = clips_per_minute(shard_rows);
    auto in_time = shard_rows;
    std::stable_sort(in_time.begin(), in_time.end(),
                     [](const auto& a, const auto& b) { return a.updated < b.updated; });
    for (const auto& row : in_time) add(shard, row, shard.working);
    for (const auto& row : in_time) add(status.total, row, shard.working);
    status.total.working = status.total.working || shard.working;
    status.shards.push_back(std::move(shard));
  }
  status.total.clips_per_minute = clips_per_minute(rows);
  std::copy_if(rows.begin(), rows.end(), std::back_inserter(status.failures),
               [](const auto& row) { return row.state == ItemState::failed; });
  return status;
}

std::string status_table(const BatchStatus& status) {
  std::string text = "shard         done   failed  running  pending  clips/min  state     last error\n";
  for (const auto& shard : status.shards)
    text += table_line(std::to_string(shard.shard.index) + "/" + std::to_string(shard.shard.count), shard) +
            "\n";
  auto total = status.total;
  total.last_error.clear();
  return text + table_line("all", total);
}

nlohmann::ordered_json status_json(const BatchStatus& status) {
  auto json = shard_json(status.total);
  json["folder"] = status.folder.string();
  for (const auto& shard : status.shards) {
    auto entry = shard_json(shard);
    entry["shard"] = std::to_string(shard.shard.index) + "/" + std::to_string(shard.shard.count);
    json["shards"].push_back(std::move(entry));
  }
  json["failures"] = nlohmann::ordered_json::array();
  for (const auto& row : status.failures)
    json["failures"].push_back({{"id", row.id},
                                {"output", row.file},
                                {"error", row.error},
                                {"exit_code", row.exit_code},
                                {"attempts", row.attempts}});
  return json;
}

}  // namespace t2v
