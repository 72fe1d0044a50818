// Size and hash of a finished clip, by which a later run knows that it is whole.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

namespace t2v {

struct FileHash {
  int64_t bytes = 0;
  std::string hash;  // XXH3-64, 16 hexadecimal digits
  friend bool operator==(const FileHash&, const FileHash&) = default;
};

// Of one file, or of all the images of a sequence (frames-%05d.png with `frames` images) one after another.
// Nothing when a file is missing or cannot be read, so that a clip without its file counts as not made.
std::optional<FileHash> hash_clip(const std::filesystem::path& path, int64_t frames);

// Whether there is such a file, or the first image of such a sequence.
bool clip_exists(const std::filesystem::path& path);

std::string hash_text(const std::string& text);
uint64_t hash_number(const std::string& text);

}  // namespace t2v
