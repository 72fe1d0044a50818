// The header of a GGUF file, parsed and validated without trusting it.
// Source: ggml, docs/gguf.md; gguf-py, gguf_reader.py.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "weights/blocks.h"

namespace t2v {

// What a key of the metadata holds, as it lies in the file.
struct GgufValue {
  enum Type : uint32_t {
    uint8 = 0,
    int8 = 1,
    uint16 = 2,
    int16 = 3,
    uint32 = 4,
    int32 = 5,
    float32 = 6,
    boolean = 7,
    string = 8,
    array = 9,
    uint64 = 10,
    int64 = 11,
    float64 = 12
  };
  Type type = uint8;  // of an array: of its elements
  bool is_array = false;
  uint64_t count = 1;      // of elements
  std::string_view bytes;  // of all of them; a string has its length before it
};

struct GgufTensor {
  std::string type;                     // "F32", "Q4_K"
  const BlockFormat* format = nullptr;  // null: numbers, F32, F16 or BF16
  std::vector<int64_t> shape;           // outermost first, as it was before the file's writer flattened it
  std::size_t begin = 0, end = 0;       // bytes, relative to the data section
};

struct GgufHeader {
  std::map<std::string, GgufValue> metadata;
  std::map<std::string, GgufTensor> tensors;
  std::size_t data_begin = 0;  // in the file
};

// Checks every length, count, type, shape and offset against the bytes that are there. Memory is bounded by a
// small multiple of the header's size, which is at most 128 MiB. Throws Error{bad_input} starting with
// `where`, also for formats of tensors that t2v does not have.
GgufHeader parse_gguf_header(std::string_view file, const std::string& where);

// A value as text, whole number, or list of these; throws Error{bad_input} for one of another type.
std::string gguf_text(const GgufValue& value, const std::string& key, const std::string& where);
std::vector<std::string> gguf_texts(const GgufValue& value, const std::string& key, const std::string& where);
std::vector<int64_t> gguf_integers(const GgufValue& value, const std::string& key, const std::string& where);
std::vector<double> gguf_numbers(const GgufValue& value, const std::string& key, const std::string& where);

}  // namespace t2v
