// Folders that are taken away again unless what they were made for succeeds.
#pragma once

#include <filesystem>
#include <vector>

namespace t2v {

class NewFolders {
 public:
  NewFolders() = default;
  // Removes those that create() made and that are still empty, unless keep() was called.
  ~NewFolders();
  NewFolders(const NewFolders&) = delete;
  NewFolders& operator=(const NewFolders&) = delete;

  // With all folders above it. Throws Error{output}, Error{usage} for a name that is too long.
  void create(const std::filesystem::path& folder);
  void keep() { made_.clear(); }

 private:
  std::vector<std::filesystem::path> made_;
};

}  // namespace t2v
