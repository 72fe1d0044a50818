#include "batch/leftovers.h"

#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <string>

#include "base/atomic_file.h"
#include "pipeline/latents_file.h"
#include "pipeline/run/checkpoint.h"
#include "video/write/output_name.h"

namespace t2v {

namespace fs = std::filesystem;

namespace {

// The final name behind ".NAME.t2v-PID-N.tmp.EXT", as AtomicFile writes it, or the beginning of a long one.
std::optional<std::string> final_name(const std::string& temporary) {
  const auto end = temporary.rfind(".t2v-");
  if (!temporary.starts_with('.') || end == std::string::npos || end < 2 ||
      temporary.find(".tmp", end) == std::string::npos)
    return std::nullopt;
  return temporary.substr(1, end - 1);
}

struct Names {
  std::set<std::string> files;  // as temporary_stem has them
  std::vector<ImagePattern> patterns;

  void add(const fs::path& path) { files.insert(temporary_stem(path.filename().string())); }
  bool hold(const std::string& name) const {
    return files.contains(name) ||
           std::any_of(patterns.begin(), patterns.end(), [&](const ImagePattern& pattern) {
             return name.starts_with(pattern.prefix) && name.ends_with(pattern.suffix);
           });
  }
};

}  // namespace

void remove_leftovers(const std::vector<BatchItem>& items, const fs::path& folder) {
  std::map<fs::path, Names> folders;
  for (const auto& item : items) {
    const auto path = folder / item.file;
    auto& names = folders[path.parent_path()];
    if (auto pattern = parse_image_pattern(path))
      names.patterns.push_back(std::move(*pattern));
    else
      names.add(path);
    names.add(path.string() + ".json");
    names.add(kept_latents_path(path.string()));
    PlannedClip clip;
    clip.output = path.string();
    names.add(checkpoint_path(clip, ""));
  }
  std::error_code ignored;
  for (const auto& [where, names] : folders)
    for (fs::directory_iterator entry(where, ignored), end; entry != end; entry.increment(ignored)) {
      const auto name = final_name(entry->path().filename().string());
      std::error_code stays;
      if (name && names.hold(*name)) fs::remove(entry->path(), stays);
    }
}

}  // namespace t2v
