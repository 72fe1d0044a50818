// Safetensors files built by hand, byte for byte.
#pragma once

#include <cstdint>
#include <string>

#include "bytes.h"

namespace t2v::test {

inline std::string little_endian(uint64_t value) {
  std::string bytes;
  for (int i = 0; i < 8; ++i) bytes += static_cast<char>(value >> (8 * i) & 0xFFU);
  return bytes;
}

inline std::string safetensors_bytes(const std::string& header, const std::string& data) {
  return little_endian(header.size()) + header + data;
}

}  // namespace t2v::test
