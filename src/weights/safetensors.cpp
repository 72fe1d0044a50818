#include "weights/safetensors.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cstring>
#include <nlohmann/json.hpp>

#include "base/atomic_file.h"
#include "base/lfs_pointer.h"
#include "base/json_text.h"
#include "base/mapped_file.h"
#include "t2v/error.h"
#include "weights/safetensors_header.h"

namespace t2v {

namespace fs = std::filesystem;

namespace {

constexpr uint64_t max_header_bytes = uint64_t{32} << 20;  // real ones are below 2 MiB

struct DtypeName {
  const char* name;
  at::ScalarType type;
};
constexpr DtypeName dtypes[] = {{"BOOL", at::kBool},
                                {"U8", at::kByte},
                                {"I8", at::kChar},
                                {"I16", at::kShort},
                                {"U16", at::kUInt16},
                                {"I32", at::kInt},
                                {"U32", at::kUInt32},
                                {"I64", at::kLong},
                                {"U64", at::kUInt64},
                                {"F16", at::kHalf},
                                {"BF16", at::kBFloat16},
                                {"F32", at::kFloat},
                                {"F64", at::kDouble},
                                {"F8_E4M3", at::kFloat8_e4m3fn},
                                {"F8_E5M2", at::kFloat8_e5m2},
                                {"F8_E8M0", at::kFloat8_e8m0fnu},
                                {"C64", at::kComplexFloat},
                                {"F4", at::kFloat4_e2m1fn_x2}};

}  // namespace

std::shared_ptr<const SafetensorsFile> SafetensorsFile::open(const fs::path& path) {
  std::shared_ptr<SafetensorsFile> file(new SafetensorsFile);
  file->path_ = path;
  file->mapping_ = std::make_shared<const MappedFile>(path);
  const auto& mapping = *file->mapping_;
  refuse_lfs_pointer({reinterpret_cast<const char*>(mapping.bytes()), mapping.size()}, path.string());
  uint64_t header_bytes = 0;
  if (mapping.size() < sizeof header_bytes)
    throw Error(ErrorKind::bad_input, path.string() + ": " + std::to_string(mapping.size()) +
                                          " bytes are too few for a safetensors file; fetch it again");
  std::memcpy(&header_bytes, mapping.bytes(), sizeof header_bytes);  // little-endian, as are the machines
                                                                     // this builds for
  if (header_bytes > max_header_bytes)
    throw Error(ErrorKind::bad_input, path.string() + ": claims a header of " + std::to_string(header_bytes) +
                                          " bytes, more than the " + std::to_string(max_header_bytes) +
                                          " that are read; this is not a safetensors file");
  if (header_bytes > mapping.size() - sizeof header_bytes)
    throw Error(ErrorKind::bad_input, path.string() + ": claims a header of " + std::to_string(header_bytes) +
                                          " bytes, but has only " + std::to_string(mapping.size()) +
                                          "; the file is truncated, fetch it again");
  file->data_begin_ = sizeof header_bytes + header_bytes;
  const std::string_view json(reinterpret_cast<const char*>(mapping.bytes()) + sizeof header_bytes,
                              header_bytes);
  auto header = parse_safetensors_header(json, mapping.size() - file->data_begin_, path.string());
  file->entries_ = std::move(header.entries);
  file->metadata_ = std::move(header.metadata);
  return file;
}

std::size_t SafetensorsFile::size_in_bytes() const { return mapping_->size(); }

std::string_view SafetensorsFile::header_bytes() const {
  return {reinterpret_cast<const char*>(mapping_->bytes()), data_begin_};
}

std::string_view SafetensorsFile::tensor_bytes(const TensorEntry& entry) const {
  return {reinterpret_cast<const char*>(mapping_->bytes()) + data_begin_ + entry.begin,
          entry.end - entry.begin};
}

at::Tensor SafetensorsFile::tensor(const std::string& name) const {
  const auto found = entries_.find(name);
  if (found == entries_.end())
    throw Error(ErrorKind::bad_input, path_.string() + ": has no tensor '" + name + "'");
  const TensorEntry& entry = found->second;
  const auto* type = std::find_if(std::begin(dtypes), std::end(dtypes),
                                  [&](const auto& dtype) { return entry.dtype == dtype.name; });
  if (type == std::end(dtypes))
    throw Error(ErrorKind::bad_input, path_.string() + ": tensor '" + name + "' has dtype " + entry.dtype +
                                          ", which libtorch does not have");
  auto shape = entry.shape;
  if (entry.dtype == "F4") {  // two elements to a byte
    if (shape.empty() || shape.back() % 2 != 0)
      throw Error(ErrorKind::bad_input,
                  path_.string() + ": tensor '" + name + "': F4 needs an even last dimension");
    shape.back() /= 2;
  }
  if (entry.begin == entry.end) return at::empty(shape, type->type);
  auto* address = const_cast<std::byte*>(mapping_->bytes()) + data_begin_ + entry.begin;
  // What was cast, joined or copied to a device is not held a second time.
  const auto size = entry.end - entry.begin;
  const auto bytes = at::from_blob(
      address, {static_cast<int64_t>(size)},
      [keep = mapping_, size](void* begin) { keep->release(static_cast<const std::byte*>(begin), size); },
      at::TensorOptions(at::kByte));
  if (entry.dtype == "BOOL")
    return bytes.ne(0).view(shape);  // a byte other than 0 or 1 is no bool for the compiler
  const bool aligned = reinterpret_cast<uintptr_t>(address) % c10::elementSize(type->type) == 0;
  return (aligned ? bytes : bytes.clone()).view(type->type).view(shape);
}

void save_safetensors(const fs::path& path, const std::vector<std::pair<std::string, at::Tensor>>& tensors,
                      const std::map<std::string, std::string>& metadata) {
  nlohmann::ordered_json header = nlohmann::ordered_json::object();
  if (!metadata.empty()) header["__metadata__"] = metadata;
  std::vector<at::Tensor> contents;
  std::size_t offset = 0;
  for (const auto& [name, tensor] : tensors) {
    const auto contiguous = tensor.detach().to(at::kCPU).contiguous();
    const auto* type = std::find_if(std::begin(dtypes), std::end(dtypes), [&](const auto& dtype) {
      return contiguous.scalar_type() == dtype.type;
    });
    if (type == std::end(dtypes))
      throw Error(ErrorKind::internal, "tensor '" + name + "' has a dtype that safetensors cannot hold");
    const std::size_t bytes = contiguous.nbytes();
    header[name] = {{"dtype", type->name},
                    {"shape", contiguous.sizes().vec()},
                    {"data_offsets", {offset, offset + bytes}}};
    contents.push_back(contiguous);
    offset += bytes;
  }
  std::string text = json_text(header);
  text.resize((text.size() + 7) / 8 * 8, ' ');  // data starts aligned
  const uint64_t length = text.size();

  AtomicFile file(path);
  file.write(&length, sizeof length);
  file.write(text.data(), text.size());
  for (const auto& tensor : contents) file.write(tensor.const_data_ptr(), tensor.nbytes());
  file.commit();
}

}  // namespace t2v
