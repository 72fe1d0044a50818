#include "video/write/file_end.h"

#include <bit>
#include <cstdint>
#include <string_view>

namespace t2v {

namespace {

// Each of these returns the size that the file should have, or nothing.
using Size = std::optional<int64_t>;

constexpr uint32_t tag(const char (&name)[5]) {
  uint32_t value = 0;
  for (int i = 0; i < 4; ++i) value = value << 8 | static_cast<uint8_t>(name[i]);
  return value;
}

// Boxes of other types may be padding or a camera's own remarks; what their sizes say is not relied upon.
Size size_by_boxes(AVIOContext& io, int64_t file_size) {
  for (int64_t at = 0; at + 8 <= file_size;) {
    avio_seek(&io, at, SEEK_SET);
    auto size = static_cast<int64_t>(avio_rb32(&io));
    const auto type = avio_rb32(&io);
    if (size == 1) size = static_cast<int64_t>(avio_rb64(&io));
    if (size < 8) return std::nullopt;  // 0: to the end of the file
    if (size > file_size - at) {
      const bool holds_pictures = type == tag("mdat") || type == tag("moov") || type == tag("moof");
      return holds_pictures && size <= INT64_MAX - at ? Size(at + size) : std::nullopt;
    }
    at += size;
  }
  return std::nullopt;
}

// A file of more than a gigabyte is several RIFFs in a row. While it is written the size is 0 or the largest.
Size size_by_riff(AVIOContext& io, int64_t file_size) {
  for (int64_t at = 0; at + 8 <= file_size;) {
    avio_seek(&io, at, SEEK_SET);
    if (avio_rb32(&io) != tag("RIFF")) return std::nullopt;
    const auto size = avio_rl32(&io);
    if (size == 0 || size == UINT32_MAX) return std::nullopt;
    at += 8 + static_cast<int64_t>(size);
    if (at > file_size) return at;
    at += size % 2;
  }
  return std::nullopt;
}

// EBML's size of variable length; nothing for "unknown" (all bits one) and for nonsense.
Size read_ebml_size(AVIOContext& io) {
  const auto first = static_cast<uint8_t>(avio_r8(&io));
  const int length = std::countl_zero(first) + 1;
  if (length > 8) return std::nullopt;
  uint64_t value = first & ((1u << (8 - length)) - 1);
  for (int i = 1; i < length; ++i) value = value << 8 | static_cast<uint8_t>(avio_r8(&io));
  const auto unknown = (uint64_t{1} << (7 * length)) - 1;
  return value == unknown ? std::nullopt : Size(static_cast<int64_t>(value));
}

// The Segment's own size, or in a live recording, which knows none, that of the last Cluster.
Size size_by_ebml(AVIOContext& io, int64_t file_size) {
  constexpr uint32_t ebml = 0x1A45DFA3, segment = 0x18538067, cluster = 0x1F43B675;
  if (avio_rb32(&io) != ebml) return std::nullopt;
  const auto header = read_ebml_size(io);
  if (!header || *header > file_size) return std::nullopt;
  avio_skip(&io, *header);
  if (avio_rb32(&io) != segment) return std::nullopt;
  const auto body = read_ebml_size(io);
  if (body) return avio_tell(&io) + *body;
  for (;;) {
    const auto first = static_cast<uint8_t>(avio_r8(&io));
    uint32_t id = first;
    for (int more = std::countl_zero(first); more > 0 && more < 4; --more)
      id = id << 8 | static_cast<uint8_t>(avio_r8(&io));
    const auto size = read_ebml_size(io);
    if (avio_feof(&io) != 0 || !size) return std::nullopt;
    const auto end = avio_tell(&io) + *size;
    if (end > file_size) return id == cluster ? Size(end) : std::nullopt;
    avio_seek(&io, end, SEEK_SET);
  }
}

// Whether the blocks of a GIF go on to its trailer, or to something that is no block: not ours to judge.
bool gif_ends(AVIOContext& io) {
  bool cut = false;
  const auto skip = [&](int64_t bytes) { cut = cut || avio_skip(&io, bytes) < 0; };
  const auto skip_table = [&](int flags) {
    if ((flags & 0x80) != 0) skip(3 << ((flags & 7) + 1));
  };
  skip(10);  // signature, width, height
  const int flags = avio_r8(&io);
  skip(2);  // background, pixel's shape
  skip_table(flags);
  while (!cut) {
    const int block = avio_r8(&io);
    if (avio_feof(&io) != 0) return false;
    if (block == 0x21) {
      skip(1);  // kind of extension
    } else if (block == 0x2C) {
      skip(8);  // place, width, height
      skip_table(avio_r8(&io));
      skip(1);  // code size
    } else {
      return true;
    }
    for (int size = avio_r8(&io); size != 0 && !cut; size = avio_r8(&io)) skip(size);
  }
  return false;
}

bool png_ends(AVIOContext& io, int64_t file_size) {
  for (int64_t at = 8; at + 12 <= file_size;) {
    avio_seek(&io, at, SEEK_SET);
    const int64_t size = avio_rb32(&io);
    if (avio_rb32(&io) == tag("IEND")) return true;
    at += 12 + size;
  }
  return false;
}

}  // namespace

std::optional<std::string> missing_end(AVIOContext& io, const AVInputFormat& format) {
  const std::string_view name = format.name;
  const int64_t file_size = avio_size(&io);
  Size stated;
  bool ends = true;
  avio_seek(&io, 0, SEEK_SET);
  if (name.starts_with("mov,")) stated = size_by_boxes(io, file_size);
  if (name == "avi" || name == "webp_pipe") stated = size_by_riff(io, file_size);
  if (name.starts_with("matroska")) stated = size_by_ebml(io, file_size);
  if (name == "gif") ends = gif_ends(io);
  if (name == "png_pipe" || name == "apng") ends = png_ends(io, file_size);
  avio_seek(&io, 0, SEEK_SET);
  if (stated && *stated > file_size)
    return "it has " + std::to_string(file_size) + " of " + std::to_string(*stated) + " bytes";
  if (!ends) return "it has " + std::to_string(file_size) + " bytes and does not come to its last block";
  return std::nullopt;
}

}  // namespace t2v
