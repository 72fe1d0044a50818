// Formats of quantised weights: a block of bytes stands for 32 or 256 numbers, some bits of each and the
// scales that they share. Source: ggml, ggml-quants.c; gguf-py, quants.py, whose bits these are.
#pragma once

#include <algorithm>
#include <cstdint>
#include <span>
#include <string_view>

namespace t2v {

struct BlockFormat {
  const char* name;    // "Q4_K"
  uint32_t ggml_type;  // its number in GGUF files
  int64_t elements;    // of a block
  int64_t bytes;       // of a block
  void (*expand)(const uint8_t* blocks, int64_t count, float* numbers);
  void (*pack)(const float* numbers, int64_t count, uint8_t* blocks);  // of finite ones; null: only read
};

std::span<const BlockFormat> block_formats();

inline bool is_block_format(std::string_view name) {
  return std::ranges::any_of(block_formats(), [&](const auto& format) { return format.name == name; });
}

}  // namespace t2v
