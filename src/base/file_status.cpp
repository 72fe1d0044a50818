#include "base/file_status.h"

namespace t2v {

namespace fs = std::filesystem;

namespace {

fs::file_type type_of(const fs::path& path, ErrorKind kind) {
  std::error_code failed;
  const auto type = fs::status(path, failed).type();
  if (type == fs::file_type::none)
    throw Error(kind, path.string() + ": cannot be read (" + failed.message() + ")");
  return type;
}

}  // namespace

bool is_there(const fs::path& path, ErrorKind kind) {
  return type_of(path, kind) != fs::file_type::not_found;
}

bool is_folder(const fs::path& path, ErrorKind kind) {
  return type_of(path, kind) == fs::file_type::directory;
}

}  // namespace t2v
