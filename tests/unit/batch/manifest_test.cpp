#include "batch/manifest.h"

#include <gtest/gtest.h>

#include <fstream>

#include "batch/resume.h"
#include "batch/status.h"
#include "errors.h"
#include "paths.h"

namespace t2v {
namespace {

constexpr Shard whole() { return {0, 1, {}}; }

ManifestRow row_of(const std::string& id, int64_t position = 0,
                   const std::string& settings = R"({"steps":2})") {
  ManifestRow row;
  row.id = id;
  row.position = position;
  row.prompt = "ü '; DROP TABLE items --";
  row.settings = settings;
  row.settings_hash = std::to_string(std::hash<std::string>{}(settings));
  row.seed = int64_t{1} << 62;
  row.file = id + ".mp4";
  row.fps = 8;
  return row;
}

class BatchManifest : public ::testing::Test {
 protected:
  BatchManifest() { std::filesystem::create_directory(folder_ / ".t2v"); }
  std::filesystem::path path(const Shard& shard = whole()) const {
    return manifest_path(folder_.path(), shard);
  }
  test::TemporaryFolder folder_;
};

TEST_F(BatchManifest, KeepsWhatItIsTold) {
  {
    Manifest manifest(folder_.path(), whole());
    manifest.enter({row_of("a", 1), row_of("b", 0)}, {});
    manifest.start("a");
    manifest.finish("a", {123, "0123456789abcdef", 17, 1.5, 0.5});
    manifest.start("b");
    manifest.fail("b", "NaN in step 3", 6);
  }
  const auto rows = read_manifest(path());
  ASSERT_EQ(rows.size(), 2U);
  EXPECT_EQ(rows[0].id, "b");
  EXPECT_EQ(rows[0].state, ItemState::failed);
  EXPECT_EQ(rows[0].error, "NaN in step 3");
  EXPECT_EQ(rows[0].exit_code, 6);
  EXPECT_EQ(rows[1].state, ItemState::done);
  EXPECT_EQ(rows[1].prompt, "ü '; DROP TABLE items --");
  EXPECT_EQ(rows[1].seed, int64_t{1} << 62);
  EXPECT_EQ(rows[1].bytes, 123);
  EXPECT_EQ(rows[1].hash, "0123456789abcdef");
  EXPECT_EQ(rows[1].frames, 17);
  EXPECT_EQ(rows[1].denoise_seconds, 1.5);
  EXPECT_EQ(rows[1].attempts, 1);
  EXPECT_GE(rows[1].finished, rows[1].started);
  EXPECT_FALSE(rows[1].host.empty());
}

TEST_F(BatchManifest, WhatAKilledRunLeftRunningIsPendingAgain) {
  {
    Manifest manifest(folder_.path(), whole());
    manifest.enter({row_of("a")}, {});
    manifest.start("a");
  }
  EXPECT_EQ(read_manifest(path())[0].state, ItemState::running);
  Manifest again(folder_.path(), whole());
  EXPECT_EQ(again.rows()[0].state, ItemState::pending);
  again.enter({row_of("a")}, {});
  again.start("a");
  EXPECT_EQ(again.rows()[0].attempts, 2);
}

TEST_F(BatchManifest, ForgetsWhatTheBatchNoLongerAsksForButNothingFinished) {
  Manifest manifest(folder_.path(), whole());
  manifest.enter({row_of("done"), row_of("gone"), row_of("kept")}, {});
  manifest.finish("done", {});
  manifest.enter({row_of("new")}, {"kept"});
  std::vector<std::string> ids;
  for (const auto& row : manifest.rows()) ids.push_back(row.id);
  EXPECT_EQ(ids, (std::vector<std::string>{"done", "kept", "new"}));
}

TEST_F(BatchManifest, UsesARollbackJournal) {
  Manifest manifest(folder_.path(), whole());
  manifest.enter({row_of("a")}, {});
  sqlite::Database database(path(), sqlite::Database::Mode::existing);
  auto mode = database.prepare("PRAGMA journal_mode");
  ASSERT_TRUE(mode.step());
  EXPECT_EQ(mode.text(0), "delete");
}

TEST_F(BatchManifest, FilesThatAreNoManifestAreRefused) {
  std::ofstream(path()) << std::string(5000, 'x');
  test::expect_error(ErrorKind::bad_input, {path().string(), "no intact manifest"},
                     [&] { read_manifest(path()); });
  test::expect_error(ErrorKind::bad_input, {path().string(), "no intact manifest"},
                     [&] { Manifest manifest(folder_.path(), whole()); });
  std::filesystem::remove(path());
  sqlite::Database(path(), sqlite::Database::Mode::create).execute("CREATE TABLE items (id TEXT)");
  test::expect_error(ErrorKind::bad_input, {"no manifest of t2v"},
                     [&] { Manifest manifest(folder_.path(), whole()); });
  std::filesystem::remove(path());
  { Manifest manifest(folder_.path(), whole()); }
  sqlite::Database(path(), sqlite::Database::Mode::existing).execute("PRAGMA user_version = 2");
  test::expect_error(ErrorKind::bad_input, {"format 2"}, [&] { read_manifest(path()); });
}

TEST_F(BatchManifest, DamagedBytesAreAnErrorOrReadButNeverACrash) {
  {
    Manifest manifest(folder_.path(), whole());
    std::vector<ManifestRow> rows;
    for (int i = 0; i < 100; ++i) rows.push_back(row_of("item" + std::to_string(i), i));
    manifest.enter(rows, {});
  }
  std::string bytes;
  {
    std::ifstream file(path(), std::ios::binary);
    bytes.assign(std::istreambuf_iterator<char>(file), {});
  }
  for (std::size_t at = 0; at < bytes.size(); at += 97) {
    auto damaged = bytes;
    damaged[at] = static_cast<char>(damaged[at] ^ 0x5a);
    std::ofstream(path(), std::ios::binary) << damaged;
    try {
      read_manifest(path());
    } catch (const Error& error) {
      EXPECT_NE(error.kind(), ErrorKind::usage) << error.what();
    }
  }
}

TEST_F(BatchManifest, OfRowsForOneItemTheNewestCounts) {
  auto old_row = row_of("a"), new_row = row_of("a");
  old_row.state = ItemState::pending;
  old_row.updated = 1;
  new_row.state = ItemState::done;
  new_row.updated = 2;
  auto other = row_of("b", 1);
  other.file = "a.mp4";  // whose file the newest "a" took over
  other.updated = 1;
  const auto rows = newest_rows({old_row, new_row, other});
  ASSERT_EQ(rows.size(), 1U);
  EXPECT_EQ(rows[0].state, ItemState::done);
}

TEST_F(BatchManifest, WhatComesLaterIsNewerThoughTheClockWasSetBack) {
  auto from_ahead = row_of("a");
  from_ahead.state = ItemState::failed;
  from_ahead.updated = 1e12;  // by a clock far in the future
  Manifest manifest(folder_.path(), whole());
  manifest.continue_after({from_ahead});
  manifest.enter({row_of("a")}, {});
  manifest.start("a");
  const double started = manifest.rows()[0].updated;
  EXPECT_GT(started, 1e12);
  manifest.finish("a", {});
  EXPECT_GT(manifest.rows()[0].updated, started);
  EXPECT_LT(manifest.rows()[0].finished, 1e12);  // shown to people: what the clock says
  const auto rows = newest_rows({from_ahead, manifest.rows()[0]});
  ASSERT_EQ(rows.size(), 1U);
  EXPECT_EQ(rows[0].state, ItemState::done);
}

TEST_F(BatchManifest, StatusCountsOverAllShards) {
  test::expect_error(ErrorKind::usage, {"no batch has been made here"}, [&] { read_status(folder_.path()); });
  Manifest first(folder_.path(), {0, 2, ""}), second(folder_.path(), {1, 2, ""});
  first.enter({row_of("a"), row_of("c", 2)}, {});
  second.enter({row_of("b", 1), row_of("d", 3)}, {});
  first.start("a");
  first.finish("a", {});
  second.start("b");
  second.fail("b", "disk full", 4);
  second.start("d");  // no process holds the shard: it is as good as pending
  auto status = read_status(folder_.path());
  EXPECT_EQ(status.shards.size(), 2U);
  EXPECT_EQ(status.total.done, 1);
  EXPECT_EQ(status.total.failed, 1);
  EXPECT_EQ(status.total.running, 0);
  EXPECT_EQ(status.total.pending, 2);
  EXPECT_EQ(status.shards[1].last_error, "disk full");
  const ShardLock lock(folder_.path(), {1, 2, ""});
  status = read_status(folder_.path());
  EXPECT_EQ(status.total.running, 1);
  EXPECT_TRUE(status.shards[1].working);
  EXPECT_FALSE(status.shards[0].working);
  EXPECT_NE(status_table(status).find("disk full"), std::string::npos);
}

TEST(ClipsPerMinute, LooksAtTheLastTenMinutesOfWork) {
  std::vector<ManifestRow> rows;
  const auto add = [&](double started, double finished) {
    auto row = row_of("item" + std::to_string(rows.size()));
    row.state = ItemState::done;
    row.started = started;
    row.finished = finished;
    rows.push_back(row);
  };
  EXPECT_EQ(clips_per_minute(rows), 0);
  add(1000, 1030);
  add(1030, 1060);
  EXPECT_DOUBLE_EQ(clips_per_minute(rows), 2);
  add(90000, 90020);  // the next day
  add(90020, 90040);
  EXPECT_DOUBLE_EQ(clips_per_minute(rows), 3);
  // The clock is set back a day: what finished last counts, not what has the latest time.
  add(3000, 3010);
  rows.back().updated = 1;
  EXPECT_DOUBLE_EQ(clips_per_minute(rows), 6);
  add(1e6, 3020);  // set back while it was made
  rows.back().updated = 2;
  EXPECT_DOUBLE_EQ(clips_per_minute(rows), 6);
}

}  // namespace
}  // namespace t2v
