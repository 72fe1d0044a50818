// GGUF files: quantised checkpoints of llama.cpp and ComfyUI-GGUF, read by mmap.
#pragma once

#include <ATen/core/Tensor.h>

#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "weights/gguf_header.h"
#include "weights/packed.h"

namespace t2v {

class MappedFile;

class GgufFile {
 public:
  // Maps the file and validates its header. Throws Error{bad_input}.
  static std::shared_ptr<const GgufFile> open(const std::filesystem::path& path);

  const std::map<std::string, GgufTensor>& tensors() const { return header_.tensors; }
  // Its bytes live as long as the file object.
  const GgufValue* metadata(const std::string& key) const;
  std::string where() const { return path_.string(); }
  std::size_t size_in_bytes() const;

  // The mapped bytes: of all before the data, and of one tensor.
  std::string_view header_bytes() const;
  std::string_view tensor_bytes(const GgufTensor& tensor) const;

  // On the CPU, not to be written to: a view of the mapped numbers, or float32 that blocks stand for. Throws
  // Error{bad_input} when there is no such tensor.
  at::Tensor tensor(const std::string& name) const;
  // A matrix of blocks or 16-bit numbers as it is mapped; none for other tensors.
  std::optional<PackedMatrix> matrix(const std::string& name) const;

 private:
  GgufFile() = default;
  const GgufTensor& entry(const std::string& name) const;
  at::Tensor mapped(const GgufTensor& tensor) const;  // uint8, flat
  at::Tensor numbers(const GgufTensor& tensor) const;

  std::filesystem::path path_;
  std::shared_ptr<const MappedFile> mapping_;
  GgufHeader header_;
};

// By its ending, or its first bytes where it has another one. Throws Error{bad_input} when it cannot be read.
bool is_gguf(const std::filesystem::path& path);

}  // namespace t2v
