#include "train/data/clip_folder.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <fstream>
#include <set>

#include "errors.h"
#include "paths.h"
#include "train/data/clip_source.h"
#include "video/write/encoder.h"

namespace t2v {
namespace {

Observer silent;

namespace fs = std::filesystem;

void write_text(const fs::path& path, const std::string& text) {
  std::ofstream(path, std::ios::binary) << text;
}

// Frame i is gray of level 10 i, but for its left half, which is white when `half` is set.
void write_clip(const fs::path& path, int frames, int fps, int width = 32, int height = 16,
                bool half = false) {
  fs::create_directories(path.parent_path());
  const auto sink = open_encoder({.path = path.string(), .width = width, .height = height, .fps = {fps, 1}});
  for (int i = 0; i < frames; ++i) {
    Frame frame{
        width, height,
        std::vector<uint8_t>(static_cast<std::size_t>(width * height * 3), static_cast<uint8_t>(10 * i))};
    for (int at = 0; half && at < width * height; ++at)
      for (int c = 0; c < 3; ++c)
        if (at % width < width / 2) frame.rgb[static_cast<std::size_t>(at * 3 + c)] = 255;
    sink->write(frame);
  }
  sink->finish();
}

// The number of the frame that every frame was, by its level.
std::vector<int> numbers(const at::Tensor& video) {
  std::vector<int> list;
  for (int64_t t = 0; t < video.size(1); ++t)
    list.push_back(static_cast<int>(std::lround((video.select(1, t).mean().item<double>() + 1) * 12.75)));
  return list;
}

TEST(ClipFolder, ReadsCaptionsBesideClips) {
  const test::TemporaryFolder folder;
  write_clip(folder / "b.mp4", 5, 8);
  write_text(folder / "b.txt", "  a gray ramp\n");
  write_clip(folder / "inner/a.png", 1, 8, 20, 30);
  write_text(folder / "inner/a.txt", "nothing at all");
  write_text(folder / "notes.md", "not a clip");
  write_text(folder / ".hidden.mp4", "not a clip");
  const auto clips = list_clip_folder(folder.path());
  ASSERT_EQ(clips.size(), 2U);
  EXPECT_EQ(clips[0].file, folder / "b.mp4");
  EXPECT_EQ(clips[0].caption, "a gray ramp");
  EXPECT_EQ(clips[0].size, (PixelSize{32, 16}));
  EXPECT_EQ(clips[0].frames, 5);
  EXPECT_EQ(clips[0].fps, 8);
  EXPECT_EQ(clips[1].caption, "nothing at all");
  EXPECT_EQ(clips[1].frames, 1);
  EXPECT_EQ(clips[1].fps, 0);
}

TEST(ClipFolder, ReadsMetadata) {
  const test::TemporaryFolder folder;
  write_clip(folder / "data/one.mp4", 3, 8);
  write_clip(folder / "two.webp.y4m", 2, 30);
  write_text(folder / "metadata.jsonl",
             "{\"file_name\": \"data/one.mp4\", \"text\": \"first\", \"more\": 1}\n\n{\"file_name\": "
             "\"two.webp.y4m\", \"text\": \"zweite: "
             "ü\"}\n");
  const auto clips = list_clip_folder(folder.path());
  ASSERT_EQ(clips.size(), 2U);
  EXPECT_EQ(clips[0].caption, "first");
  EXPECT_EQ(clips[1].caption, "zweite: ü");
  EXPECT_EQ(clips[1].fps, 30);
}

TEST(ClipFolder, ReportsEverythingThatIsWrongAtOnce) {
  const test::TemporaryFolder folder;
  write_clip(folder / "fine.mp4", 3, 8);
  write_text(folder / "fine.txt", "fine");
  write_clip(folder / "silent.mp4", 3, 8);
  write_clip(folder / "cut.mp4", 9, 8);
  write_text(folder / "cut.txt", "cut short");
  fs::resize_file(folder / "cut.mp4", fs::file_size(folder / "cut.mp4") - 200);
  write_text(folder / "noise.png", "this is no picture");
  write_text(folder / "noise.txt", "noise");
  write_text(folder / "lonely.txt", "no clip");
  write_clip(folder / "blank.mp4", 3, 8);
  write_text(folder / "blank.txt", " \n");
  write_clip(folder / "bytes.mp4", 3, 8);
  write_text(folder / "bytes.txt", "bad \xff byte");
  test::expect_error(
      ErrorKind::bad_input,
      {"silent.mp4: has no caption", "silent.txt", "cut.mp4", "noise.png", "lonely.txt: there is no clip",
       "blank.txt: the caption is empty", "bytes.txt: the caption has", "at byte 4"},
      [&] { list_clip_folder(folder.path()); });
  try {
    list_clip_folder(folder.path());
  } catch (const Error& error) {
    EXPECT_EQ(std::string(error.what()).find("fine.mp4"), std::string::npos);
  }
}

TEST(ClipFolder, ReportsBadMetadataByLine) {
  const test::TemporaryFolder folder;
  write_clip(folder / "a.mp4", 2, 8);
  write_clip(folder / "b.mp4", 2, 8);
  write_text(folder / "metadata.jsonl",
             "{\"file_name\": \"a.mp4\", \"text\": \"a\"}\n{\"file_name\": \"a.mp4\", \"text\": "
             "\"again\"}\n{\"file_name\": "
             "\n{\"file_name\": \"../c.mp4\", \"text\": \"c\"}\n"
             "{\"file_name\": \"d.mp4\", \"text\": \"d\"}\n{\"file_name\": \"b.mp4\"}\n");
  test::expect_error(
      ErrorKind::bad_input,
      {"line 2: a second caption", "line 3", "line 4: file_name '../c.mp4' leaves the folder",
       "line 5: there is no file", "line 6", "'text'", "b.mp4: has no caption in metadata.jsonl"},
      [&] { list_clip_folder(folder.path()); });
}

TEST(ClipFolder, RefusesEmptyAndMissingFolders) {
  const test::TemporaryFolder folder;
  test::expect_error(ErrorKind::bad_input, {"holds no videos or images"},
                     [&] { list_clip_folder(folder.path()); });
  test::expect_error(ErrorKind::bad_input, {"nowhere", "cannot be listed"},
                     [&] { list_clip_folder(folder / "nowhere"); });
}

// Links that lead to themselves: what the filesystem says of them is an error, not that they are absent.
TEST(ClipFolder, WhatCannotBeReadIsNamed) {
  const test::TemporaryFolder folder;
  write_clip(folder / "a.png", 1, 8);
  write_text(folder / "a.txt", "fine");
  const auto add_loop = [&](const std::string& name) { fs::create_symlink(name, folder / name); };
  add_loop("notes");
  EXPECT_EQ(list_clip_folder(folder.path()).size(), 1U);
  add_loop("b.png");
  add_loop("b.txt");
  fs::create_symlink("nowhere.png", folder / "c.png");
  test::expect_error(ErrorKind::bad_input, {"b.png: ", "b.txt: cannot be read", "c.png: "},
                     [&] { list_clip_folder(folder.path()); });
  add_loop("metadata.jsonl");
  test::expect_error(ErrorKind::bad_input, {"metadata.jsonl: cannot be read"},
                     [&] { list_clip_folder(folder.path()); });
}

TEST(ReadClip, TakesTheNearestFramesInTime) {
  const test::TemporaryFolder folder;
  write_clip(folder / "a.y4m", 20, 16);
  const CaptionedClip clip{folder / "a.y4m", "ramp", {32, 16}, 20, 16};
  EXPECT_EQ(numbers(read_clip(clip, 32, 16, 5, 8)), (std::vector<int>{0, 2, 4, 6, 8}));
  EXPECT_EQ(numbers(read_clip(clip, 32, 16, 4, 32)), (std::vector<int>{0, 1, 1, 2}));
  EXPECT_EQ(numbers(read_clip(clip, 32, 16, 3, 8, 0.5)), (std::vector<int>{8, 10, 12}));
  EXPECT_EQ(numbers(read_clip(clip, 32, 16, 3, 8, 1.1)), (std::vector<int>{18, 19, 19}));  // the last frame
                                                                                           // stays
}

TEST(ReadClip, CutsToTheRatioAboutTheCentreAndResamples) {
  const test::TemporaryFolder folder;
  write_clip(folder / "a.png", 1, 8, 96, 32, /*half=*/true);
  const CaptionedClip clip{folder / "a.png", "half", {96, 32}, 1, 0};
  const auto video = read_clip(clip, 16, 16, 3, 8);
  ASSERT_EQ(video.sizes(), (std::vector<int64_t>{3, 3, 16, 16}));
  EXPECT_TRUE(video.is_contiguous());
  EXPECT_NEAR(video.narrow(3, 0, 7).min().item<double>(), 1, 1e-5);
  EXPECT_NEAR(video.narrow(3, 9, 7).max().item<double>(), -1, 1e-5);
  EXPECT_NEAR(video.mean().item<double>(), 0, 1e-5);
  const auto tall = read_clip(clip, 48, 96, 1, 8);  // enlarged
  EXPECT_EQ(tall.sizes(), (std::vector<int64_t>{3, 1, 96, 48}));
  EXPECT_NEAR(tall.mean().item<double>(), 0, 1e-4);
}

TEST(ReadClip, RefusesAFileThatIsGone) {
  test::expect_error(ErrorKind::bad_input, {"gone.mp4"}, [] {
    read_clip({"gone.mp4", "", {32, 32}, 5, 8}, 32, 32, 5, 8);
  });
}

TEST(ChooseBucket, TakesTheNearestRatioAndTheLongestLengthThatFits) {
  const std::vector<PixelSize> sizes{{64, 64}, {80, 48}, {48, 80}};
  const auto choose = [&](PixelSize size, int64_t frames, double fps) {
    return choose_bucket({"a", "", size, frames, fps}, sizes, 17, 4, 8);
  };
  EXPECT_EQ(choose({1920, 1080}, 100, 24).size, (PixelSize{80, 48}));
  EXPECT_EQ(choose({1080, 1920}, 100, 24).size, (PixelSize{48, 80}));
  EXPECT_EQ(choose({500, 520}, 100, 24).size, (PixelSize{64, 64}));
  EXPECT_EQ(choose({64, 64}, 1, 0).frames, 1);
  EXPECT_EQ(choose({64, 64}, 4, 8).frames, 1);
  EXPECT_EQ(choose({64, 64}, 5, 8).frames, 5);
  EXPECT_EQ(choose({64, 64}, 16, 8).frames, 13);
  EXPECT_EQ(choose({64, 64}, 500, 8).frames, 17);
  EXPECT_EQ(choose({64, 64}, 25, 24).frames, 9);  // a second and the frame at its end
  test::expect_error(ErrorKind::usage, {"no size"}, [] {
    choose_bucket({"a", "", {64, 64}, 1, 0}, {}, 17, 4, 8);
  });
}

TEST(FolderSource, SaysWhatIsReadOtherwiseThanItIsStored) {
  struct Notes : Observer {
    std::vector<std::string> lines;
    void note(const std::string& line) override { lines.push_back(line); }
  } notes;
  const test::TemporaryFolder folder;
  write_text(folder / "wide.y4m",
             "YUV4MPEG2 W16 H16 F8:1 Ip A2:1 C444\nFRAME\n" + std::string(3 * 16 * 16, '\x80'));
  write_text(folder / "wide.txt", "gray");
  write_clip(folder / "plain.png", 1, 8);
  write_text(folder / "plain.txt", "black");
  make_folder_source(folder.path(), {{16, 16}}, 8, 4, notes);
  EXPECT_EQ(notes.lines,
            (std::vector<std::string>{(folder / "wide.y4m").string() +
                                      ": has pixels of 2:1: brought from 16x16 to 32x16 square ones"}));
  EXPECT_EQ(list_clip_folder(folder.path()).at(1).size, (PixelSize{32, 16}));
}

// The clips of a run that goes on with another version or on another machine stay where they are.
TEST(FolderSource, WhatIsHeldOutFollowsFromTheNamesAlone) {
  const test::TemporaryFolder folder;
  std::set<std::string> held_out;
  for (int number = 0; number < 40; ++number) {
    const auto name = "clip-" + std::to_string(number);
    write_clip(folder / (name + ".png"), 1, 8, 16, 16);
    write_text(folder / (name + ".txt"), name);
    held_out.insert(name);
  }
  for (const auto& caption :
       make_folder_source(folder.path(), {{16, 16}}, 8, 4, silent)->training_captions(1))
    held_out.erase(caption);
  EXPECT_EQ(held_out, (std::set<std::string>{"clip-0", "clip-2", "clip-22", "clip-26", "clip-6", "clip-7"}));
}

TEST(FolderSource, TakesClipsWhoseNamesAreNoUtf8) {
  const test::TemporaryFolder folder;
  write_clip(folder / "caf\xe9.png", 1, 8, 16, 16);
  write_text(folder / "caf\xe9.txt", "a table");
  const auto source = make_folder_source(folder.path(), {{16, 16}}, 8, 4, silent);
  EXPECT_EQ(source->training_captions(1), std::vector<std::string>{"a table"});
  EXPECT_EQ(source->training_clip(1, 0, 0, 5).frames.size(1), 1);
}

TEST(FolderSource, CutsClipsByTheTemporalRatio) {
  const test::TemporaryFolder folder;
  write_clip(folder / "a.mp4", 8, 8);
  write_text(folder / "a.txt", "a ramp");
  for (const auto& [ratio, frames] : {std::pair(2, 7), std::pair(4, 5), std::pair(8, 1)}) {
    const auto source = make_folder_source(folder.path(), {{32, 16}}, 8, ratio, silent);
    EXPECT_EQ(source->training_clip(1, 0, 0, 17).frames.size(1), frames);
    EXPECT_EQ(source->held_out_clip(1, 0, 0, 17).frames.size(1), frames);
  }
}

TEST(FolderSource, AClipStaysOnItsSideWhenOthersCome) {
  const test::TemporaryFolder folder;
  const auto add = [&](int number) {
    write_clip(folder / (std::to_string(number) + ".png"), 1, 8, 16, 16);
    write_text(folder / (std::to_string(number) + ".txt"), "clip " + std::to_string(number));
  };
  const auto training = [&] {
    const auto captions = make_folder_source(folder.path(), {{16, 16}}, 8, 4, silent)->training_captions(1);
    return std::set<std::string>(captions.begin(), captions.end());
  };
  for (int number = 0; number < 40; ++number) add(number);
  const auto before = training();
  const auto fingerprint = make_folder_source(folder.path(), {{16, 16}}, 8, 4, silent)->fingerprint();
  EXPECT_GE(before.size(), 30U);
  EXPECT_LT(before.size(), 40U);
  add(-1);
  const auto after = training();
  for (const auto& caption : after) EXPECT_TRUE(before.contains(caption) || caption == "clip -1") << caption;
  write_text(folder / "7.txt", "another caption");
  EXPECT_NE(make_folder_source(folder.path(), {{16, 16}}, 8, 4, silent)->fingerprint(), fingerprint);
}

}  // namespace
}  // namespace t2v
