#include "train/run/export.h"

#include <ATen/ATen.h>

#include <string>
#include <vector>

#include "base/atomic_file.h"
#include "base/json.h"
#include "t2v/error.h"
#include "train/run/model_writer.h"
#include "weights/model_folder.h"
#include "weights/safetensors.h"

namespace t2v {

namespace fs = std::filesystem;

namespace {

using Tensors = std::vector<std::pair<std::string, at::Tensor>>;

void export_component(const fs::path& from, const fs::path& to, const std::string& stem, int64_t file_bytes) {
  const auto file = SafetensorsFile::open(from / (stem + ".safetensors"));
  std::vector<Tensors> parts(1);
  int64_t bytes = 0, total = 0;
  for (const auto& [name, entry] : file->entries()) {
    const auto tensor = file->tensor(name);
    const auto size = static_cast<int64_t>(tensor.nbytes());
    if (bytes + size > file_bytes && !parts.back().empty()) parts.emplace_back(), bytes = 0;
    parts.back().emplace_back(name, tensor);
    bytes += size, total += size;
  }
  if (parts.size() == 1) return save_safetensors(to / (stem + ".safetensors"), parts[0], {{"format", "pt"}});
  Json map = Json::object();
  for (std::size_t i = 0; i < parts.size(); ++i) {
    char part[64];
    std::snprintf(part, sizeof part, "-%05zu-of-%05zu.safetensors", i + 1, parts.size());
    for (const auto& [name, tensor] : parts[i]) map[name] = stem + part;
    save_safetensors(to / (stem + part), parts[i], {{"format", "pt"}});
  }
  const Json index = {{"metadata", {{"total_size", total}}}, {"weight_map", map}};
  write_file_atomically(to / (stem + ".safetensors.index.json"), index.dump(2) + "\n");
}

}  // namespace

void export_model(const fs::path& from, const fs::path& to, int64_t file_bytes) {
  constexpr int64_t header_bytes = 1 << 18;  // of a file, at most
  const auto partial = fs::path(to.string() + ".partial");
  std::error_code failed;
  fs::remove_all(partial, failed);
  copy_architecture(from, partial);
  write_defaults(partial, read_json(from / "t2v.json"));
  for (const char* component : {"transformer", "text_encoder", "vae"})
    export_component(from / component, partial / component, weights_stem(component),
                     file_bytes - header_bytes);
  fs::remove_all(to, failed);
  fs::rename(partial, to, failed);
  if (failed) throw Error(ErrorKind::output, to.string() + ": cannot be made (" + failed.message() + ")");
}

}  // namespace t2v
