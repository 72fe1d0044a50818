#include "batch/resume.h"

#include <algorithm>
#include <map>
#include <set>

#include "base/json.h"
#include "batch/file_hash.h"
#include "video/write/output_name.h"

namespace t2v {

namespace fs = std::filesystem;

namespace {

constexpr std::size_t most_lines = 20;  // of changed items shown

std::string short_json(const Json& value) {
  auto text = value.dump(-1, ' ', false, Json::error_handler_t::replace);
  return text.size() > 80 ? text.substr(0, 77) + "..." : text;
}

// A manifest is a file like any other: what it says is no reason to look outside the folder.
bool holds_its_clip(const ManifestRow& row, const fs::path& folder) {
  if (row.state != ItemState::done || !stays_within_folder(row.file)) return false;
  const auto path = folder / row.file;
  std::error_code failed;
  if (!parse_image_pattern(path) && fs::file_size(path, failed) != static_cast<uintmax_t>(row.bytes))
    return false;
  return hash_clip(path, row.frames) == FileHash{row.bytes, row.hash};
}

class Deciding {
 public:
  Deciding(const std::vector<ManifestRow>& rows, const fs::path& folder, Redo redo)
      : folder_(folder), redo_(redo) {
    for (const auto& row : rows) {
      by_id_[row.id].push_back(&row);
      by_file_[row.file].push_back(&row);
    }
  }

  ItemDecision decide(const BatchItem& item) {
    if (redo_ == Redo::all) return {};
    const auto& own = by_id_[item.id];
    const ManifestRow* finished = first_intact(own);
    if (finished != nullptr && finished->settings_hash == item.settings_hash)
      return {ItemDecision::Action::skip, *finished};
    if (finished != nullptr) {
      refuse_unless_changed(item, "settings changed since it was made: " +
                                      settings_difference(finished->settings, item.settings));
      return {};
    }
    if (const auto* other = first_intact(by_file_[item.file], item.id)) {
      if (refuse_unless_changed(item, item.file + " holds the item '" + other->id +
                                          "': " + settings_difference(other->settings, item.settings)))
        result_.replaced.push_back(other->id);
      return {};
    }
    if (std::any_of(own.begin(), own.end(), [](const auto* row) { return row->state == ItemState::done; }))
      result_.notes.push_back(item.file + ": missing, or not the file that was made; it is made again");
    else if (by_file_[item.file].empty() && clip_exists(folder_ / item.file))
      foreign_.push_back(item.file);
    const ManifestRow* latest = nullptr;
    for (const auto* row : own)
      if (latest == nullptr || row->updated > latest->updated) latest = row;
    const bool failed = latest != nullptr && latest->state == ItemState::failed &&
                        latest->settings_hash == item.settings_hash;
    if (failed && redo_ != Redo::failed && !may_be_retried(latest->exit_code))
      return {ItemDecision::Action::leave_failed, *latest};
    return {};
  }

  Decisions take() {
    if (!changed_.empty() || !foreign_.empty()) refuse();
    return std::move(result_);
  }

  Decisions result_;

 private:
  const ManifestRow* first_intact(const std::vector<const ManifestRow*>& rows,
                                  const std::string& but = "") const {
    const auto found = std::find_if(rows.begin(), rows.end(), [&](const auto* row) {
      return row->id != but && holds_its_clip(*row, folder_);
    });
    return found == rows.end() ? nullptr : *found;
  }

  // Whether the item may be made over what is there.
  bool refuse_unless_changed(const BatchItem& item, const std::string& why) {
    if (redo_ == Redo::changed) return true;
    changed_.push_back("item '" + item.id + "' (line " + std::to_string(item.place.line) + "): " + why);
    return false;
  }

  [[noreturn]] void refuse() const {
    std::string text;
    const auto list = [&](const std::vector<std::string>& lines, const std::string& advice) {
      for (std::size_t i = 0; i < std::min(lines.size(), most_lines); ++i) text += lines[i] + "\n";
      if (lines.size() > most_lines) text += "… and " + std::to_string(lines.size() - most_lines) + " more\n";
      if (!lines.empty()) text += advice + "\n";
    };
    list(changed_,
         "finished clips are not replaced: use another folder, or --redo changed to make these again");
    list(foreign_, "these files are there already and no manifest in " + folder_.string() +
                       " knows them: move them away, use another folder, or replace them by --redo all");
    text.pop_back();
    throw Error(ErrorKind::usage, text);
  }

  fs::path folder_;
  Redo redo_;
  std::map<std::string, std::vector<const ManifestRow*>> by_id_, by_file_;
  std::vector<std::string> changed_, foreign_;
};

}  // namespace

Redo parse_redo(const std::string& name) {
  if (name == "failed") return Redo::failed;
  if (name == "changed") return Redo::changed;
  if (name == "all") return Redo::all;
  throw Error(ErrorKind::usage, "--redo should be failed, changed or all, found '" + name + "'");
}

bool may_be_retried(int exit_code) {
  return exit_code == static_cast<int>(ErrorKind::internal) ||
         exit_code == static_cast<int>(ErrorKind::output) ||
         exit_code == static_cast<int>(ErrorKind::out_of_memory);
}

Decisions decide(const std::vector<BatchItem>& items, const std::vector<ManifestRow>& rows,
                 const fs::path& folder, Redo redo) {
  Deciding deciding(rows, folder, redo);
  for (const auto& item : items) deciding.result_.of_item.push_back(deciding.decide(item));
  return deciding.take();
}

std::string settings_difference(const std::string& before, const std::string& after) {
  Json old_settings, new_settings;
  if (try_parse_json(before, old_settings) || try_parse_json(after, new_settings) ||
      !old_settings.is_object() || !new_settings.is_object())
    return "the manifest's settings cannot be read";
  std::set<std::string> keys;
  for (const auto& settings : {old_settings, new_settings})
    for (const auto& [key, value] : settings.items()) keys.insert(key);
  std::string text;
  for (const auto& key : keys) {
    const auto from = old_settings.value(key, Json()), to = new_settings.value(key, Json());
    if (from != to)
      text += (text.empty() ? "" : ", ") + key + ": " + short_json(from) + " -> " + short_json(to);
  }
  return text;
}

std::vector<ManifestRow> newest_rows(std::vector<ManifestRow> rows) {
  std::stable_sort(rows.begin(), rows.end(),
                   [](const auto& a, const auto& b) { return a.updated > b.updated; });
  std::set<std::string> ids, files;
  std::erase_if(rows, [&](const ManifestRow& row) {
    const bool new_id = ids.insert(row.id).second;
    return !new_id || !files.insert(row.file).second;
  });
  std::stable_sort(rows.begin(), rows.end(),
                   [](const auto& a, const auto& b) { return a.position < b.position; });
  return rows;
}

std::vector<ManifestRow> read_all_manifests(const fs::path& folder) {
  std::vector<ManifestRow> all;
  for (const auto& [shard, path] : find_manifests(folder)) {
    auto rows = read_manifest(path);
    for (auto& row : rows) row.shard = shard;
    all.insert(all.end(), std::make_move_iterator(rows.begin()), std::make_move_iterator(rows.end()));
  }
  return all;
}

}  // namespace t2v
