#include "base/atomic_file.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fstream>
#include <sstream>

#include "errors.h"
#include "paths.h"

namespace t2v {
namespace {

namespace fs = std::filesystem;

std::string contents(const fs::path& path) {
  std::ostringstream text;
  text << std::ifstream(path, std::ios::binary).rdbuf();
  return text.str();
}

std::size_t entries(const fs::path& folder) {
  return static_cast<std::size_t>(std::distance(fs::directory_iterator(folder), fs::directory_iterator()));
}

TEST(AtomicFile, IsAbsentUntilCommitted) {
  const test::TemporaryFolder folder;
  AtomicFile file(folder / "clip.mp4");
  std::ofstream(file.temporary_path()) << "frames";
  EXPECT_FALSE(fs::exists(folder / "clip.mp4"));
  EXPECT_EQ(file.temporary_path().parent_path(), folder.path());
  EXPECT_EQ(file.temporary_path().extension(), ".mp4");
  file.commit();
  EXPECT_EQ(contents(folder / "clip.mp4"), "frames");
  EXPECT_EQ(entries(folder.path()), 1U);
}

TEST(AtomicFile, LeavesNothingWhenAbandoned) {
  const test::TemporaryFolder folder;
  std::ofstream(folder / "clip.mp4") << "the clip before";
  {
    const AtomicFile file(folder / "clip.mp4");
    std::ofstream(file.temporary_path()) << "half a clip";
  }
  EXPECT_EQ(contents(folder / "clip.mp4"), "the clip before");
  EXPECT_EQ(entries(folder.path()), 1U);
}

TEST(AtomicFile, GivesTwoWritersOfOneNameTheirOwnTemporaryFile) {
  const test::TemporaryFolder folder;
  const AtomicFile first(folder / "clip.mp4");
  const AtomicFile second(folder / "clip.mp4");
  EXPECT_NE(first.temporary_path(), second.temporary_path());
}

TEST(AtomicFile, HasThePermissionsThatTheUmaskLeaves) {
  const test::TemporaryFolder folder;
  for (const mode_t mask : {mode_t{022}, mode_t{077}, mode_t{002}}) {
    const mode_t before = ::umask(mask);
    write_file_atomically(folder / "file.json", "{}");
    ::umask(before);
    struct stat status {};
    ASSERT_EQ(::stat((folder / "file.json").c_str(), &status), 0);
    EXPECT_EQ(status.st_mode & 0777U, 0666U & ~mask);
  }
}

TEST(AtomicFile, SaysWhichFileCannotBeWritten) {
  const test::TemporaryFolder folder;
  test::expect_error(ErrorKind::output, {(folder / "absent/clip.mp4").string(), "No such file"},
                     [&] { const AtomicFile file(folder / "absent/clip.mp4"); });
}

TEST(AtomicFile, RemovesItsTemporaryFileWhenTheNameIsTaken) {
  const test::TemporaryFolder folder;
  fs::create_directory(folder / "clip.mp4");
  test::expect_error(ErrorKind::output, {(folder / "clip.mp4").string()},
                     [&] { write_file_atomically(folder / "clip.mp4", "frames"); });
  EXPECT_EQ(entries(folder.path()), 1U);
}

TEST(AtomicFile, IsRemovedBySecondSignal) {
  const test::TemporaryFolder folder;
  const AtomicFile file(folder / "clip.mp4");
  remove_temporary_files_from_signal_handler();
  EXPECT_EQ(entries(folder.path()), 0U);
}

TEST(CheckWritableFolder, LeavesNothingInTheFolder) {
  const test::TemporaryFolder folder;
  check_writable_folder(folder.path());
  EXPECT_EQ(entries(folder.path()), 0U);
}

TEST(CheckWritableFolder, RefusesAMissingFolderAndAFile) {
  const test::TemporaryFolder folder;
  std::ofstream(folder / "file") << "x";
  for (const char* name : {"absent", "file"})
    test::expect_error(ErrorKind::output, {(folder / name).string(), "not a folder"},
                       [&] { check_writable_folder(folder / name); });
}

TEST(AtomicFile, ReplacesNoPipe) {
  const test::TemporaryFolder folder;
  const auto pipe = folder / "clip.mp4";
  ASSERT_EQ(::mkfifo(pipe.c_str(), 0600), 0);
  test::expect_error(ErrorKind::output, {"clip.mp4: is a device or pipe"},
                     [&] { const AtomicFile file(pipe); });
  EXPECT_EQ(entries(folder.path()), 1U);
  EXPECT_TRUE(fs::is_fifo(pipe));
}

}  // namespace
}  // namespace t2v
