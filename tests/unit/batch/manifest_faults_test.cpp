// The manifest on a disk that fails: after every fault it opens again, and says of each item what was true
// before the call that failed or what that call was to make true.
#include <gtest/gtest.h>

#include <map>

#include "batch/manifest.h"
#include "faulty_disk.h"
#include "paths.h"
#include "t2v/error.h"

namespace t2v {
namespace {

using test::DiskCall;
using test::FaultyDisk;

ManifestRow row(const std::string& id) {
  ManifestRow r;
  r.id = id;
  r.prompt = "a red circle";
  r.settings = "{}";
  r.settings_hash = "hash";
  r.file = id + ".mp4";
  return r;
}

// id → state, as the file says.
std::map<std::string, std::string> states(const std::filesystem::path& folder) {
  std::map<std::string, std::string> all;
  Manifest manifest(folder, {});
  for (const auto& r : manifest.rows()) all[r.id] = item_state_name(r.state);
  return all;
}

// A batch of two items, one call after the other; `done` counts the calls that came back.
void run_batch_of_two(const std::filesystem::path& folder, int& done) {
  Manifest manifest(folder, {});
  ++done;
  manifest.enter({row("a"), row("b")}, {});
  ++done;
  manifest.start("a");
  ++done;
  manifest.finish("a", {.bytes = 5, .hash = "h", .frames = 1});
  ++done;
  manifest.start("b");
  ++done;
  manifest.fail("b", "no memory", 5);
  ++done;
}

// What another run finds after so many of these calls; items left running are pending for it.
std::map<std::string, std::string> expected(int done) {
  if (done < 2) return {};
  if (done < 4) return {{"a", "pending"}, {"b", "pending"}};
  return {{"a", "done"}, {"b", done < 6 ? "pending" : "failed"}};
}

void prepare(const test::TemporaryFolder& folder) {
  std::filesystem::create_directories(manifest_path(folder.path(), {}).parent_path());
}

TEST(ManifestFaults, NothingFinishedIsLostAfterEveryFault) {
  long counts[5] = {};
  {
    const test::TemporaryFolder folder;
    prepare(folder);
    const FaultyDisk none;
    int done = 0;
    run_batch_of_two(folder.path(), done);
    for (int call = 0; call < 5; ++call) counts[call] = FaultyDisk::calls(static_cast<DiskCall>(call));
  }
  ASSERT_GT(counts[static_cast<int>(DiskCall::write)], 10);
  ASSERT_GT(counts[static_cast<int>(DiskCall::sync)], 5);
  int errors = 0;
  for (const bool for_good : {false, true})
    for (const auto& [call, code] :
         std::vector<std::pair<DiskCall, int>>{{DiskCall::open, SQLITE_CANTOPEN},
                                               {DiskCall::write, SQLITE_FULL},
                                               {DiskCall::write, SQLITE_IOERR_WRITE},
                                               {DiskCall::sync, SQLITE_IOERR_FSYNC},
                                               {DiskCall::truncate, SQLITE_IOERR_TRUNCATE},
                                               {DiskCall::remove, SQLITE_IOERR_DELETE}})
      for (long nth = 1; nth <= counts[static_cast<int>(call)]; ++nth) {
        SCOPED_TRACE("call " + std::to_string(static_cast<int>(call)) + ", " + std::to_string(nth) +
                     ", code " + std::to_string(code) + (for_good ? ", for good" : ""));
        const test::TemporaryFolder folder;
        prepare(folder);
        int done = 0;
        bool failed = false;
        {
          const FaultyDisk fault({call, nth, code, for_good});
          try {
            run_batch_of_two(folder.path(), done);
          } catch (const Error& error) {
            failed = true;
            EXPECT_EQ(error.exit_code(), static_cast<int>(ErrorKind::output)) << error.what();
            EXPECT_NE(std::string(error.what()).find("manifest"), std::string::npos) << error.what();
          }
        }
        errors += failed ? 1 : 0;
        EXPECT_TRUE(failed || done == 6);
        const auto found = states(folder.path());
        EXPECT_TRUE(found == expected(done) || found == expected(done + 1)) << done << " calls came back";
      }
  EXPECT_GT(errors, 50);
}

}  // namespace
}  // namespace t2v
