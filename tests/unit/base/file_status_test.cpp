#include "base/file_status.h"

#include <gtest/gtest.h>

#include <fstream>

#include "errors.h"
#include "paths.h"

namespace t2v {
namespace {

namespace fs = std::filesystem;

TEST(FileStatus, TellsWhatIsThere) {
  const test::TemporaryFolder folder;
  std::ofstream(folder / "file") << "x";
  fs::create_symlink("nowhere", folder / "dangling");
  EXPECT_TRUE(is_there(folder / "file"));
  EXPECT_FALSE(is_folder(folder / "file"));
  EXPECT_TRUE(is_folder(folder.path()));
  EXPECT_FALSE(is_there(folder / "absent"));
  EXPECT_FALSE(is_there(folder / "file" / "below"));
  EXPECT_FALSE(is_there(folder / "dangling"));
  EXPECT_FALSE(is_there(""));
}

TEST(FileStatus, ThrowsTheCallersKindWhereNothingCanBeTold) {
  const test::TemporaryFolder folder;
  fs::create_symlink("loop", folder / "loop");
  test::expect_error(ErrorKind::output, {(folder / "loop").string(), "cannot be read", "symbolic links"},
                     [&] { is_there(folder / "loop", ErrorKind::output); });
  test::expect_error(ErrorKind::bad_input, {"cannot be read", "too long"},
                     [&] { is_folder(folder / std::string(300, 'a')); });
}

}  // namespace
}  // namespace t2v
