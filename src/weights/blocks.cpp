#include "weights/blocks.h"

#include <c10/util/Half.h>

#include <algorithm>
#include <bit>
#include <cmath>

namespace t2v {

namespace {

using Bytes = const uint8_t*;

uint16_t two_bytes(Bytes x) { return static_cast<uint16_t>(x[0] | x[1] << 8); }
uint32_t four_bytes(Bytes x) { return two_bytes(x) | uint32_t{two_bytes(x + 2)} << 16; }
float half(Bytes x) { return c10::detail::fp16_ieee_to_fp32_value(two_bytes(x)); }
float signed_byte(uint8_t x) { return std::bit_cast<int8_t>(x); }
float number(int x) { return static_cast<float>(x); }

// Blocks of 32: d, in Q4_1 and Q5_1 m, in Q5 the fifth bits, and the others: first the numbers 0 to 15 in the
// low halves of the bytes, then 16 to 31 in the high ones.

void q8_0(Bytes block, float* y) {
  const float d = half(block);
  for (int i = 0; i < 32; ++i) y[i] = signed_byte(block[2 + i]) * d;
}

void q4_0(Bytes block, float* y) {
  const float d = half(block);
  for (int i = 0; i < 16; ++i) {
    y[i] = d * number((block[2 + i] & 15) - 8);
    y[16 + i] = d * number((block[2 + i] >> 4) - 8);
  }
}

void q4_1(Bytes block, float* y) {
  const float d = half(block), m = half(block + 2);
  for (int i = 0; i < 16; ++i) {
    y[i] = d * number(block[4 + i] & 15) + m;
    y[16 + i] = d * number(block[4 + i] >> 4) + m;
  }
}

int fifth_bit(uint32_t bits, int i) { return static_cast<int>(bits >> i & 1U) << 4; }

void q5_0(Bytes block, float* y) {
  const float d = half(block);
  const auto high = four_bytes(block + 2);
  for (int i = 0; i < 16; ++i) {
    y[i] = d * number(((block[6 + i] & 15) | fifth_bit(high, i)) - 16);
    y[16 + i] = d * number((block[6 + i] >> 4 | fifth_bit(high, 16 + i)) - 16);
  }
}

void q5_1(Bytes block, float* y) {
  const float d = half(block), m = half(block + 2);
  const auto high = four_bytes(block + 4);
  for (int i = 0; i < 16; ++i) {
    y[i] = d * number((block[8 + i] & 15) | fifth_bit(high, i)) + m;
    y[16 + i] = d * number(block[8 + i] >> 4 | fifth_bit(high, 16 + i)) + m;
  }
}

constexpr int8_t non_linear[16] = {-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113};

void iq4_nl(Bytes block, float* y) {
  const float d = half(block);
  for (int i = 0; i < 16; ++i) {
    y[i] = d * number(non_linear[block[2 + i] & 15]);
    y[16 + i] = d * number(non_linear[block[2 + i] >> 4]);
  }
}

// Blocks of 256, in groups of 16 or 32 that have a scale each, itself a whole number times d.

void q2_k(Bytes block, float* y) {
  const float d = half(block + 80), least = half(block + 82);
  for (int group = 0; group < 16; ++group) {
    const float scale = d * number(block[group] & 15), minimum = least * number(block[group] >> 4);
    const Bytes bits = block + 16 + group / 8 * 32 + group % 2 * 16;
    const int shift = group % 8 / 2 * 2;
    for (int i = 0; i < 16; ++i) y[16 * group + i] = scale * number(bits[i] >> shift & 3) - minimum;
  }
}

void q3_k(Bytes block, float* y) {
  const Bytes high = block, low = block + 32, scales = block + 96;
  const float d = half(block + 108);
  for (int group = 0; group < 16; ++group) {
    const int six_bits = (scales[group % 8] >> group / 8 * 4 & 15) |
                         (scales[8 + group % 4] >> group / 4 * 2 & 3) << 4;
    const float scale = d * number(six_bits - 32);
    const Bytes bits = low + group / 8 * 32 + group % 2 * 16;
    const int shift = group % 8 / 2 * 2, high_bit = group / 2;
    for (int i = 0; i < 16; ++i) {
      const int subtracted = (high[group % 2 * 16 + i] >> high_bit & 1) != 0 ? 0 : 4;
      y[16 * group + i] = scale * number((bits[i] >> shift & 3) - subtracted);
    }
  }
}

struct ScaleAndMinimum {
  int scale, minimum;
};

// Of group 0 to 7, six bits each, in twelve bytes.
ScaleAndMinimum six_bit_pair(Bytes x, int group) {
  if (group < 4) return {x[group] & 63, x[4 + group] & 63};
  return {(x[4 + group] & 15) | (x[group - 4] >> 2 & 48), x[4 + group] >> 4 | (x[group] >> 2 & 48)};
}

void q4_k(Bytes block, float* y) {
  const float d = half(block), least = half(block + 2);
  for (int group = 0; group < 8; ++group) {
    const auto pair = six_bit_pair(block + 4, group);
    const float scale = d * number(pair.scale), minimum = least * number(pair.minimum);
    const Bytes bits = block + 16 + group / 2 * 32;
    const int shift = group % 2 * 4;
    for (int i = 0; i < 32; ++i) y[32 * group + i] = scale * number(bits[i] >> shift & 15) - minimum;
  }
}

void q5_k(Bytes block, float* y) {
  const float d = half(block), least = half(block + 2);
  const Bytes high = block + 16;
  for (int group = 0; group < 8; ++group) {
    const auto pair = six_bit_pair(block + 4, group);
    const float scale = d * number(pair.scale), minimum = least * number(pair.minimum);
    const Bytes bits = block + 48 + group / 2 * 32;
    const int shift = group % 2 * 4;
    for (int i = 0; i < 32; ++i)
      y[32 * group + i] = scale * number((bits[i] >> shift & 15) | (high[i] >> group & 1) << 4) - minimum;
  }
}

void q6_k(Bytes block, float* y) {
  const Bytes low = block, high = block + 128, scales = block + 192;
  const float d = half(block + 208);
  for (int group = 0; group < 16; ++group) {
    const float scale = d * signed_byte(scales[group]);
    const int quarter = group % 8 / 2, begin = group % 2 * 16;  // of the 128 numbers that share bytes
    const Bytes bits = low + group / 8 * 64 + quarter % 2 * 32 + begin;
    const Bytes more = high + group / 8 * 32 + begin;
    for (int i = 0; i < 16; ++i)
      y[16 * group + i] = scale *
                          number(((bits[i] >> quarter / 2 * 4 & 15) | (more[i] >> quarter * 2 & 3) << 4) -
                                 32);
  }
}

void iq4_xs(Bytes block, float* y) {
  const float d = half(block);
  const auto high = two_bytes(block + 2);
  for (int group = 0; group < 8; ++group) {
    const int six_bits = (block[4 + group / 2] >> group % 2 * 4 & 15) | (high >> 2 * group & 3) << 4;
    const float scale = d * number(six_bits - 32);
    const Bytes bits = block + 8 + 16 * group;
    for (int i = 0; i < 16; ++i) {
      y[32 * group + i] = scale * number(non_linear[bits[i] & 15]);
      y[32 * group + 16 + i] = scale * number(non_linear[bits[i] >> 4]);
    }
  }
}

void put_half(float x, uint8_t* y) {
  const auto bits = c10::detail::fp16_ieee_from_fp32_value(x);
  y[0] = static_cast<uint8_t>(bits & 255);
  y[1] = static_cast<uint8_t>(bits >> 8);
}

// The number of the largest size, with its sign; the first of several.
float largest(const float* x) {
  float found = x[0];
  for (int i = 1; i < 32; ++i)
    if (std::abs(x[i]) > std::abs(found)) found = x[i];
  return found;
}

void pack_q8_0(const float* x, int64_t count, uint8_t* y) {
  for (int64_t block = 0; block < count; ++block, x += 32, y += 34) {
    const float d = std::abs(largest(x)) / 127, inverse = d == 0 ? 0 : 1 / d;
    put_half(d, y);
    for (int i = 0; i < 32; ++i)
      y[2 + i] = std::bit_cast<uint8_t>(static_cast<int8_t>(std::round(x[i] * inverse)));
  }
}

void pack_q4_0(const float* x, int64_t count, uint8_t* y) {
  for (int64_t block = 0; block < count; ++block, x += 32, y += 18) {
    const float d = largest(x) / -8, inverse = d == 0 ? 0 : 1 / d;
    const auto four_bits = [&](float number) {
      return std::min(15, static_cast<int>(number * inverse + 8.5F));
    };
    put_half(d, y);
    for (int i = 0; i < 16; ++i) y[2 + i] = static_cast<uint8_t>(four_bits(x[i]) | four_bits(x[16 + i]) << 4);
  }
}

template <void (*Expand)(Bytes, float*), int Elements, int Size>
void expand_all(const uint8_t* blocks, int64_t count, float* numbers) {
  for (int64_t i = 0; i < count; ++i) Expand(blocks + i * Size, numbers + i * Elements);
}

template <void (*Expand)(Bytes, float*), int Elements, int Size>
constexpr BlockFormat format(const char* name, uint32_t ggml_type,
                             void (*pack)(const float*, int64_t, uint8_t*) = nullptr) {
  return {name, ggml_type, Elements, Size, expand_all<Expand, Elements, Size>, pack};
}

constexpr BlockFormat formats[] = {
    format<q4_0, 32, 18>("Q4_0", 2, pack_q4_0),
    format<q4_1, 32, 20>("Q4_1", 3),
    format<q5_0, 32, 22>("Q5_0", 6),
    format<q5_1, 32, 24>("Q5_1", 7),
    format<q8_0, 32, 34>("Q8_0", 8, pack_q8_0),
    format<q2_k, 256, 84>("Q2_K", 10),
    format<q3_k, 256, 110>("Q3_K", 11),
    format<q4_k, 256, 144>("Q4_K", 12),
    format<q5_k, 256, 176>("Q5_K", 13),
    format<q6_k, 256, 210>("Q6_K", 14),
    format<iq4_nl, 32, 18>("IQ4_NL", 20),
    format<iq4_xs, 256, 136>("IQ4_XS", 23),
};

}  // namespace

std::span<const BlockFormat> block_formats() { return formats; }

}  // namespace t2v
