// Where tests find things, and a temporary folder that removes itself.
#pragma once

#include <stdlib.h>

#include <filesystem>
#include <string>

namespace t2v::test {

inline std::filesystem::path source_dir() { return T2V_SOURCE_DIR; }
inline std::filesystem::path golden(const std::string& name) {
  return source_dir() / "tests" / "golden" / name;
}
inline std::filesystem::path shipped_model(const std::string& name = "world-128") {
  return source_dir() / "models" / name;
}
// A shipped model by its name, or "tiny": random weights with the architecture of Wan 2.1.
inline std::filesystem::path model_named(const std::string& name) {
  return name == "tiny" ? golden("wan-tiny") : shipped_model(name);
}
inline std::filesystem::path binary() { return T2V_BINARY; }

class TemporaryFolder {
 public:
  TemporaryFolder() {
    auto pattern = (std::filesystem::temp_directory_path() / "t2v-test-XXXXXX").string();
    path_ = ::mkdtemp(pattern.data());
  }
  ~TemporaryFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;

  const std::filesystem::path& path() const { return path_; }
  std::filesystem::path operator/(const std::string& name) const { return path_ / name; }

 private:
  std::filesystem::path path_;
};

}  // namespace t2v::test
