// Safetensors files: read by mmap, written atomically. The header is checked completely before a byte of data
// is used. Format: https://huggingface.co/docs/safetensors (8 bytes little-endian header length, JSON header,
// data).
#pragma once

#include <ATen/core/Tensor.h>

#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace t2v {

class MappedFile;

struct TensorEntry {
  std::string name;
  std::string dtype;  // as in the file: "F32", "BF16", …
  std::vector<int64_t> shape;
  std::size_t begin = 0, end = 0;  // bytes, relative to the data section
};

class SafetensorsFile {
 public:
  // Maps the file and validates its header: length, nesting, dtypes, shapes against byte counts, overlaps,
  // holes, duplicate names. Throws Error{bad_input} naming the file and the tensor.
  static std::shared_ptr<const SafetensorsFile> open(const std::filesystem::path& path);

  const std::filesystem::path& path() const { return path_; }
  const std::map<std::string, TensorEntry>& entries() const { return entries_; }
  const std::map<std::string, std::string>& metadata() const { return metadata_; }
  std::size_t size_in_bytes() const;

  // The mapped bytes: of the length and the header, and of one tensor's data.
  std::string_view header_bytes() const;
  std::string_view tensor_bytes(const TensorEntry& entry) const;

  // A view of the mapped bytes in the file's own dtype, on the CPU; it keeps the mapping alive and must not
  // be written to. Throws Error{bad_input} when there is no such tensor or torch has no such dtype (F6_E2M3,
  // F6_E3M2).
  at::Tensor tensor(const std::string& name) const;

 private:
  SafetensorsFile() = default;

  std::filesystem::path path_;
  std::shared_ptr<const MappedFile> mapping_;
  std::size_t data_begin_ = 0;
  std::map<std::string, TensorEntry> entries_;
  std::map<std::string, std::string> metadata_;
};

// Writes tensors (any device, any dtype with a safetensors name) in the order given. Throws Error{output}.
void save_safetensors(const std::filesystem::path& path,
                      const std::vector<std::pair<std::string, at::Tensor>>& tensors,
                      const std::map<std::string, std::string>& metadata = {});

}  // namespace t2v
