#include "batch/file_hash.h"

#include <xxhash.h>

#include <array>
#include <cstdio>
#include <memory>
#include <vector>

#include "video/write/output_name.h"

namespace t2v {

namespace fs = std::filesystem;

namespace {

std::string hexadecimal(uint64_t value) {
  char text[17];
  std::snprintf(text, sizeof text, "%016llx", static_cast<unsigned long long>(value));
  return text;
}

// Whether all of the file could be read.
bool add_file(XXH3_state_t* state, const fs::path& path, int64_t& bytes) {
  std::error_code unknown;
  if (!fs::is_regular_file(path, unknown)) return false;
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(
      std::fopen(path.c_str(), "rbe"),
      [](std::FILE* opened) { return opened == nullptr ? 0 : std::fclose(opened); });
  if (!file) return false;
  std::vector<char> chunk(std::size_t{1} << 20);
  while (const auto got = std::fread(chunk.data(), 1, chunk.size(), file.get())) {
    XXH3_64bits_update(state, chunk.data(), got);
    bytes += static_cast<int64_t>(got);
  }
  return std::ferror(file.get()) == 0;
}

}  // namespace

std::optional<FileHash> hash_clip(const fs::path& path, int64_t frames) {
  const std::unique_ptr<XXH3_state_t, XXH_errorcode (*)(XXH3_state_t*)> state(XXH3_createState(),
                                                                              XXH3_freeState);
  XXH3_64bits_reset(state.get());
  FileHash result;
  const auto pattern = parse_image_pattern(path);
  for (int64_t number = 0; number < (pattern ? frames : 1); ++number)
    if (!add_file(state.get(), pattern ? pattern->name_of(static_cast<long>(number)) : path, result.bytes))
      return std::nullopt;
  result.hash = hexadecimal(XXH3_64bits_digest(state.get()));
  return result;
}

bool clip_exists(const fs::path& path) {
  const auto pattern = parse_image_pattern(path);
  std::error_code unknown;
  return fs::exists(pattern ? pattern->name_of(0) : path, unknown);
}

uint64_t hash_number(const std::string& text) { return XXH3_64bits(text.data(), text.size()); }

std::string hash_text(const std::string& text) { return hexadecimal(hash_number(text)); }

}  // namespace t2v
