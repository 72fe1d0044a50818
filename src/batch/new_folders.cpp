#include "batch/new_folders.h"

#include <algorithm>

#include "base/atomic_file.h"
#include "t2v/error.h"

namespace t2v {

namespace fs = std::filesystem;

NewFolders::~NewFolders() {
  std::error_code ignored;
  std::for_each(made_.rbegin(), made_.rend(), [&](const fs::path& folder) { fs::remove(folder, ignored); });
}

void NewFolders::create(const fs::path& folder) {
  check_name_length(folder);
  fs::path path;
  for (const auto& part : folder.lexically_normal()) {
    path /= part;
    std::error_code failed, unknown;
    if (fs::create_directory(path, failed)) made_.push_back(path);
    // Another process may have made it meanwhile.
    if (failed && !fs::exists(path, unknown))
      throw Error(ErrorKind::output,
                  path.string() + ": the folder cannot be created (" + failed.message() + ")");
    if (!fs::is_directory(path, unknown)) throw Error(ErrorKind::output, path.string() + ": is no folder");
  }
}

}  // namespace t2v
