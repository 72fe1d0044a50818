#include "batch/resume.h"

#include <gtest/gtest.h>

#include <fstream>

#include "batch/file_hash.h"
#include "errors.h"
#include "paths.h"

namespace t2v {
namespace {

using Action = ItemDecision::Action;

class Resume : public ::testing::Test {
 protected:
  // An item with the given settings, and the row that says that it is done, with its file.
  BatchItem item(const std::string& id, int steps = 2) const {
    BatchItem item{.id = id, .file = id + ".mp4"};
    item.settings = "{\"steps\":" + std::to_string(steps) + "}";
    item.settings_hash = hash_text(item.settings);
    return item;
  }
  ManifestRow finished(const BatchItem& item) const {
    std::ofstream(folder_ / item.file) << "the clip " << item.id;
    const auto hash = hash_clip(folder_ / item.file, 1);
    ManifestRow row;
    row.id = item.id;
    row.file = item.file;
    row.settings = item.settings;
    row.settings_hash = item.settings_hash;
    row.state = ItemState::done;
    row.bytes = hash->bytes;
    row.hash = hash->hash;
    row.frames = 1;
    return row;
  }
  ManifestRow failed(const BatchItem& item, int exit_code) const {
    ManifestRow row;
    row.id = item.id;
    row.file = item.file;
    row.settings = item.settings;
    row.settings_hash = item.settings_hash;
    row.state = ItemState::failed;
    row.exit_code = exit_code;
    row.updated = 5;
    return row;
  }
  Action decide_one(const BatchItem& item, const std::vector<ManifestRow>& rows,
                    Redo redo = Redo::nothing) const {
    return decide({item}, rows, folder_.path(), redo).of_item.at(0).action;
  }
  test::TemporaryFolder folder_;
};

TEST_F(Resume, SkipsWhatTheManifestAndTheFileSay) {
  const auto a = item("a");
  EXPECT_EQ(decide_one(a, {}), Action::make);
  const auto row = finished(a);
  EXPECT_EQ(decide_one(a, {row}), Action::skip);
  EXPECT_EQ(decide_one(a, {row}, Redo::failed), Action::skip);
  EXPECT_EQ(decide_one(a, {row}, Redo::changed), Action::skip);
  EXPECT_EQ(decide_one(a, {row}, Redo::all), Action::make);
}

TEST_F(Resume, MakesAgainWhatIsMissingOrNotTheFileThatWasMade) {
  const auto a = item("a");
  const auto row = finished(a);
  std::ofstream(folder_ / a.file) << "the clip b";  // of the same size
  const auto decisions = decide({a}, {row}, folder_.path(), Redo::nothing);
  EXPECT_EQ(decisions.of_item[0].action, Action::make);
  ASSERT_EQ(decisions.notes.size(), 1U);
  EXPECT_NE(decisions.notes[0].find("a.mp4"), std::string::npos);
  std::filesystem::remove(folder_ / a.file);
  EXPECT_EQ(decide_one(a, {row}), Action::make);
}

TEST_F(Resume, RefusesChangedSettingsWithTheDifference) {
  const auto row = finished(item("a"));
  test::expect_error(ErrorKind::usage, {"item 'a'", "steps: 2 -> 3", "--redo changed"},
                     [&] { decide_one(item("a", 3), {row}); });
  test::expect_error(ErrorKind::usage, {"steps: 2 -> 3"},
                     [&] { decide_one(item("a", 3), {row}, Redo::failed); });
  EXPECT_EQ(decide_one(item("a", 3), {row}, Redo::changed), Action::make);
}

TEST_F(Resume, RefusesToReplaceTheFileOfAnotherItem) {
  auto b = item("b");
  const auto row = finished(item("a"));
  b.file = "a.mp4";
  test::expect_error(ErrorKind::usage, {"holds the item 'a'"}, [&] { decide_one(b, {row}); });
  const auto decisions = decide({b}, {row}, folder_.path(), Redo::changed);
  EXPECT_EQ(decisions.of_item[0].action, Action::make);
  EXPECT_EQ(decisions.replaced, std::vector<std::string>{"a"});
}

TEST_F(Resume, RefusesToReplaceAFileThatNoManifestKnows) {
  const auto a = item("a");
  std::ofstream(folder_ / a.file) << "a holiday";
  test::expect_error(ErrorKind::usage, {"a.mp4", "no manifest", "--redo all"}, [&] { decide_one(a, {}); });
  EXPECT_EQ(decide_one(a, {}, Redo::all), Action::make);
  auto row = failed(a, 4);  // a run that was killed between the file's name and its manifest line
  row.state = ItemState::running;
  EXPECT_EQ(decide_one(a, {row}), Action::make);
}

TEST_F(Resume, OfTwoRowsTheOneThatFitsTheFileCounts) {
  const auto old_item = item("a", 2), new_item = item("a", 3);
  auto old_row = finished(old_item), new_row = finished(new_item);
  old_row.hash = "0000000000000000";  // the file was made again since, under another shard layout
  EXPECT_EQ(decide_one(new_item, {old_row, new_row}), Action::skip);
  test::expect_error(ErrorKind::usage, {"steps: 3 -> 2"}, [&] { decide_one(old_item, {old_row, new_row}); });
}

TEST_F(Resume, TriesAgainWhatMayHaveBeenBadLuck) {
  const auto a = item("a");
  for (const int code : {1, 4, 5}) EXPECT_EQ(decide_one(a, {failed(a, code)}), Action::make) << code;
  for (const int code : {2, 3, 6}) {
    EXPECT_EQ(decide_one(a, {failed(a, code)}), Action::leave_failed) << code;
    EXPECT_EQ(decide_one(a, {failed(a, code)}, Redo::failed), Action::make) << code;
    EXPECT_EQ(decide_one(item("a", 3), {failed(a, code)}), Action::make)
        << code;  // other settings may do better
  }
}

TEST_F(Resume, AManifestCannotPointOutsideTheFolder) {
  const test::TemporaryFolder elsewhere;
  auto a = item("a");
  auto row = finished(a);
  std::filesystem::rename(folder_ / a.file, elsewhere / "a.mp4");
  a.file = row.file = std::filesystem::relative(elsewhere / "a.mp4", folder_.path()).string();
  EXPECT_EQ(decide_one(a, {row}), Action::make);
}

TEST(HashClip, CoversEveryImageOfASequence) {
  const test::TemporaryFolder folder;
  for (const char* name : {"0.png", "1.png"}) std::ofstream(folder / name) << name;
  const auto whole = hash_clip(folder / "%d.png", 2);
  ASSERT_TRUE(whole);
  EXPECT_EQ(whole->bytes, 10);
  EXPECT_FALSE(hash_clip(folder / "%d.png", 3));
  std::ofstream(folder / "1.png") << "2.png";
  EXPECT_NE(hash_clip(folder / "%d.png", 2), whole);
  EXPECT_FALSE(hash_clip(folder.path(), 1));
}

TEST(SettingsDifference, NamesEverySettingThatDiffers) {
  EXPECT_EQ(settings_difference(R"({"a":1,"b":"x","c":2})", R"({"a":1,"b":"y","d":3})"),
            R"(b: "x" -> "y", c: 2 -> null, d: null -> 3)");
  EXPECT_NE(settings_difference("not json", "{}").find("cannot be read"), std::string::npos);
}

// A link to itself is to every user what a folder is that may not be read.
TEST(FileHash, WhatCannotBeLookedAtIsNoClip) {
  const test::TemporaryFolder folder;
  std::filesystem::create_symlink("loop", folder / "loop");
  for (const char* name : {"loop", "loop/a.mp4", "loop/%02d.png"}) {
    EXPECT_FALSE(hash_clip(folder / name, 1)) << name;
    EXPECT_FALSE(clip_exists(folder / name)) << name;
  }
}

}  // namespace
}  // namespace t2v
