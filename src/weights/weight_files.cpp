#include "weights/weight_files.h"

#include <algorithm>
#include <set>

#include "base/file_status.h"
#include "base/json.h"
#include "t2v/error.h"

namespace t2v {

namespace fs = std::filesystem;

namespace {

[[noreturn]] void refuse(const fs::path& where, const std::string& what) {
  throw Error(ErrorKind::bad_input, where.string() + ": " + what);
}

bool is_pickle(const std::string& name) {
  const auto extension = fs::path(name).extension();
  for (const char* one : {".bin", ".pt", ".pth", ".ckpt", ".pkl"})
    if (extension == one) return true;
  return false;
}

// Says what a folder without weights of the expected names holds instead.
std::string found_instead(const fs::path& folder, const std::string& stem) {
  std::vector<std::string> names;
  std::error_code failed;
  for (fs::directory_iterator entry(folder, failed), end; !failed && entry != end; entry.increment(failed))
    names.push_back(entry->path().filename().string());
  if (failed) return "the folder cannot be read (" + failed.message() + ")";
  if (names.empty()) return "the folder is empty. Fetch the model again.";
  std::sort(names.begin(), names.end());
  const auto single = stem + ".safetensors", index = single + ".index.json";
  const auto first = [&](const auto& fits) {
    const auto found = std::find_if(names.begin(), names.end(), fits);
    return found == names.end() ? "" : *found;
  };
  const auto is_between = [](const std::string& name, const std::string& begin, const std::string& end) {
    return name.size() > begin.size() + end.size() && name.starts_with(begin) && name.ends_with(end);
  };
  const auto between = [](const std::string& name, const std::string& begin, const std::string& end) {
    return name.substr(begin.size(), name.size() - begin.size() - end.size());
  };

  if (const auto link = first([&](const auto& name) { return name == single || name == index; });
      !link.empty())
    return link + " is a link to '" + fs::read_symlink(folder / link, failed).string() +
           "', which is not there. Fetch the model again.";
  const auto variant_index = first(
      [&](const auto& name) { return is_between(name, single + ".index.", ".json"); });
  if (!variant_index.empty())
    return "there is " + variant_index + ", of the variant '" +
           between(variant_index, single + ".index.", ".json") + "'. To use it, rename it to " + index + ".";
  const auto variant = first([&](const auto& name) { return is_between(name, stem + ".", ".safetensors"); });
  if (!variant.empty())
    return "there is " + variant + ", the variant '" + between(variant, stem + ".", ".safetensors") +
           "'. To use it, rename it to " + single + ".";
  const auto shard = first([&](const auto& name) { return is_between(name, stem + "-", ".safetensors"); });
  if (!shard.empty()) return "there is " + shard + " without its index. Fetch " + index + " as well.";
  const auto other = first([&](const auto& name) { return name.ends_with(".safetensors"); });
  if (!other.empty())
    return "there is " + other + ". If these are the component's weights, rename it to " + single + ".";
  const auto pickle = first(is_pickle);
  if (!pickle.empty())
    return "there is " + pickle +
           ", a pickled file. Those are never read, since they may run any code: fetch the model's "
           "safetensors files, or convert it.";
  return "there are no weights. Fetch the model again.";
}

WeightFiles read_index(const fs::path& path) {
  WeightFiles weights;
  weights.index = path;
  const auto index = read_json(path);
  const auto map = json_get<Json>(index, "weight_map", path.string());
  if (!map.is_object()) refuse(path, "'weight_map' should be an object of tensor name to file name");
  std::set<std::string> names;
  for (const auto& [tensor, value] : map.items()) {
    const std::string file = value.is_string() ? value.get<std::string>() : "";
    if (file.empty() || file == "." || file == ".." || file.find('/') != std::string::npos ||
        file.find('\0') != std::string::npos)
      refuse(path, "tensor '" + tensor + "' should name a file beside the index, found " + value.dump());
    weights.shard_of.emplace(tensor, file);
    names.insert(file);
  }
  std::size_t absent = 0;
  std::string shown;
  for (const auto& name : names) {
    weights.files.push_back(path.parent_path() / name);
    if (is_there(weights.files.back())) continue;
    if (++absent <= 3) shown += (shown.empty() ? "" : ", ") + name;
  }
  if (absent > 0)
    refuse(path, "names " + std::to_string(names.size()) + " files, of which " + std::to_string(absent) +
                     " are not there: " + shown + (absent > 3 ? ", …" : "") + ". Fetch the model again.");
  return weights;
}

}  // namespace

WeightFiles find_weight_files(const fs::path& folder, const std::string& stem) {
  const auto single = folder / (stem + ".safetensors");
  const auto index = folder / (stem + ".safetensors.index.json");
  if (is_there(single)) return {.files = {single}, .index = {}, .shard_of = {}};
  if (is_there(index)) return read_index(index);
  refuse(folder, "neither " + stem + ".safetensors nor " + stem + ".safetensors.index.json is there; " +
                     found_instead(folder, stem));
}

}  // namespace t2v
