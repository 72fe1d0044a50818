#include "weights/tensor_source.h"

#include <ATen/ATen.h>

#include "t2v/error.h"
#include "weights/gguf.h"
#include "weights/safetensors.h"
#include "weights/unread_formats.h"
#include "weights/weight_files.h"

namespace t2v {

namespace {

class Safetensors : public TensorSource {
 public:
  Safetensors(std::string where, std::map<std::string, std::shared_ptr<const SafetensorsFile>> files)
      : where_(std::move(where)), file_of_(std::move(files)) {}
  std::string where() const override { return where_; }
  std::vector<std::string> names() const override {
    std::vector<std::string> names;
    for (const auto& [name, file] : file_of_) names.push_back(name);
    return names;
  }
  std::optional<TensorInfo> find(const std::string& name) const override {
    const auto found = file_of_.find(name);
    if (found == file_of_.end()) return std::nullopt;
    const auto& entry = found->second->entries().at(name);
    return TensorInfo{entry.dtype, entry.shape};
  }
  at::Tensor read(const std::string& name) const override { return file_of_.at(name)->tensor(name); }
  std::optional<PackedMatrix> read_float8(const std::string& name) const override {
    const auto stored = read(name);
    const auto dtype = stored.scalar_type();
    if (stored.dim() != 2 || (dtype != at::kFloat8_e4m3fn && dtype != at::kFloat8_e5m2)) return std::nullopt;
    const int64_t rows = stored.size(0);
    return PackedMatrix{nullptr, rows, stored.size(1), stored, at::kFloat, at::ones({rows}, at::kFloat)};
  }

 private:
  std::string where_;
  std::map<std::string, std::shared_ptr<const SafetensorsFile>> file_of_;
};

class Gguf : public TensorSource {
 public:
  explicit Gguf(std::shared_ptr<const GgufFile> file) : file_(std::move(file)) {}
  std::string where() const override {
    const auto* architecture = file_->metadata("general.architecture");
    if (architecture == nullptr) return file_->where();
    return file_->where() + " (GGUF of '" + gguf_text(*architecture, "general.architecture", file_->where()) +
           "')";
  }
  std::vector<std::string> names() const override {
    std::vector<std::string> names;
    for (const auto& [name, tensor] : file_->tensors()) names.push_back(name);
    return names;
  }
  std::optional<TensorInfo> find(const std::string& name) const override {
    const auto found = file_->tensors().find(name);
    if (found == file_->tensors().end()) return std::nullopt;
    return TensorInfo{found->second.type, found->second.shape};
  }
  at::Tensor read(const std::string& name) const override { return file_->tensor(name); }
  std::optional<PackedMatrix> read_packed(const std::string& name) const override {
    return file_->matrix(name);
  }
  std::optional<int64_t> packed_bytes(const std::string& name) const override {
    const auto matrix = file_->matrix(name);
    return matrix ? std::optional(static_cast<int64_t>(matrix->stored.nbytes())) : std::nullopt;
  }

 private:
  std::shared_ptr<const GgufFile> file_;
};

// One source in place of another, for those of its tensors that it wants to change.
class Renamed : public TensorSource {
 public:
  Renamed(std::shared_ptr<const TensorSource> source, const std::map<std::string, std::string>& renamed)
      : source_(std::move(source)) {
    for (const auto& name : source_->names()) {
      const auto found = renamed.find(name);
      const auto& here = found == renamed.end() ? name : found->second;
      if (!here.empty()) original_[here] = name;
    }
  }
  std::string where() const override { return source_->where(); }
  std::vector<std::string> names() const override {
    std::vector<std::string> names;
    for (const auto& [name, original] : original_) names.push_back(name);
    return names;
  }
  std::optional<TensorInfo> find(const std::string& name) const override {
    const auto found = original_.find(name);
    return found == original_.end() ? std::nullopt : source_->find(found->second);
  }
  at::Tensor read(const std::string& name) const override { return source_->read(original_.at(name)); }
  std::optional<PackedMatrix> read_packed(const std::string& name) const override {
    return source_->read_packed(original_.at(name));
  }
  std::optional<int64_t> packed_bytes(const std::string& name) const override {
    return source_->packed_bytes(original_.at(name));
  }
  std::optional<PackedMatrix> read_float8(const std::string& name) const override {
    return source_->read_float8(original_.at(name));
  }

 private:
  std::shared_ptr<const TensorSource> source_;
  std::map<std::string, std::string> original_;
};

class Cut : public TensorSource {
 public:
  Cut(std::shared_ptr<const TensorSource> source, const std::map<std::string, TensorPart>& parts)
      : source_(std::move(source)) {
    for (const auto& [name, part] : parts)
      if (const auto shape = shape_of(part)) parts_[name] = {part, *shape};
  }
  std::string where() const override { return source_->where(); }
  std::vector<std::string> names() const override {
    std::vector<std::string> names;
    for (const auto& [name, part] : parts_) names.push_back(name);
    return names;
  }
  std::optional<TensorInfo> find(const std::string& name) const override {
    const auto found = parts_.find(name);
    if (found == parts_.end()) return std::nullopt;
    return TensorInfo{source_->find(found->second.first.of)->dtype, found->second.second};
  }
  at::Tensor read(const std::string& name) const override {
    const auto& [part, shape] = parts_.at(name);
    const auto whole = source_->read(part.of);
    if (part.parts == 1) return whole.view(shape);
    return whole.narrow(0, part.part * shape.front(), shape.front());
  }

 private:
  std::optional<std::vector<int64_t>> shape_of(const TensorPart& part) const {
    const auto info = source_->find(part.of);
    if (!info || info->shape.empty() || info->shape.front() % part.parts != 0) return std::nullopt;
    auto shape = info->shape;
    shape.front() /= part.parts;
    while (part.dimensions > 0 && static_cast<int64_t>(shape.size()) > part.dimensions) {
      if (shape.front() != 1) return std::nullopt;
      shape.erase(shape.begin());
    }
    return shape;
  }

  std::shared_ptr<const TensorSource> source_;
  std::map<std::string, std::pair<TensorPart, std::vector<int64_t>>> parts_;
};

constexpr const char* marker = "scaled_fp8";
constexpr const char* scale_endings[] = {".scale_weight", ".weight_scale"};

bool is_scale(const std::string& name) {
  return name.ends_with(marker) || name.ends_with(".comfy_quant") || name.ends_with(".scale_input") ||
         name.ends_with(".input_scale") || name.ends_with(scale_endings[0]) ||
         name.ends_with(scale_endings[1]);
}

class Scaled : public TensorSource {
 public:
  explicit Scaled(std::shared_ptr<const TensorSource> source) : source_(std::move(source)) {}
  std::string where() const override { return source_->where(); }
  std::vector<std::string> names() const override {
    std::vector<std::string> names;
    for (const auto& name : source_->names())
      if (!is_scale(name)) names.push_back(name);
    return names;
  }
  std::optional<TensorInfo> find(const std::string& name) const override {
    if (is_scale(name)) return std::nullopt;
    auto info = source_->find(name);
    if (info && !scale_of(name).empty()) info->dtype = "F32";
    return info;
  }
  at::Tensor read(const std::string& name) const override {
    const auto stored = source_->read(name);
    const auto scale = scale_of(name);
    if (scale.empty()) return stored;
    const auto factor = read_scale(scale, stored);
    std::vector<int64_t> shape(static_cast<std::size_t>(stored.dim()), 1);
    if (factor.numel() != 1) shape[0] = factor.numel();
    return stored.to(at::kFloat) * factor.view(shape);
  }
  std::optional<PackedMatrix> read_packed(const std::string& name) const override {
    return scale_of(name).empty() ? source_->read_packed(name) : std::nullopt;
  }
  std::optional<int64_t> packed_bytes(const std::string& name) const override {
    return scale_of(name).empty() ? source_->packed_bytes(name) : std::nullopt;
  }
  std::optional<PackedMatrix> read_float8(const std::string& name) const override {
    auto matrix = source_->read_float8(name);
    const auto scale = scale_of(name);
    if (matrix && !scale.empty())
      matrix->scales = read_scale(scale, matrix->stored).flatten().expand({matrix->rows});
    return matrix;
  }

 private:
  // float32: one number, or one for each row of what is stored.
  at::Tensor read_scale(const std::string& scale, const at::Tensor& stored) const {
    const auto factor = source_->read(scale).to(at::kFloat);
    if (factor.numel() != 1 && (stored.dim() == 0 || factor.numel() != stored.size(0)))
      throw Error(ErrorKind::bad_input, where() + ": '" + scale + "' has " + std::to_string(factor.numel()) +
                                            " numbers; a scale has one, or one a row");
    return factor;
  }
  std::string scale_of(const std::string& name) const {
    if (!name.ends_with(".weight")) return "";
    const auto stem = name.substr(0, name.size() - std::string(".weight").size());
    for (const char* ending : scale_endings)
      if (source_->find(stem + ending)) return stem + ending;
    return "";
  }

  std::shared_ptr<const TensorSource> source_;
};

class Kept : public TensorSource {
 public:
  Kept(std::shared_ptr<const TensorSource> source, std::string format)
      : source_(std::move(source)), format_(std::move(format)) {}
  std::string where() const override { return source_->where(); }
  std::vector<std::string> names() const override { return source_->names(); }
  std::optional<TensorInfo> find(const std::string& name) const override { return source_->find(name); }
  at::Tensor read(const std::string& name) const override { return source_->read(name); }
  std::optional<PackedMatrix> read_packed(const std::string& name) const override {
    if (!packed_bytes(name)) return std::nullopt;
    if (format_ == "float8")
      if (auto stored = source_->read_float8(name)) return stored;
    return pack(source_->read(name), format_);
  }
  std::optional<int64_t> packed_bytes(const std::string& name) const override {
    const auto info = source_->find(name);
    if (!info || info->shape.size() != 2) return std::nullopt;
    return t2v::packed_bytes(info->shape[0], info->shape[1], format_);
  }

 private:
  std::shared_ptr<const TensorSource> source_;
  std::string format_;
};

}  // namespace

std::shared_ptr<const TensorSource> cut_tensors(std::shared_ptr<const TensorSource> source,
                                                const std::map<std::string, TensorPart>& parts) {
  return std::make_shared<Cut>(std::move(source), parts);
}

std::shared_ptr<const TensorSource> keep_matrices(std::shared_ptr<const TensorSource> source,
                                                  const std::string& format) {
  return std::make_shared<Kept>(std::move(source), format);
}

std::shared_ptr<const TensorSource> open_weight_folder(const std::filesystem::path& folder,
                                                       const std::string& stem) {
  const auto found = find_weight_files(folder, stem);
  std::map<std::string, std::shared_ptr<const SafetensorsFile>> files, file_of;
  for (const auto& path : found.files) files[path.filename().string()] = SafetensorsFile::open(path);
  if (found.index.empty())
    for (const auto& [name, entry] : files.begin()->second->entries()) file_of[name] = files.begin()->second;
  for (const auto& [name, shard] : found.shard_of) {
    const auto& file = files.at(shard);
    if (!file->entries().contains(name))
      throw Error(ErrorKind::bad_input, found.index.string() + ": tensor '" + name + "' should be in " +
                                            shard + ", which does not have it");
    file_of[name] = file;
  }
  return std::make_shared<Safetensors>(folder.string(), std::move(file_of));
}

std::shared_ptr<const TensorSource> open_weight_file(const std::filesystem::path& path) {
  require_no_pickle(path);
  if (is_gguf(path)) return std::make_shared<Gguf>(GgufFile::open(path));
  const auto file = SafetensorsFile::open(path);
  std::map<std::string, std::shared_ptr<const SafetensorsFile>> file_of;
  for (const auto& [name, entry] : file->entries()) file_of[name] = file;
  return std::make_shared<Safetensors>(path.string(), std::move(file_of));
}

std::shared_ptr<const TensorSource> rename_tensors(std::shared_ptr<const TensorSource> source,
                                                   std::map<std::string, std::string> renamed) {
  if (renamed.empty()) return source;
  return std::make_shared<Renamed>(std::move(source), renamed);
}

std::shared_ptr<const TensorSource> apply_scales(std::shared_ptr<const TensorSource> source) {
  require_read_format(*source);
  for (const auto& name : source->names())
    if (is_scale(name)) return std::make_shared<Scaled>(std::move(source));
  return source;
}

}  // namespace t2v
