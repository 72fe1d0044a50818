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

TEST(AtomicFile, WritesWhereALinkLeadsAndLeavesTheLink) {
  const test::TemporaryFolder folder;
  fs::create_directory(folder / "disk");
  std::ofstream(folder / "disk/old.mp4") << "the clip before";
  const std::pair<const char*, fs::path> links[] = {{"absolute.mp4", folder / "disk/old.mp4"},
                                                    {"relative.mp4", "disk/old.mp4"},
                                                    {"chain.mp4", "relative.mp4"},
                                                    {"dangling.mp4", "disk/new.mp4"}};
  for (const auto& [name, target] : links) {
    fs::create_symlink(target, folder / name);
    check_writable_file(folder / name);
    AtomicFile file(folder / name);
    EXPECT_TRUE(fs::equivalent(file.temporary_path().parent_path(), folder / "disk")) << name;
    file.write(name, 8);
    file.commit();
    EXPECT_TRUE(fs::is_symlink(folder / name)) << name;
    EXPECT_EQ(contents(folder / name), std::string(name, 8));
  }
  EXPECT_EQ(contents(folder / "disk/old.mp4"), "chain.mp");
  EXPECT_EQ(contents(folder / "disk/new.mp4"), "dangling");
  EXPECT_EQ(entries(folder / "disk"), 2U);
}

TEST(AtomicFile, RefusesLinksThatLeadNowhere) {
  const test::TemporaryFolder folder;
  fs::create_symlink("b.mp4", folder / "a.mp4");
  fs::create_symlink("a.mp4", folder / "b.mp4");
  fs::create_symlink("absent/x.mp4", folder / "c.mp4");
  fs::create_symlink("/dev/null", folder / "d.mp4");
  for (const auto& [name, reason] :
       {std::pair{"a.mp4", "symbolic links"}, {"c.mp4", "absent"}, {"d.mp4", "d.mp4: is a device or pipe"}}) {
    test::expect_error(ErrorKind::output, {reason}, [&] { check_writable_file(folder / name); });
    if (std::string(name) != "c.mp4") {
      test::expect_error(ErrorKind::output, {reason}, [&] { const AtomicFile file(folder / name); });
    }
    EXPECT_TRUE(fs::is_symlink(folder / name));
  }
  EXPECT_TRUE(fs::is_character_file("/dev/null"));
}

TEST(CheckWritableFile, RefusesWhatNoFileCanReplace) {
  const test::TemporaryFolder folder;
  ASSERT_EQ(::mkfifo((folder / "pipe.mp4").c_str(), 0600), 0);
  fs::create_directory(folder / "folder.mp4");
  test::expect_error(ErrorKind::output, {"pipe.mp4: is a device or pipe"},
                     [&] { check_writable_file(folder / "pipe.mp4"); });
  test::expect_error(ErrorKind::output, {"folder.mp4: is a folder"},
                     [&] { check_writable_file(folder / "folder.mp4"); });
  EXPECT_EQ(entries(folder.path()), 2U);
}

TEST(CheckNameLength, CountsTheBytesOfEveryName) {
  std::string umlauts;
  for (int i = 0; i < 127; ++i) umlauts += "\xc3\xa4";
  for (const auto& fine :
       {std::string(255, 'a'), umlauts, std::string(255, 'a') + "/" + std::string(255, 'b')})
    check_name_length(fine);
  for (const auto& name : {std::string(256, 'a'), umlauts + "\xc3\xa4", std::string(256, 'a') + "/b.mp4"})
    test::expect_error(ErrorKind::usage, {name, "256 bytes", "255"}, [&] { check_name_length(name); });
}

TEST(CheckNameLength, CountsThePathOfTheTemporaryFile) {
  const test::TemporaryFolder folder;
  auto path = folder.path();
  while (path.string().size() < 3800) path /= std::string(200, 'd');
  path /= std::string(4090 - path.string().size(), 'd') + ".mp4";  // would do if it were written in place
  test::expect_error(ErrorKind::usage, {"temporary file", "4085"}, [&] { check_name_length(path); });
  path.replace_filename(std::string(100, 'c') + ".mp4");
  check_name_length(path);
  fs::create_directories(path.parent_path());
  write_file_atomically(path, "frames");
  EXPECT_EQ(contents(path), "frames");
}

TEST(AtomicFile, WritesNamesOfAllTheBytesThatANameMayHave) {
  const test::TemporaryFolder folder;
  for (std::size_t bytes = 240; bytes <= 255; ++bytes) {
    const auto name = std::string(bytes - 4, 'a') + ".mp4";
    write_file_atomically(folder / name, name);
    EXPECT_EQ(contents(folder / name), name);
  }
  test::expect_error(ErrorKind::usage, {"256 bytes"},
                     [&] { const AtomicFile file(folder / (std::string(252, 'a') + ".mp4")); });
  EXPECT_EQ(entries(folder.path()), 16U);
}

}  // namespace
}  // namespace t2v
