#include "weights/gguf.h"

#include <ATen/ATen.h>

#include <algorithm>

#include "base/lfs_pointer.h"
#include "base/mapped_file.h"
#include "t2v/error.h"

namespace t2v {

namespace fs = std::filesystem;

std::shared_ptr<const GgufFile> GgufFile::open(const fs::path& path) {
  std::shared_ptr<GgufFile> file(new GgufFile);
  file->path_ = path;
  file->mapping_ = std::make_shared<const MappedFile>(path);
  const std::string_view bytes(reinterpret_cast<const char*>(file->mapping_->bytes()),
                               file->mapping_->size());
  refuse_lfs_pointer(bytes, path.string());
  file->header_ = parse_gguf_header(bytes, path.string());
  return file;
}

const GgufValue* GgufFile::metadata(const std::string& key) const {
  const auto found = header_.metadata.find(key);
  return found == header_.metadata.end() ? nullptr : &found->second;
}

std::size_t GgufFile::size_in_bytes() const { return mapping_->size(); }

std::string_view GgufFile::header_bytes() const {
  return {reinterpret_cast<const char*>(mapping_->bytes()), std::min(header_.data_begin, mapping_->size())};
}

std::string_view GgufFile::tensor_bytes(const GgufTensor& tensor) const {
  return {reinterpret_cast<const char*>(mapping_->bytes()) + header_.data_begin + tensor.begin,
          tensor.end - tensor.begin};
}

const GgufTensor& GgufFile::entry(const std::string& name) const {
  const auto found = header_.tensors.find(name);
  if (found == header_.tensors.end())
    throw Error(ErrorKind::bad_input, path_.string() + ": has no tensor '" + name + "'");
  return found->second;
}

at::Tensor GgufFile::mapped(const GgufTensor& tensor) const {
  auto* address = const_cast<char*>(tensor_bytes(tensor).data());
  const auto size = tensor.end - tensor.begin;
  return at::from_blob(
      address, {static_cast<int64_t>(size)},
      [keep = mapping_, size](void* begin) { keep->release(static_cast<const std::byte*>(begin), size); },
      at::TensorOptions(at::kByte));
}

at::Tensor GgufFile::numbers(const GgufTensor& tensor) const {
  const auto type = tensor.type == "F32" ? at::kFloat : tensor.type == "F16" ? at::kHalf : at::kBFloat16;
  const auto bytes = mapped(tensor);
  const bool aligned = reinterpret_cast<uintptr_t>(bytes.const_data_ptr()) % c10::elementSize(type) == 0;
  return (aligned ? bytes : bytes.clone()).view(type).view(tensor.shape);
}

at::Tensor GgufFile::tensor(const std::string& name) const {
  const auto& tensor = entry(name);
  if (tensor.format == nullptr) return numbers(tensor);
  return expand_blocks(*tensor.format, mapped(tensor)).view(tensor.shape);
}

std::optional<PackedMatrix> GgufFile::matrix(const std::string& name) const {
  const auto& tensor = entry(name);
  if (tensor.shape.size() != 2 || tensor.type == "F32") return std::nullopt;
  const auto rows = tensor.shape[0], columns = tensor.shape[1];
  if (tensor.format == nullptr) return PackedMatrix{nullptr, rows, columns, numbers(tensor), at::kFloat};
  if (columns % tensor.format->elements != 0) return std::nullopt;  // stored in rows of another length
  return PackedMatrix{tensor.format, rows, columns, mapped(tensor).view({rows, -1}), at::kFloat};
}

bool is_gguf(const fs::path& path) {
  if (path.extension() == ".gguf") return true;
  const MappedFile file(path);
  return file.size() >= 4 && std::string_view(reinterpret_cast<const char*>(file.bytes()), 4) == "GGUF";
}

}  // namespace t2v
