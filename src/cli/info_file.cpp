#include "cli/info_file.h"

#include <algorithm>

#include "base/json.h"
#include "models/encoders/t5_encoder.h"
#include "models/file_kind.h"
#include "models/single_files.h"
#include "pipeline/provenance.h"
#include "weights/gguf.h"
#include "weights/safetensors.h"
#include "weights/unread_formats.h"

namespace t2v {

namespace {

using OrderedJson = nlohmann::ordered_json;

int64_t numbers_of(const TensorInfo& info) {
  if (std::find(info.shape.begin(), info.shape.end(), 0) != info.shape.end()) return 0;
  int64_t count = 1;
  for (const auto side : info.shape) count *= side;
  return count;
}

// Bytes of the weights with --weights-dtype: matrices in that format, the rest in the run's dtype, which is
// taken to be 16 bits wide beside 16-bit and packed weights.
OrderedJson memory_of(const TensorSource& file, bool only_float32) {
  OrderedJson memory = OrderedJson::object();
  for (const auto& format : kept_formats()) {
    if (only_float32 && format != "float32") continue;
    const int64_t element = format == "float32" ? 4 : 2;
    int64_t bytes = 0;
    for (const auto& name : file.names()) {
      const auto info = file.find(name);
      const auto& shape = info->shape;
      const auto packed = shape.size() == 2 && !only_float32 ? packed_bytes(shape[0], shape[1], format)
                                                             : std::nullopt;
      bytes += packed.value_or(numbers_of(*info) * element);
    }
    memory[format] = bytes;
  }
  return memory;
}

// What the latents are of, as far as their file says.
OrderedJson describe_latents(const TensorEntry& entry, const std::map<std::string, std::string>& metadata) {
  OrderedJson json = {{"shape", Json(entry.shape).dump() + " (batch, channels, frames, height, width)"}};
  const auto text = metadata.find("t2v");
  const auto provenance = text == metadata.end() ? Json::object() : parse_provenance(text->second);
  const auto settings = provenance.value("settings", Json::object());
  const auto encoded = provenance.value("encoded", Json::object());
  for (const char* key : {"source", "model", "prompt", "seed", "frames", "fps"})
    for (const auto* place : {&settings, &encoded})  // what was encoded last counts
      if (place->contains(key)) json[key] = OrderedJson::parse(place->at(key).dump());
  return json;
}

void describe_metadata(OrderedJson& json, const std::map<std::string, std::string>& metadata) {
  for (const auto& [key, value] : metadata)
    json["metadata"][key] = key == "t2v" ? parsed_comment(value) : OrderedJson(value);
}

// Numbers that are stored in each type, and all of them.
void describe_numbers(OrderedJson& json, const TensorSource& file) {
  int64_t all = 0;
  std::map<std::string, int64_t> of_type;
  for (const auto& name : file.names()) {
    const auto info = file.find(name);
    of_type[info->dtype] += numbers_of(*info);
    all += numbers_of(*info);
  }
  json["parameters"] = all;
  json["stored"] = OrderedJson(of_type);
}

void describe_kind(OrderedJson& json, const FileKind& kind, const std::filesystem::path& path,
                   const std::shared_ptr<const TensorSource>& file) {
  json["component"] = kind.component;
  json["kind"] = kind.what;
  const auto unread = unread_format(*file);
  if (unread)
    json["cannot_run"] = "t2v does not read " + *unread;
  else if (!kind.why_no_config.empty())
    json["cannot_run"] = kind.why_no_config;
  if (!kind.makes.empty()) json["makes"] = kind.makes;
  describe_numbers(json, *file);
  if (kind.component != "lora" && !unread)
    json["memory"] = memory_of(*apply_scales(file), kind.component == "vae");
  if (kind.component == "text_encoder") json["tokenizer"] = load_tokenizer_in(path) ? "in the file" : "none";
  for (const auto& [component, what] : kind.beside) json["beside"][flag_of_component(component)] = what;
  if (kind.component == "text_encoder" && json["tokenizer"] == "none")
    json["beside"]["--tokenizer"] = "spiece.model, or a folder with it";
  if (!kind.notes.empty()) json["notes"] = kind.notes;
}

}  // namespace

OrderedJson parsed_comment(const std::string& comment) {
  try {
    const auto parsed = parse_json(comment, "comment");
    if (parsed.is_object()) return OrderedJson::parse(parsed.dump());
  } catch (const Error&) {
    // no JSON, or too deep to be ours
  }
  return comment;
}

OrderedJson describe_weights(const std::filesystem::path& path, bool all) {
  const auto file = open_weight_file(path);
  OrderedJson json = {{"file", path.string()}};
  if (is_gguf(path)) {
    const auto gguf = GgufFile::open(path);
    json["bytes"] = gguf->size_in_bytes();
    json["format"] = "GGUF";
  } else {
    const auto tensors = SafetensorsFile::open(path);
    json["bytes"] = tensors->size_in_bytes();
    describe_metadata(json, tensors->metadata());
    if (const auto latents = tensors->entries().find("latents"); latents != tensors->entries().end())
      json["latents"] = describe_latents(latents->second, tensors->metadata());
  }
  const auto kind = kind_of_file(file, path.filename().string());
  if (!kind.component.empty()) describe_kind(json, kind, path, file);
  if (!all && !kind.component.empty()) return json;
  json["tensors"] = OrderedJson::object();
  auto& tensors = json["tensors"].get_ref<OrderedJson::object_t&>();
  const auto names = file->names();
  tensors.reserve(names.size());
  // Straight into the list: looking up each of a hostile file's half a million names would take minutes.
  for (const auto& name : names) {
    const auto info = file->find(name);
    tensors.emplace_back(name, info->dtype + " " + Json(info->shape).dump());
  }
  return json;
}

}  // namespace t2v
