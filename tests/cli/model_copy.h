// The shipped model with one thing changed.
#pragma once

#include <c10/util/Half.h>

#include <cstdint>
#include <cstring>
#include <functional>
#include <nlohmann/json.hpp>

#include "run_program.h"

namespace t2v::test {

// A safetensors file taken apart, so that it can be put together wrongly.
struct RawTensors {
  nlohmann::ordered_json header;
  std::string data;
};

inline std::string safetensors_bytes(const std::string& header, const std::string& data = "") {
  const uint64_t length = header.size();
  std::string bytes(sizeof length, '\0');
  std::memcpy(bytes.data(), &length, sizeof length);
  return bytes + header + data;
}

inline RawTensors read_raw_tensors(const std::filesystem::path& path) {
  const auto bytes = bytes_of(path);
  uint64_t length = 0;
  std::memcpy(&length, bytes.data(), sizeof length);
  return {nlohmann::ordered_json::parse(bytes.substr(8, length)), bytes.substr(8 + length)};
}

inline void write_raw_tensors(const std::filesystem::path& path, const RawTensors& tensors) {
  auto header = tensors.header.dump();
  header.append((8 - header.size() % 8) % 8, ' ');  // as safetensors does, so that the numbers lie aligned
  write_bytes(path, safetensors_bytes(header, tensors.data));
}

// The numbers of one tensor, F32 or F16.
inline std::vector<float> floats_of(const RawTensors& tensors, const std::string& name) {
  const auto& tensor = tensors.header.at(name);
  const auto begin = tensor.at("data_offsets")[0].get<std::size_t>();
  const auto bytes = tensor.at("data_offsets")[1].get<std::size_t>() - begin;
  const auto read = [&]<class T>(T) {
    std::vector<T> values(bytes / sizeof(T));
    std::memcpy(values.data(), tensors.data.data() + begin, bytes);
    return std::vector<float>(values.begin(), values.end());
  };
  return tensor.at("dtype") == "F16" ? read(c10::Half()) : read(0.0F);
}

inline void set_floats(RawTensors& tensors, const std::string& name, const std::vector<float>& values) {
  const auto& tensor = tensors.header.at(name);
  const auto write = [&]<class T>(T) {
    const std::vector<T> stored(values.begin(), values.end());
    std::memcpy(tensors.data.data() + tensor.at("data_offsets")[0].get<std::size_t>(), stored.data(),
                stored.size() * sizeof(T));
  };
  tensor.at("dtype") == "F16" ? write(c10::Half()) : write(0.0F);
}

// The same numbers as F32.
inline RawTensors in_float32(const RawTensors& tensors) {
  RawTensors wide;
  for (const auto& [name, tensor] : tensors.header.items()) {
    wide.header[name] = tensor;
    if (name == "__metadata__") continue;
    const auto values = floats_of(tensors, name);
    const auto begin = wide.data.size();
    wide.data.append(reinterpret_cast<const char*>(values.data()), values.size() * sizeof(float));
    wide.header[name]["dtype"] = "F32";
    wide.header[name]["data_offsets"] = {begin, wide.data.size()};
  }
  return wide;
}

// A folder like the shipped model's, each file a link to the original. replace() puts another file in the
// place of one of them.
class ModelCopy {
 public:
  explicit ModelCopy(const std::filesystem::path& root) : root_(root) {
    for (const auto& entry : std::filesystem::recursive_directory_iterator(shipped_model())) {
      const auto copy = root / std::filesystem::relative(entry.path(), shipped_model());
      if (!entry.is_directory()) {
        std::filesystem::create_directories(copy.parent_path());
        std::filesystem::create_symlink(entry.path(), copy);
      }
    }
  }

  std::string path() const { return root_.string(); }

  void replace(const std::string& file, const std::string& bytes) {
    std::filesystem::remove(root_ / file);
    write_bytes(root_ / file, bytes);
  }
  void truncate(const std::string& file, std::size_t size) {
    replace(file, bytes_of(shipped_model() / file).substr(0, size));
  }
  // In float32, which a run uses as it lies in the file.
  void change_tensors(const std::string& file, const std::function<void(RawTensors&)>& change) {
    auto tensors = in_float32(read_raw_tensors(shipped_model() / file));
    change(tensors);
    std::filesystem::remove(root_ / file);
    write_raw_tensors(root_ / file, tensors);
  }

 private:
  std::filesystem::path root_;
};

inline const std::string transformer_file = "transformer/diffusion_pytorch_model.safetensors";
inline const std::string vae_file = "vae/diffusion_pytorch_model.safetensors";

}  // namespace t2v::test
