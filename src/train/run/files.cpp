#include "train/run/files.h"

#include "t2v/error.h"

namespace t2v {

namespace fs = std::filesystem;

bool is_absent(const fs::path& path) {
  std::error_code failed;
  return fs::status(path, failed).type() == fs::file_type::not_found;
}

void make_folder(const fs::path& folder) {
  std::error_code failed;
  fs::create_directories(folder, failed);
  if (failed)
    throw Error(ErrorKind::output, folder.string() + ": cannot be created (" + failed.message() + ")");
}

}  // namespace t2v
