#include "base/mapped_file.h"

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/atomic_file.h"
#include "bytes.h"
#include "errors.h"
#include "paths.h"

namespace t2v {
namespace {

TEST(MappedFile, HoldsTheBytesOfTheFile) {
  const test::TemporaryFolder folder;
  test::write_bytes(folder / "x", "weights");
  const MappedFile file(folder / "x");
  EXPECT_EQ(std::string(reinterpret_cast<const char*>(file.bytes()), file.size()), "weights");
}

TEST(MappedFile, RefusesWhatIsNoFileWithoutWaiting) {
  const test::TemporaryFolder folder;
  ASSERT_EQ(::mkfifo((folder / "pipe").c_str(), 0600), 0);
  for (const auto& path : {folder / "pipe", folder.path()})
    test::expect_error(ErrorKind::bad_input, {path.string(), "not a regular file"},
                       [&] { const MappedFile file(path); });
  test::expect_error(ErrorKind::bad_input, {"absent", "No such file"},
                     [&] { const MappedFile file(folder / "absent"); });
}

// Touches what `folder`/x held before it was cut, in this process, with the handler installed.
void read_beyond_the_end(const test::TemporaryFolder& folder) {
  install_mapped_file_handler();
  const AtomicFile unfinished(folder / "clip.mp4");
  const MappedFile file(folder / "x");
  ::truncate((folder / "x").c_str(), 1);
  volatile int sum = 0;
  for (std::size_t i = 0; i < file.size(); i += 512) sum = sum + static_cast<int>(file.bytes()[i]);
}

TEST(MappedFileDeathTest, AFileThatShrinksEndsTheProgramAsABadInputFile) {
  ::testing::FLAGS_gtest_death_test_style = "threadsafe";
  const test::TemporaryFolder folder;
  test::write_bytes(folder / "x", std::string(100'000, 'x'));
  EXPECT_EXIT(read_beyond_the_end(folder), ::testing::ExitedWithCode(3),
              "/x: became unreadable while it was in use");
  for (const auto& entry : std::filesystem::directory_iterator(folder.path()))
    EXPECT_EQ(entry.path().filename(), "x");
}

// A page beyond the end of a file that MappedFile does not know.
void read_beyond_the_end_of_another_mapping() {
  install_mapped_file_handler();
  const test::TemporaryFolder folder;
  test::write_bytes(folder / "x", std::string(100'000, 'x'));
  const MappedFile known(folder / "x");
  const int empty = ::memfd_create("empty", 0);
  const auto* bytes = static_cast<const volatile char*>(
      ::mmap(nullptr, 4096, PROT_READ, MAP_SHARED, empty, 0));
  [[maybe_unused]] const char byte = *bytes;
}

TEST(MappedFileDeathTest, AnyOtherBusErrorKillsAsUsual) {
  ::testing::FLAGS_gtest_death_test_style = "threadsafe";
  EXPECT_EXIT(read_beyond_the_end_of_another_mapping(), ::testing::KilledBySignal(SIGBUS), "");
}

}  // namespace
}  // namespace t2v
