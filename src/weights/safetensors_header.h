// The header of a safetensors file, parsed and validated without trusting it.
#pragma once

#include <cstddef>
#include <map>
#include <string>
#include <string_view>

#include "weights/safetensors.h"

namespace t2v {

struct SafetensorsHeader {
  std::map<std::string, TensorEntry> entries;
  std::map<std::string, std::string> metadata;
};

// Bits per element of a safetensors dtype; 0 for an unknown name.
int safetensors_dtype_bits(std::string_view dtype);

// Parses `json` and checks every entry against `data_bytes`, the size of the data section. Memory is bounded
// by a small multiple of json's size. Throws Error{bad_input} starting with `where`.
SafetensorsHeader parse_safetensors_header(std::string_view json, std::size_t data_bytes,
                                           const std::string& where);

}  // namespace t2v
