#include "batch/plan_batch.h"

#include <algorithm>
#include <limits>
#include <map>
#include <set>
#include <unordered_map>

#include "base/atomic_file.h"
#include "base/json_text.h"
#include "batch/file_hash.h"
#include "batch/new_folders.h"
#include "pipeline/plan/output_template.h"
#include "pipeline/plan/settings.h"
#include "pipeline/provenance.h"
#include "t2v/generate.h"

namespace t2v {

namespace fs = std::filesystem;

namespace {

constexpr int64_t most_items = 10'000'000;
constexpr std::size_t most_lines = 50;  // of mistakes shown

// Mistakes with their places; the same mistake of many entries is one line.
class Mistakes {
 public:
  explicit Mistakes(const PromptsFile& file) : name_(file.name) {
    for (const auto& defect : file.defects)
      list_.push_back({defect.place, defect.message, "", ErrorKind::usage});
  }

  void add(const Place& place, const std::string& what, ErrorKind kind = ErrorKind::usage) {
    const auto [found, is_new] = seen_.emplace(what, list_.size());
    if (is_new)
      list_.push_back({place, place_text(name_, place) + ": " + what, "", kind});
    else
      ++repeated_[found->second];
  }

  bool empty() const { return list_.empty(); }

  [[noreturn]] void refuse() {
    for (const auto& [index, times] : repeated_)
      list_[index].more = " (and the same for " + std::to_string(times) +
                          (times == 1 ? " more entry)" : " more entries)");
    std::stable_sort(list_.begin(), list_.end(),
                     [](const Mistake& a, const Mistake& b) { return a.place < b.place; });
    const bool one_kind = std::all_of(list_.begin(), list_.end(),
                                      [&](const Mistake& m) { return m.kind == list_.front().kind; });
    std::string text;
    for (std::size_t i = 0; i < std::min(list_.size(), most_lines); ++i)
      text += (i == 0 ? "" : "\n") + list_[i].text + list_[i].more;
    if (list_.size() > most_lines) text += "\n… and " + std::to_string(list_.size() - most_lines) + " more";
    if (list_.size() > 1) text += "\n" + std::to_string(list_.size()) + " mistakes; nothing was made";
    throw Error(one_kind ? list_.front().kind : ErrorKind::usage, text);
  }

 private:
  struct Mistake {
    Place place;
    std::string text, more;
    ErrorKind kind;
  };
  std::string name_;
  std::vector<Mistake> list_;
  std::map<std::string, std::size_t> seen_;  // what → index into list_
  std::map<std::size_t, std::size_t> repeated_;
};

// The names of a clip's files, without fields.
struct ClipNames {
  std::string file;                                // relative to the batch's folder
  std::optional<std::string> save_latents, trace;  // as the plan takes them
};

// A clip of the shard before its plan.
struct Draft {
  const PromptsEntry* entry = nullptr;
  BatchItem item;
  GenerationRequest request = {};  // with seed, count 1, and file names that hold no fields
};

std::string derived_id(const std::string& prompt, int64_t occurrence) {
  return file_name_of_prompt(prompt, 40) + "-" +
         hash_text(prompt + '\0' + std::to_string(occurrence)).substr(0, 10);
}

int64_t derived_seed(const std::string& id, const std::optional<int64_t>& batch_seed) {
  return static_cast<int64_t>(
      hash_number("seed" + std::string(1, '\0') + id + '\0' + std::to_string(batch_seed.value_or(0))) &
      0x7fffffff);
}

// Names are templates once only: the plan expands them again.
std::string without_fields(const std::string& name) {
  std::string text;
  for (const char c : name) text += (c == '{' || c == '}') ? std::string(2, c) : std::string(1, c);
  return text;
}

class Planning {
 public:
  explicit Planning(const BatchRequest& request) : request_(request), mistakes_(request.prompts) {}

  std::vector<BatchItem> run() {
    const auto clips = draft();
    // Folders come before plans, which check that their files can be written.
    NewFolders folders;
    if (clips > 0) folders.create(request_.folder);
    for (const auto& folder : folders_) folders.create(folder);
    std::vector<BatchItem> items;
    for (auto& draft : drafts_)
      if (draft.entry->whole && plan(draft)) items.push_back(std::move(draft.item));
    if (mistakes_.empty() && clips == 0)
      throw Error(ErrorKind::usage, request_.prompts.name + ": holds no prompt");
    if (!mistakes_.empty()) mistakes_.refuse();
    if (request_.keep_folders) folders.keep();
    return items;
  }

 private:
  // Returns how many clips the whole batch has.
  int64_t draft() {
    std::unordered_map<std::string, int64_t> occurrences;
    int64_t position = 0;
    for (const auto& entry : request_.prompts.entries) {
      const auto settings = merge_requests(request_.defaults, entry.settings);
      if (!settings.prompt && !entry.whole) continue;  // perhaps it is what could not be read
      if (!settings.prompt) {
        mistakes_.add(entry.place, "a prompt is needed: give \"prompt\" here, or --prompt for all");
        continue;
      }
      const auto occurrence = occurrences[*settings.prompt]++;
      const auto id = entry.id.value_or(derived_id(*settings.prompt, occurrence));
      const auto count = settings.count.value_or(1);
      if (count < 1 || count > 100'000) {
        mistakes_.add(place_of(entry, "count"),
                      "'count' should be between 1 and 100000, found " + std::to_string(count));
        continue;
      }
      if (position + count > most_items)
        throw Error(ErrorKind::usage, "more than " + std::to_string(most_items) + " clips; split the batch");
      const auto seed = entry.settings.seed ? *entry.settings.seed : derived_seed(id, request_.defaults.seed);
      if (seed < 0 || seed > std::numeric_limits<int64_t>::max() - count) {
        mistakes_.add(
            place_of(entry, "seed"),
            "'seed' should be 0 or more, with room to count up from, found " + std::to_string(seed));
        continue;
      }
      for (int64_t clip = 0; clip < count; ++clip)
        draft_clip(entry, settings, clip == 0 ? id : id + "." + std::to_string(clip), position++,
                   seed + clip);
    }
    return position;
  }

  void draft_clip(const PromptsEntry& entry, const GenerationRequest& settings, const std::string& id,
                  int64_t position, int64_t seed) {
    const bool own = request_.shard.holds(position);
    ClipNames names;
    try {
      names = names_of(entry, settings, {position, seed, *settings.prompt, id});
      if (own) check_links(names.file, "output");
      if (own && entry.settings.save_latents) check_links(*names.save_latents, "save_latents");
      if (own && entry.settings.trace) check_links(*names.trace, "trace");
    } catch (const Error& error) {
      return mistakes_.add(place_of(entry, naming_), error.what(), error.kind());
    }
    if (entry.settings.save_latents) names.save_latents = in_folder(*names.save_latents);
    if (entry.settings.trace) names.trace = in_folder(*names.trace);
    refuse_duplicates(entry, id, names);
    if (!own) return;
    auto& draft = drafts_.emplace_back();
    draft.entry = &entry;
    draft.item.id = id;
    draft.item.position = position;
    draft.item.place = entry.place;
    draft.item.prompt = *settings.prompt;
    draft.item.file = names.file;
    draft.request = settings;
    draft.request.seed = seed;
    draft.request.count = 1;
    draft.request.output = without_fields(in_folder(names.file));
    if (names.save_latents) draft.request.save_latents = without_fields(*names.save_latents);
    if (names.trace) draft.request.trace = without_fields(*names.trace);
    folders_.insert(fs::path(in_folder(names.file)).parent_path());
    if (entry.settings.save_latents) folders_.insert(fs::path(*names.save_latents).parent_path());
  }

  // A name of the entry's own is relative to the batch's folder and may not leave it; one from a flag is the
  // user's own.
  ClipNames names_of(const PromptsEntry& entry, const GenerationRequest& settings,
                     const OutputFields& fields) {
    const auto expanded = [&](const std::optional<std::string>& of_entry,
                              const std::optional<std::string>& any, const char* key) {
      if (of_entry) return std::optional(confined(*of_entry, fields, key));
      return any ? std::optional(expand_output(*any, fields)) : std::nullopt;
    };
    return {confined(entry.settings.output.value_or(request_.name), fields, "output"),
            expanded(entry.settings.save_latents, settings.save_latents, "save_latents"),
            expanded(entry.settings.trace, settings.trace, "trace")};
  }

  std::string confined(const std::string& pattern, const OutputFields& fields, const char* key) {
    naming_ = key;
    const auto name = expand_output(pattern, fields);
    if (name == "-") throw Error(ErrorKind::usage, std::string("'") + key + "' cannot be stdout in a batch");
    if (!stays_within_folder(name))
      throw Error(ErrorKind::usage,
                  std::string("'") + key + "': '" + name +
                      "' leaves the batch's folder; names are relative to it, without '..'");
    const auto normal = fs::path(name).lexically_normal();
    if (*normal.begin() == ".t2v")
      throw Error(ErrorKind::usage, std::string("'") + key + "': the folder .t2v is t2v's own");
    check_name_length(request_.folder / normal);
    return normal.string();
  }

  // A link inside the folder can lead out of it all the same; a file is written where a link leads. Each
  // folder is looked at once.
  void check_links(const std::string& name, const char* key) {
    naming_ = key;
    const auto file = request_.folder / name;
    const auto folder = file.parent_path();
    auto [found, is_new] = leaves_.try_emplace(folder.string(), false);
    if (is_new) found->second = leads_out(folder);
    std::error_code absent;
    if (found->second || (fs::is_symlink(file, absent) && leads_out(resolve_link(file))))
      throw Error(ErrorKind::usage, std::string("'") + key + "': '" + name +
                                        "' leaves the batch's folder through a symbolic link");
  }

  bool leads_out(const fs::path& path) const {
    std::error_code failed;
    const auto root = fs::weakly_canonical(request_.folder, failed);
    const auto target = failed ? fs::path() : fs::weakly_canonical(path, failed);
    if (failed)
      throw Error(ErrorKind::output, path.string() + ": cannot be looked at (" + failed.message() + ")");
    return !stays_within_folder(target.lexically_relative(root));
  }

  std::string in_folder(const std::string& name) const { return (request_.folder / name).string(); }

  void refuse_duplicates(const PromptsEntry& entry, const std::string& id, const ClipNames& names) {
    const auto line = [](int64_t number) { return "line " + std::to_string(number); };
    if (const auto [found, is_new] = line_of_id_.emplace(id, entry.place.line); !is_new)
      mistakes_.add(place_of(entry, "id"),
                    "the id '" + id + "' is that of " + line(found->second) + " already");
    for (const auto& name : {std::optional(in_folder(names.file)), names.save_latents, names.trace}) {
      if (!name) continue;
      if (const auto [found, is_new] = line_of_file_.emplace(*name, entry.place.line); !is_new)
        mistakes_.add(place_of(entry, "output"), "'" + *name + "' is written by " + line(found->second) +
                                                     " already; add {index} or {id} to the name");
    }
  }

  bool plan(Draft& draft) {
    auto& item = draft.item;
    try {
      item.plan = planner_.plan(draft.request);
    } catch (const Error& error) {
      mistakes_.add(place_of_message(*draft.entry, error.what()), error.what(), error.kind());
      return false;
    }
    auto settings = settings_of_clip(item.plan, item.plan.clips.front());
    settings.erase("device");
    const auto dtype = draft.request.dtype.value_or("auto");
    if (dtype == "auto") settings.erase("dtype");  // it follows the device
    settings["output"] = item.file;
    if (item.plan.settings.sidecar.value_or(false)) settings["sidecar"] = true;
    for (const auto& [key, value] :
         {std::pair{"save_latents", draft.request.save_latents}, std::pair{"trace", draft.request.trace}})
      if (value) settings[key] = *value;
    item.settings = json_text(settings);
    item.settings_hash = hash_text(item.settings);
    return true;
  }

  static Place place_of(const PromptsEntry& entry, const std::string& key) {
    const auto found = entry.places.find(key);
    return found == entry.places.end() ? entry.place : found->second;
  }

  // The plan names flags; where the entry gave that setting, its place is known.
  static Place place_of_message(const PromptsEntry& entry, const std::string& message) {
    for (const auto& setting : generation_settings()) {
      const std::string flags = std::string(setting.flags) + ",";
      if (message.starts_with("--") &&
          flags.find(message.substr(0, message.find(' ')) + ",") != std::string::npos)
        return place_of(entry, setting.key);
    }
    return entry.place;
  }

  const BatchRequest& request_;
  Mistakes mistakes_;
  std::unordered_map<std::string, int64_t> line_of_id_, line_of_file_;
  const char* naming_ = "output";                 // the setting whose name is looked at
  std::unordered_map<std::string, bool> leaves_;  // the batch's folder, by a folder in it
  std::vector<Draft> drafts_;
  std::set<fs::path> folders_;  // of the drafts' files
  Planner planner_;
};

}  // namespace

std::vector<BatchItem> plan_batch(const BatchRequest& request) { return Planning(request).run(); }

SplitTemplate split_template(const std::string& pattern) {
  const auto slash = pattern.rfind('/', pattern.find_first_of("{%"));
  if (slash == std::string::npos) return {".", pattern};
  return {slash == 0 ? "/" : pattern.substr(0, slash), pattern.substr(slash + 1)};
}

bool stays_within_folder(const fs::path& name) {
  if (name.empty() || name.has_root_path()) return false;
  return std::none_of(name.begin(), name.end(), [](const fs::path& part) { return part == ".."; });
}

}  // namespace t2v
