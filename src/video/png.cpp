// PNG by hand, for the drawings inside the program: they are read where there is no FFmpeg, too
// (docs/gpu.md). Sources: RFC 2083 (PNG), RFC 1950 (zlib), RFC 1951 (deflate).
#include "video/png.h"

#include <algorithm>
#include <array>
#include <cstdlib>
#include <cstring>

#include "t2v/error.h"

namespace t2v {

namespace {

[[noreturn]] void refuse(const char* what) {
  throw Error(ErrorKind::bad_input, std::string("PNG image: cannot be read (") + what + ")");
}

// Bits, the lowest of each byte first.
class Bits {
 public:
  Bits(const uint8_t* data, std::size_t size) : data_(data), size_(size) {}
  int next() {
    if (at_ / 8 >= size_) refuse("it ends too early");
    const int bit = data_[at_ / 8] >> (at_ % 8) & 1;
    ++at_;
    return bit;
  }
  int take(int count) {
    int value = 0;
    for (int i = 0; i < count; ++i) value |= next() << i;
    return value;
  }
  void to_byte() { at_ = (at_ + 7) / 8 * 8; }

 private:
  const uint8_t* data_;
  std::size_t size_, at_ = 0;
};

// A canonical Huffman code: how many codes of each length there are, and their symbols in order.
class Code {
 public:
  explicit Code(const std::vector<int>& lengths) {
    for (const int length : lengths) ++counts_[static_cast<std::size_t>(length)];
    counts_[0] = 0;
    for (int length = 1; length < 16; ++length)
      for (std::size_t symbol = 0; symbol < lengths.size(); ++symbol)
        if (lengths[symbol] == length) symbols_.push_back(static_cast<int>(symbol));
  }
  int next(Bits& bits) const {
    int code = 0, first = 0, index = 0;
    for (std::size_t length = 1; length < 16; ++length) {
      code |= bits.next();
      const int count = counts_[length];
      if (code - first < count) return symbols_[static_cast<std::size_t>(index + code - first)];
      index += count;
      first = (first + count) << 1;
      code <<= 1;
    }
    refuse("no code has those bits");
  }

 private:
  std::array<int, 16> counts_{};
  std::vector<int> symbols_;
};

struct Codes {
  Code literals, distances;
};

Codes fixed_codes() {
  std::vector<int> lengths(288, 8);
  std::fill(lengths.begin() + 144, lengths.begin() + 256, 9);
  std::fill(lengths.begin() + 256, lengths.begin() + 280, 7);
  return {Code(lengths), Code(std::vector<int>(30, 5))};
}

Codes read_codes(Bits& bits) {
  constexpr std::array<std::size_t, 19> order = {16, 17, 18, 0, 8,  7, 9,  6, 10, 5,
                                                 11, 4,  12, 3, 13, 2, 14, 1, 15};
  const auto literals = static_cast<std::size_t>(257 + bits.take(5)),
             distances = static_cast<std::size_t>(1 + bits.take(5)),
             given = static_cast<std::size_t>(4 + bits.take(4));
  std::vector<int> of_lengths(19, 0);
  for (std::size_t i = 0; i < given; ++i) of_lengths[order[i]] = bits.take(3);
  const Code code(of_lengths);
  std::vector<int> lengths;
  while (lengths.size() < literals + distances) {
    const int symbol = code.next(bits);
    if (symbol < 16) {
      lengths.push_back(symbol);
      continue;
    }
    if (symbol == 16 && lengths.empty()) refuse("a length repeats nothing");
    const int repeated = symbol == 16 ? lengths.back() : 0;
    const int times = symbol == 16 ? 3 + bits.take(2) : symbol == 17 ? 3 + bits.take(3) : 11 + bits.take(7);
    lengths.insert(lengths.end(), static_cast<std::size_t>(times), repeated);
  }
  if (lengths.size() != literals + distances) refuse("there are too many lengths");
  const auto middle = lengths.begin() + static_cast<std::ptrdiff_t>(literals);
  return {Code({lengths.begin(), middle}), Code({middle, lengths.end()})};
}

void inflate_block(Bits& bits, const Codes& codes, std::size_t most, std::vector<uint8_t>& out) {
  constexpr std::array<int, 29> length_base = {3,  4,  5,  6,   7,   8,   9,   10,  11, 13,
                                               15, 17, 19, 23,  27,  31,  35,  43,  51, 59,
                                               67, 83, 99, 115, 131, 163, 195, 227, 258};
  constexpr std::array<int, 29> length_bits = {0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2,
                                               2, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 0};
  for (;;) {
    const int symbol = codes.literals.next(bits);
    if (symbol == 256) return;
    if (symbol < 256) {
      out.push_back(static_cast<uint8_t>(symbol));
    } else {
      const auto kind = static_cast<std::size_t>(symbol - 257);
      if (kind >= length_base.size()) refuse("there is no such length");
      const int length = length_base[kind] + bits.take(length_bits[kind]);
      const int far = codes.distances.next(bits);
      if (far >= 30) refuse("there is no such distance");
      const int extra = far < 2 ? 0 : far / 2 - 1;
      const int base = far < 2 ? 1 + far : 1 + ((2 + far % 2) << extra);
      const auto distance = static_cast<std::size_t>(base + bits.take(extra));
      if (distance > out.size()) refuse("a copy begins before the data");
      for (int i = 0; i < length; ++i) out.push_back(out[out.size() - distance]);
    }
    if (out.size() > most) refuse("it holds more than its size says");
  }
}

std::vector<uint8_t> inflate(const std::vector<uint8_t>& zlib, std::size_t size) {
  if (zlib.size() < 2 || (zlib[0] & 15) != 8 || (zlib[1] & 32) != 0) refuse("its data are not deflated");
  Bits bits(zlib.data() + 2, zlib.size() - 2);
  std::vector<uint8_t> out;
  out.reserve(size);
  for (bool last = false; !last;) {
    last = bits.next() == 1;
    const int kind = bits.take(2);
    if (kind == 0) {
      bits.to_byte();
      const int length = bits.take(16);
      bits.take(16);
      for (int i = 0; i < length; ++i) out.push_back(static_cast<uint8_t>(bits.take(8)));
    } else if (kind == 1) {
      inflate_block(bits, fixed_codes(), size, out);
    } else if (kind == 2) {
      inflate_block(bits, read_codes(bits), size, out);
    } else {
      refuse("there is no such block");
    }
  }
  if (out.size() != size) refuse("its data have another size than it says");
  return out;
}

// What a filter adds to a byte. left, up, corner: bytes of the pixels there.
int predicted(int filter, int left, int up, int corner) {
  switch (filter) {
    case 0:
      return 0;
    case 1:
      return left;
    case 2:
      return up;
    case 3:
      return (left + up) / 2;
    case 4: {
      const int of_left = std::abs(up - corner), of_up = std::abs(left - corner),
                of_corner = std::abs(left + up - 2 * corner);
      return of_left <= of_up && of_left <= of_corner ? left : of_up <= of_corner ? up : corner;
    }
    default:
      refuse("there is no such filter");
  }
}

uint32_t number_at(const uint8_t* bytes) {
  return static_cast<uint32_t>(bytes[0]) << 24 | static_cast<uint32_t>(bytes[1]) << 16 |
         static_cast<uint32_t>(bytes[2]) << 8 | bytes[3];
}

}  // namespace

RgbaImage decode_png(const uint8_t* data, std::size_t size) {
  constexpr uint8_t signature[8] = {137, 80, 78, 71, 13, 10, 26, 10};
  if (size < 33 || std::memcmp(data, signature, 8) != 0) refuse("it is no PNG");
  RgbaImage image;
  std::vector<uint8_t> zlib;
  for (std::size_t at = 8;;) {
    if (size - at < 12 || number_at(data + at) > size - at - 12) refuse("it ends too early");
    const std::size_t length = number_at(data + at);
    const auto* type = data + at + 4;
    const auto* content = data + at + 8;
    if (std::memcmp(type, "IHDR", 4) == 0) {
      const auto width = number_at(content), height = number_at(content + 4);
      const bool rgba = length == 13 && content[8] == 8 && content[9] == 6 && content[12] == 0;
      if (!rgba || width < 1 || height < 1 || width > 4096 || height > 4096)
        throw Error(ErrorKind::bad_input, "PNG image: expected 8-bit RGBA, found another format");
      image.width = static_cast<int>(width), image.height = static_cast<int>(height);
    } else if (std::memcmp(type, "IDAT", 4) == 0) {
      zlib.insert(zlib.end(), content, content + length);
    } else if (std::memcmp(type, "IEND", 4) == 0) {
      break;
    }
    at += length + 12;
  }
  const auto row = static_cast<std::size_t>(image.width) * 4, rows = static_cast<std::size_t>(image.height);
  const auto filtered = inflate(zlib, rows * (row + 1));
  image.rgba.resize(row * rows);
  for (std::size_t y = 0; y < rows; ++y) {
    const auto* from = filtered.data() + y * (row + 1);
    auto* to = image.rgba.data() + y * row;
    for (std::size_t x = 0; x < row; ++x) {
      const int left = x < 4 ? 0 : to[x - 4], up = y == 0 ? 0 : (to - row)[x],
                corner = x < 4 || y == 0 ? 0 : (to - row)[x - 4];
      to[x] = static_cast<uint8_t>(from[1 + x] + predicted(from[0], left, up, corner));
    }
  }
  return image;
}

}  // namespace t2v
