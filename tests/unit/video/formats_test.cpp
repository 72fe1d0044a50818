// Every file that the encoder writes, read back: colours, number and rate of the frames, tags, metadata.
#include <set>

#include "media_files.h"
#include "video/libav.h"

namespace t2v::test {
namespace {

struct Format {
  const char* name;
  const char* codec;
  const char* stored;      // libav's name of the codec
  const char* pixels;      // that are stored
  int tolerance;           // of 255, within flat patches
  bool exact_rate = true;  // otherwise the container counts milliseconds or hundredths
  bool tags_colours = true;
};

// Within a name: "a.mp4" as h264 is mp4_h264.
std::string label_of(const Format& format) {
  const std::string name = format.name;
  return name.substr(name.rfind('.') + 1) + "_" + format.codec;
}

constexpr Format formats[] = {{"a.mp4", "h264", "h264", "yuv420p", 4},
                              {"a.mp4", "hevc", "hevc", "yuv420p10le", 6},
                              {"a.mp4", "av1", "av1", "yuv420p10le", 4},
                              {"a.mov", "hevc", "hevc", "yuv420p10le", 6},
                              {"a.mov", "prores", "prores", "yuv422p10le", 4},
                              {"a.mkv", "hevc", "hevc", "yuv420p10le", 6},
                              {"a.mkv", "ffv1", "ffv1", "gbrp16le", 0, true, false},
                              {"a.mkv", "av1", "av1", "yuv420p10le", 4},
                              {"a.mkv", "vp9", "vp9", "yuv420p", 4},
                              {"a.webm", "vp9", "vp9", "yuv420p", 4},
                              {"a.webm", "av1", "av1", "yuv420p10le", 4},
                              {"a.avi", "h264", "h264", "yuv420p", 4},
                              {"a.avi", "ffv1", "ffv1", "gbrp16le", 0, true, false},
                              {"a.gif", "gif", "gif", "bgra", 0, false, false},
                              {"a.webp", "webp", "webp", "rgba", 8, false, false}};

EncoderOptions options_of(const TemporaryFolder& folder, const Format& format, const Frame& frame,
                          Rational fps = {24, 1}) {
  auto options = options_for(folder / format.name, frame, fps);
  options.codec = format.codec;
  return options;
}

class Written : public testing::TestWithParam<Format> {
 protected:
  TemporaryFolder folder;
};
INSTANTIATE_TEST_SUITE_P(Formats, Written, testing::ValuesIn(formats),
                         [](const auto& test) { return label_of(test.param); });

TEST_P(Written, GivesBackColoursOfFlatPatches) {
  const auto frames = shifting_patches(9);
  const auto options = options_of(folder, GetParam(), frames[0]);
  write_all(options, frames);
  const auto decoded = read_all(options.path);
  ASSERT_EQ(decoded.size(), frames.size());
  for (std::size_t i = 0; i < frames.size(); ++i)
    EXPECT_LE(largest_difference(frames[i], decoded[i], 8), GetParam().tolerance) << "frame " << i;
}

TEST_P(Written, KeepsFrameCountAndRate) {
  for (const auto fps : {Rational{24, 1}, Rational{24000, 1001}, Rational{25, 2}})
    for (const int count : {2, 13}) {
      const auto options = options_of(folder, GetParam(), patches(), fps);
      std::vector<Frame> written;  // like frames may be stored as one
      for (int i = 0; i < count; ++i) written.push_back(patches(128, 64, i));
      write_all(options, written);
      const auto reader = open_video(options.path);
      int frames = 0;
      while (reader->read()) ++frames;
      EXPECT_EQ(frames, count);
      const auto& found = reader->info().fps;
      if (GetParam().exact_rate)
        EXPECT_EQ(int64_t{found.numerator} * fps.denominator, int64_t{found.denominator} * fps.numerator)
            << found.numerator << "/" << found.denominator;
      else
        EXPECT_NEAR(static_cast<double>(found.numerator) / found.denominator,
                    static_cast<double>(fps.numerator) / fps.denominator, 1.1);
    }
}

TEST_P(Written, KeepsWhatTheClipWasMadeBy) {
  auto options = options_of(folder, GetParam(), patches());
  options.metadata = {{"title", "a red circle"},
                      {"comment", R"({"prompt": "Grün, 赤い円 <\"quoted\"> & a=b; \\n", "t2v": ")" +
                                      std::string(600, 'x') + "\"}"}};
  write_all(options, shifting_patches(2));
  const auto metadata = open_video(options.path)->info().metadata;
  ASSERT_TRUE(metadata.contains("comment"));
  EXPECT_EQ(metadata.at("comment"), options.metadata[1].second);
  EXPECT_FALSE(metadata.contains("creation_time"));
}

TEST_P(Written, SaysWhatItHolds) {
  const auto options = options_of(folder, GetParam(), patches());
  write_all(options, {patches(), patches(128, 64, 1)});
  const auto info = open_video(options.path)->info();
  EXPECT_EQ(info.codec, GetParam().stored);
  EXPECT_EQ(info.pixel_format, GetParam().pixels);
  if (!GetParam().tags_colours) return;
  EXPECT_EQ(info.colour_space, "bt709");
  EXPECT_EQ(info.colour_range, "tv");
  AVFormatContext* opened = nullptr;
  ASSERT_GE(avformat_open_input(&opened, options.path.c_str(), nullptr, nullptr), 0);
  const libav::InputFormat container(opened);
  ASSERT_GE(avformat_find_stream_info(opened, nullptr), 0);
  const auto& stream = *opened->streams[0]->codecpar;
  EXPECT_EQ(stream.color_space, AVCOL_SPC_BT709);
  EXPECT_EQ(stream.color_range, AVCOL_RANGE_MPEG);
  // What VP9 itself does not say, WebM and Matroska do.
  EXPECT_EQ(stream.color_primaries, AVCOL_PRI_BT709);
  EXPECT_EQ(stream.color_trc, AVCOL_TRC_BT709);
}

TEST_P(Written, SameFramesGiveSameBytes) {
  auto options = options_of(folder, GetParam(), patches());
  std::string bytes[2];
  for (auto& written : bytes) {
    write_all(options, shifting_patches(12));
    written = bytes_of(options.path);
  }
  EXPECT_EQ(bytes[0], bytes[1]);
}

TEST_P(Written, AbortedClipLeavesNothing) {
  {
    const auto sink = open_encoder(options_of(folder, GetParam(), patches()));
    for (int i = 0; i < 30; ++i) sink->write(noise(128, 64, i));
  }
  EXPECT_TRUE(names_in(folder.path()).empty());
}

TEST(Formats, HevcInMp4HasTheTagThatApplesProgramsPlay) {
  TemporaryFolder folder;
  write_all(options_of(folder, {"a.mp4", "hevc", "", "", 0}, patches()), shifting_patches(2));
  EXPECT_NE(bytes_of(folder / "a.mp4").find("hvc1"), std::string::npos);
}

TEST(Formats, AGifHasAPaletteOfTheWholeClipAndEndsWithItsTrailer) {
  TemporaryFolder folder;
  // A scene in reds, then one in blues: a palette of the first frame alone would have no blue.
  std::vector<Frame> frames;
  for (int i = 0; i < 4; ++i) {
    Frame frame{128, 64, {}};
    for (int y = 0; y < 64; ++y)
      for (int x = 0; x < 128; ++x) {
        const auto value = static_cast<uint8_t>(2 * x);
        for (const int channel : {0, 1, 2})
          frame.rgb.push_back((i < 2) == (channel == 0) && channel != 1 ? value : 0);
      }
    frames.push_back(std::move(frame));
  }
  auto options = options_for(folder / "a.gif", frames[0], {10, 1});
  options.metadata = {{"comment", "by t2v"}};
  write_all(options, frames);
  const auto decoded = read_all(folder / "a.gif");
  ASSERT_EQ(decoded.size(), 4U);
  for (const std::size_t i : {0U, 3U}) EXPECT_LE(largest_difference(frames[i], decoded[i]), 24) << i;
  EXPECT_TRUE(bytes_of(folder / "a.gif")
                  .ends_with(std::string("\x21\xFE\x06"
                                         "by t2v\0;",
                                         11)));
  EXPECT_EQ(names_in(folder.path()).size(), 1U);
}

TEST(Formats, LikeFramesOfAWebpComeBackEachAtItsTime) {
  TemporaryFolder folder;
  for (const auto fps : {Rational{24, 1}, Rational{16, 1}, Rational{30, 1}}) {
    const auto frames = shifting_patches(9);
    write_all(options_for(folder / "a.webp", frames[0], fps), frames);
    const auto reader = open_video(folder / "a.webp");
    EXPECT_EQ(reader->info().fps.numerator, fps.numerator);
    EXPECT_TRUE(reader->info().notes.empty());
    for (std::size_t i = 0; i < frames.size(); ++i) {
      const auto frame = reader->read();
      ASSERT_TRUE(frame) << i;
      EXPECT_LE(largest_difference(frames[i], *frame, 8), 8) << i;
    }
    EXPECT_FALSE(reader->read());
  }
}

TEST(Formats, AWebpThatIsCutShortIsRefused) {
  TemporaryFolder folder;
  write_all(options_for(folder / "a.webp", patches()), shifting_patches(9));
  const auto whole = bytes_of(folder / "a.webp");
  for (const auto size : {whole.size() - 1, whole.size() / 2, std::size_t{40}}) {
    write_bytes(folder / "cut.webp", whole.substr(0, size));
    expect_error(ErrorKind::bad_input, {"is shorter than it says"}, [&] { open_video(folder / "cut.webp"); });
  }
}

TEST(Formats, AGifOfMoreThanFiftyFramesPerSecondIsRefused) {
  TemporaryFolder folder;
  expect_error(ErrorKind::usage, {"50 frames per second at most, not 60/1"}, [&] {
    open_encoder(options_for(folder / "a.gif", patches(), {60, 1}));
  });
}

TEST(Formats, OneFrameOfWebpIsAStillImageWithItsMetadata) {
  TemporaryFolder folder;
  auto options = options_for(folder / "a.webp", noise(63, 35));
  options.metadata = {{"title", "a & b"}, {"digital_source_type", "made"}};
  write_all(options, {patches(63, 35)});
  const auto reader = open_video(options.path);
  EXPECT_EQ(reader->info().metadata.at("title"), "a & b");
  EXPECT_EQ(reader->info().metadata.at("digital_source_type"), "made");
  EXPECT_EQ(reader->info().width, 63);
}

// A grey ramp of 1024 levels, as sixteen bits.
Frame ramp() {
  Frame frame{1024, 16, {}};
  for (int y = 0; y < 16; ++y)
    for (int x = 0; x < 1024; ++x)
      for (int c = 0; c < 3; ++c) frame.rgb16.push_back(static_cast<uint16_t>(x * 65535 / 1023));
  return frame;
}

// The values of one row of a file's first plane, as ffmpeg reads it.
std::vector<int> levels_of(const TemporaryFolder& folder, const std::string& name,
                           const std::string& pixels) {
  ffmpeg(folder, "-i " + name + " -frames:v 1 -f rawvideo -pix_fmt " + pixels + " raw.bin");
  const auto bytes = bytes_of(folder / "raw.bin");
  const std::size_t step = pixels == "rgb48le" ? 6 : 2;
  std::vector<int> levels;
  for (std::size_t x = 0; x < 1024; ++x)
    levels.push_back(static_cast<uint8_t>(bytes[8 * 1024 * step + x * step]) |
                     static_cast<uint8_t>(bytes[8 * 1024 * step + x * step + 1]) << 8);
  return levels;
}

// Of sixteen bits all levels come back; of ten bits in limited range 876 can, and rounding costs some.
TEST(DeepFormats, ARampHoldsMoreThan256Levels) {
  if (!has_ffmpeg()) GTEST_SKIP() << "needs the program ffmpeg";
  const struct {
    const char *name, *codec, *pixels;
    std::size_t least;
  } cases[] = {{"a.png", "png16", "rgb48le", 1024},   {"a.mkv", "ffv1", "rgb48le", 1024},
               {"a.avi", "ffv1", "rgb48le", 1024},    {"a.mov", "prores", "yuv422p10le", 500},
               {"a.mp4", "hevc", "yuv420p10le", 500}, {"b.mp4", "av1", "yuv420p10le", 400}};
  for (const auto& [name, codec, pixels, least] : cases) {
    SCOPED_TRACE(std::string(name) + " " + codec);
    TemporaryFolder folder;
    auto options = options_for(folder / name, ramp());
    options.codec = codec;
    if (std::string(codec) == "hevc" || std::string(codec) == "av1") options.crf = 1;
    write_all(options, {ramp()});
    const auto levels = levels_of(folder, name, pixels);
    EXPECT_GE(std::set<int>(levels.begin(), levels.end()).size(), least);
    for (int x = 0; x < 1024 && least == 1024; ++x)
      ASSERT_EQ(levels[static_cast<std::size_t>(x)], x * 65535 / 1023) << x;
  }
}

TEST(DeepFormats, ASinkOfEightBitsRefusesSixteen) {
  TemporaryFolder folder;
  const auto sink = open_encoder(options_for(folder / "a.mp4", ramp()));
  expect_error(ErrorKind::internal, {"sixteen"}, [&] { sink->write(ramp()); });
}

TEST(DeepFormats, ResizingKeepsTheDepth) {
  if (!has_ffmpeg()) GTEST_SKIP() << "needs the program ffmpeg";
  for (const bool nearest : {false, true}) {
    TemporaryFolder folder;
    auto options = options_for(folder / "a.png", ramp());
    options.codec = "png16";
    options.resize = Resize{1024, 32, nearest};
    write_all(options, {ramp()});
    const auto levels = levels_of(folder, "a.png", "rgb48le");
    for (int x = 0; x < 1024; ++x)
      ASSERT_NEAR(levels[static_cast<std::size_t>(x)], x * 65535 / 1023, nearest ? 0 : 8) << x;
  }
}

TEST(CompressionPlan, EachCodecHasItsUsualQuality) {
  const auto plan_of = [](const std::string& path, const std::string& codec) {
    EncoderOptions options{.path = path};
    if (!codec.empty()) options.codec = codec;
    return plan_compression(options);
  };
  EXPECT_EQ(plan_of("a.mp4", "").codec, "h264");
  EXPECT_EQ(plan_of("a.mp4", "").crf, 18);
  EXPECT_EQ(plan_of("a.webm", "").codec, "vp9");
  EXPECT_EQ(plan_of("a.webp", "").quality, 85);
  EXPECT_FALSE(plan_of("a.mov", "prores").crf);
  EXPECT_TRUE(plan_of("a.mov", "prores").is_deep);
  EXPECT_FALSE(plan_of("a.y4m", "").holds_metadata);
  expect_error(ErrorKind::usage, {"a.webm: cannot hold --codec h264; a file of that name takes vp9, av1"},
               [&] { plan_of("a.webm", "h264"); });
  expect_error(ErrorKind::usage, {"--codec 'x264' is not known; there are h264, hevc"},
               [&] { plan_of("a.mp4", "x264"); });
}

TEST(CompressionPlan, ValuesAreCheckedByTheCodecAndLeftAsideWhereItHasNoSuchChoice) {
  EncoderOptions options{.path = "a.webm"};
  options.crf = 63;
  EXPECT_EQ(plan_compression(options).crf, 63);
  options.path = "a.mp4";
  expect_error(ErrorKind::usage, {"--crf should be between 0 and 51, found 63"},
               [&] { plan_compression(options); });
  options.path = "a.png";
  const auto plan = plan_compression(options);
  EXPECT_FALSE(plan.crf);
  ASSERT_EQ(plan.notes.size(), 1U);
  EXPECT_EQ(plan.notes[0], "--crf is left aside: PNG has no such choice");
  options.path = "a.mp4";
  options.crf = 20;
  options.quality = 50;
  expect_error(ErrorKind::usage, {"only one of --crf, --quality and --bitrate"},
               [&] { plan_compression(options); });
}

TEST(CompressionPlan, QualityAndBitRateDecideTheSize) {
  for (const char* name : {"a.mp4", "a.webm", "a.webp"}) {
    SCOPED_TRACE(name);
    TemporaryFolder folder;
    const auto size_of = [&](std::optional<int64_t> quality, std::optional<int64_t> bitrate) {
      auto options = options_for(folder / name, noise(64, 64));
      options.quality = quality;
      options.bitrate = bitrate;
      std::vector<Frame> frames;
      for (unsigned i = 0; i < 24; ++i) frames.push_back(noise(64, 64, i));
      write_all(options, frames);
      return bytes_of(options.path).size();
    };
    EXPECT_GT(size_of(90, {}), 2 * size_of(20, {}));
    if (std::string(name) == "a.webp") continue;  // has no bit rate
    EXPECT_GT(size_of({}, 2'000'000), 2 * size_of({}, 100'000));
  }
}

}  // namespace
}  // namespace t2v::test
