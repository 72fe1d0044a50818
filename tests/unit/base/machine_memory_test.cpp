#include "base/machine_memory.h"

#include <gtest/gtest.h>

#include "bytes.h"
#include "paths.h"

namespace t2v {
namespace {

namespace fs = std::filesystem;

TEST(MachineMemory, IsTheLeastOfItsGroups) {
  const test::TemporaryFolder folder;
  const auto groups = folder / "groups", own = folder / "own";
  const auto put = [&](const fs::path& path, const std::string& text) {
    fs::create_directories(path.parent_path());
    test::write_bytes(path, text);
  };
  put(own, "4:memory:/a/b\n3:cpu:/c\n0::/d/e\n");
  const auto all = machine_memory(groups, own);
  EXPECT_GT(all, 0);
  put(groups / "memory/a/b/memory.limit_in_bytes", "9223372036854771712\n");
  put(groups / "memory.max", "max\n");
  EXPECT_EQ(machine_memory(groups, own), all);
  put(groups / "memory/a/memory.limit_in_bytes", "3000000\n");
  EXPECT_EQ(machine_memory(groups, own), 3'000'000);
  put(groups / "d/e/memory.max", "2000000\n");
  EXPECT_EQ(machine_memory(groups, own), 2'000'000);
  put(groups / "c/memory.limit_in_bytes", "1\n");
  EXPECT_EQ(machine_memory(groups, own), 2'000'000);
  EXPECT_EQ(machine_memory(groups, folder / "absent"), all);
}

}  // namespace
}  // namespace t2v
