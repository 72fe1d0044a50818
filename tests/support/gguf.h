// GGUF files built by hand, byte for byte.
#pragma once

#include <cstdint>
#include <cstring>
#include <string>
#include <type_traits>
#include <vector>

namespace t2v::test {

template <class T>
std::string little_endian_bytes(T value) {
  std::string bytes(sizeof value, '\0');
  std::memcpy(bytes.data(), &value, sizeof value);
  return bytes;
}

inline std::string gguf_string(const std::string& text) {
  return little_endian_bytes(uint64_t{text.size()}) + text;
}

// One entry of the metadata; the numbers are GGUF's of types.
inline std::string gguf_key(const std::string& key, uint32_t type, const std::string& value) {
  return gguf_string(key) + little_endian_bytes(type) + value;
}
inline std::string gguf_text_key(const std::string& key, const std::string& text) {
  return gguf_key(key, 8, gguf_string(text));
}
template <class T>
std::string gguf_list_key(const std::string& key, uint32_t type, const std::vector<T>& values) {
  std::string bytes = little_endian_bytes(type) + little_endian_bytes(uint64_t{values.size()});
  for (const auto& value : values) {
    if constexpr (std::is_same_v<T, std::string>)
      bytes += gguf_string(value);
    else
      bytes += little_endian_bytes(value);
  }
  return gguf_key(key, 9, bytes);
}

struct GgufBytes {
  uint32_t version = 3;
  std::vector<std::string> keys;
  struct Tensor {
    std::string name;
    std::vector<uint64_t> dims;  // innermost first
    uint32_t type = 0;
    std::string data;
  };
  std::vector<Tensor> tensors;

  std::string header() const {
    std::string bytes = "GGUF" + little_endian_bytes(version) +
                        little_endian_bytes(uint64_t{tensors.size()}) +
                        little_endian_bytes(uint64_t{keys.size()});
    for (const auto& key : keys) bytes += key;
    uint64_t offset = 0;
    for (const auto& tensor : tensors) {
      bytes += gguf_string(tensor.name) + little_endian_bytes(static_cast<uint32_t>(tensor.dims.size()));
      for (const auto dim : tensor.dims) bytes += little_endian_bytes(dim);
      bytes += little_endian_bytes(tensor.type) + little_endian_bytes(offset);
      offset += aligned(tensor.data.size());
    }
    return bytes;
  }
  std::string bytes() const {
    auto bytes = header();
    bytes.resize(aligned(bytes.size()));
    for (const auto& tensor : tensors) {
      bytes += tensor.data;
      bytes.resize(aligned(bytes.size()));
    }
    return bytes;
  }

 private:
  static std::size_t aligned(std::size_t size) { return (size + 31) / 32 * 32; }
};

}  // namespace t2v::test
