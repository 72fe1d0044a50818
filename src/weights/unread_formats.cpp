#include "weights/unread_formats.h"

#include <ATen/ATen.h>

#include <fstream>

#include "base/json.h"
#include "t2v/error.h"

namespace t2v {

namespace {

constexpr const char* comfy_quant = ".comfy_quant";  // JSON as bytes: {"format": "nvfp4", …}

// Empty where it is no such text.
std::string format_of_comfy(const TensorSource& file, const std::string& name, const TensorInfo& info) {
  constexpr int64_t most = 4096;
  if (info.dtype != "U8" || info.shape.size() != 1 || info.shape[0] > most) return "";
  const auto bytes = file.read(name).contiguous();
  Json json;
  const std::string text(static_cast<const char*>(bytes.const_data_ptr()), bytes.nbytes());
  if (try_parse_json(text, json) || !json.is_object() || !json.contains("format") ||
      !json.at("format").is_string())
    return "";
  return json.at("format").get<std::string>();
}

// The format of one tensor, by its name, its dtype and what lies beside it.
std::string format_of(const TensorSource& file, const std::string& name) {
  const auto info = file.find(name).value();
  const auto& dtype = info.dtype;
  if (name.ends_with(comfy_quant)) {
    const auto format = format_of_comfy(file, name, info);
    return format.starts_with("float8_") ? "" : format.empty() ? "an unknown format" : format;
  }
  if (name.find(".quant_state.bitsandbytes") != std::string::npos) return "4 bits (bitsandbytes)";
  if (name.ends_with(".qweight")) return "packed whole numbers (GPTQ, AWQ, SVDQuant)";
  if (dtype == "F4" || dtype == "F6_E2M3" || dtype == "F6_E3M2") return dtype;
  if (!name.ends_with(".weight")) return "";
  const auto stem = name.substr(0, name.size() - std::string(".weight").size());
  const auto scale = file.find(stem + ".weight_scale");
  if (dtype == "I8") return "int8";
  if (dtype == "U8") return scale && file.find(stem + ".weight_scale_2") ? "nvfp4" : "packed whole numbers";
  const bool is_mx = dtype.starts_with("F8_") && scale && (scale->dtype == "U8" || scale->dtype == "F8_E8M0");
  return is_mx ? "mxfp8" : "";
}

}  // namespace

std::optional<std::string> unread_format(const TensorSource& file) {
  for (const auto& name : file.names())
    if (const auto format = format_of(file, name); !format.empty()) return format + " ('" + name + "')";
  return std::nullopt;
}

void require_read_format(const TensorSource& file) {
  if (const auto format = unread_format(file))
    throw Error(ErrorKind::bad_input,
                file.where() + ": its weights are stored as " + *format +
                    ", which t2v does not read. Use the model's file in bf16, fp16, fp8 (scaled or not) or "
                    "GGUF.");
}

void require_no_pickle(const std::filesystem::path& path) {
  const auto extension = path.extension();
  bool is_pickle = false;
  for (const char* one : {".pth", ".pt", ".bin", ".ckpt", ".pkl"}) is_pickle = is_pickle || extension == one;
  std::ifstream file(path, std::ios::binary);
  if (!file) return;  // who opens it says why not
  std::string begin(4, '\0');
  file.read(begin.data(), static_cast<std::streamsize>(begin.size()));
  // torch.save's zip, and a bare pickle of protocol 2 to 5. A safetensors header is not that long.
  is_pickle = is_pickle || begin == "PK\x03\x04" ||
              (begin[0] == '\x80' && begin[1] >= 2 && begin[1] <= 5 && extension != ".safetensors" &&
               extension != ".gguf");
  if (is_pickle)
    throw Error(ErrorKind::bad_input,
                path.string() +
                    ": is a pickled file. Those are never read, since they may run any code: use the model's "
                    "safetensors or GGUF file, or convert it.");
}

}  // namespace t2v
