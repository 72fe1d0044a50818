// Where the tensors of a component come from: safetensors and GGUF files as they are, under other names, with
// the scales of their 8-bit numbers, or with what LoRAs add to them.
#pragma once

#include <ATen/core/Tensor.h>

#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "weights/packed.h"

namespace t2v {

struct TensorInfo {
  std::string dtype;  // as safetensors or GGUF names it: "F32", "BF16", "Q4_K", …
  std::vector<int64_t> shape;
};

class TensorSource {
 public:
  virtual ~TensorSource() = default;
  virtual std::string where() const = 0;  // for messages: a folder or file
  virtual std::vector<std::string> names() const = 0;
  virtual std::optional<TensorInfo> find(const std::string& name) const = 0;
  // On the CPU, in the stored dtype (or float32 where it had to be computed); not to be written to. Throws
  // Error{bad_input}.
  virtual at::Tensor read(const std::string& name) const = 0;
  // A matrix as it lies in the file, where it should stay so until it is used.
  virtual std::optional<PackedMatrix> read_packed(const std::string&) const { return std::nullopt; }
  // What that takes, without reading it.
  virtual std::optional<int64_t> packed_bytes(const std::string&) const { return std::nullopt; }
  // A matrix of 8-bit floating point as it lies in the file, with its scales.
  virtual std::optional<PackedMatrix> read_float8(const std::string&) const { return std::nullopt; }
};

// STEM.safetensors of a folder, or its sharded index (find_weight_files). Throws Error{bad_input}.
std::shared_ptr<const TensorSource> open_weight_folder(const std::filesystem::path& folder,
                                                       const std::string& stem);
// One safetensors or GGUF file of any name. Throws Error{bad_input}.
std::shared_ptr<const TensorSource> open_weight_file(const std::filesystem::path& path);

// The same tensors under other names. renamed: the file's name → the new one, or nothing where it is to be
// left out; what is not listed keeps its name.
std::shared_ptr<const TensorSource> rename_tensors(std::shared_ptr<const TensorSource> source,
                                                   std::map<std::string, std::string> renamed);

// A part of a tensor as one of its own: one of so many equal groups of its rows.
struct TensorPart {
  std::string of;
  int64_t part = 0, parts = 1;
  int64_t dimensions = 0;  // its last ones, where those before them are 1; 0: all
};
// Parts of a source's tensors by their new names, and nothing else. A tensor that is not there, or does not
// divide, has no parts.
std::shared_ptr<const TensorSource> cut_tensors(std::shared_ptr<const TensorSource> source,
                                                const std::map<std::string, TensorPart>& parts);

// The same with every matrix kept in one of kept_formats(), where its rows are whole blocks. Those that are
// stored in 8-bit floating point are "float8" as they are.
std::shared_ptr<const TensorSource> keep_matrices(std::shared_ptr<const TensorSource> source,
                                                  const std::string& format);

// 8-bit floating-point weights times their scale, in float32: "X.weight" has its scale in "X.scale_weight" or
// "X.weight_scale"; scales, ComfyUI's "X.comfy_quant" and the marker "scaled_fp8" are no tensors of their own
// any more. Sources without scales are returned as they are. Throws Error{bad_input} for an unread_format.
std::shared_ptr<const TensorSource> apply_scales(std::shared_ptr<const TensorSource> source);

}  // namespace t2v
