#include "base/file_ops.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include "base/atomic_file.h"
#include "errors.h"
#include "faulty_files.h"

namespace t2v {
namespace {

namespace fs = std::filesystem;
using test::FaultyFiles;
using test::FileCall;

const std::string content(1000, 'x');

TEST(FileFaults, AWholeFileIsCompleteOrAbsentAfterEveryFault) {
  test::expect_complete_or_absent_after_every_fault(
      [](const fs::path& folder) { write_file_atomically(folder / "file.json", content); });
}

TEST(FileFaults, AFileWrittenInPiecesIsCompleteOrAbsentAfterEveryFault) {
  test::expect_complete_or_absent_after_every_fault([](const fs::path& folder) {
    AtomicFile file(folder / "file.json");
    for (int piece = 0; piece < 3; ++piece) file.write(content.data(), content.size());
    file.commit();
  });
}

TEST(FileFaults, ShortAndInterruptedWritesGoOn) {
  test::expect_same_after_short_and_interrupted_writes(
      [](const fs::path& folder) { write_file_atomically(folder / "file.json", content); });
}

TEST(FileFaults, EveryInterruptedCallGoesOn) {
  for (const auto call : {FileCall::open, FileCall::write, FileCall::fsync, FileCall::close}) {
    const test::TemporaryFolder folder;
    const FaultyFiles fault({call, 1, EINTR});
    write_file_atomically(folder / "file.json", content);
    EXPECT_TRUE((test::files_in(folder.path()) == std::map<std::string, std::string>{{"file.json", content}}))
        << test::name_of(call);
  }
}

TEST(FileFaults, AWriteOfNothingIsAnErrorAndNoEndlessLoop) {
  const FaultyFiles nothing_is_written(0);
  const test::TemporaryFolder folder;
  test::expect_error(ErrorKind::output, {"file.json", std::strerror(EIO)},
                     [&] { write_file_atomically(folder / "file.json", content); });
  EXPECT_TRUE(test::files_in(folder.path()).empty());
}

TEST(FileFaults, AFolderThatMayBeWrittenButNotReadIsNotSynced) {
  const test::TemporaryFolder folder;
  const FaultyFiles fault({FileCall::open, 2, EACCES});  // the second open is that of the folder
  write_file_atomically(folder / "file.json", content);
  EXPECT_EQ(test::bytes_of(folder / "file.json"), content);
}

TEST(FileFaults, ATemporaryNameThatAKilledRunLeftIsPassedOver) {
  const test::TemporaryFolder folder;
  const FaultyFiles taken({FileCall::open, 1, EEXIST});
  write_file_atomically(folder / "file.json", content);
  EXPECT_EQ(test::files_in(folder.path()), (std::map<std::string, std::string>{{"file.json", content}}));
}

TEST(FileFaults, TheLongestNameThatAFolderTakesIsWritten) {
  const test::TemporaryFolder folder;
  const std::string name = std::string(251, 'n') + ".mp4";
  write_file_atomically(folder / name, content);
  EXPECT_EQ(test::files_in(folder.path()), (std::map<std::string, std::string>{{name, content}}));
}

}  // namespace
}  // namespace t2v
