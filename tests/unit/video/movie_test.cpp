#include "support.h"
#include "video/libav.h"

namespace t2v::test {
namespace {

class MovieContainer : public testing::TestWithParam<const char*> {};
INSTANTIATE_TEST_SUITE_P(Containers, MovieContainer, testing::Values(".mp4", ".mov", ".mkv"),
                         [](const auto& test) { return test.param + 1; });

TEST_P(MovieContainer, GivesBackColoursOfFlatPatches) {
  TemporaryFolder folder;
  const auto path = folder / (std::string("clip") + GetParam());
  const auto frames = shifting_patches(9);
  write_all(options_for(path, frames[0]), frames);
  const auto decoded = read_all(path);
  ASSERT_EQ(decoded.size(), frames.size());
  for (std::size_t i = 0; i < frames.size(); ++i)
    EXPECT_LE(largest_difference(frames[i], decoded[i], 8), 4) << "frame " << i;
}

TEST_P(MovieContainer, KeepsFrameCountAndRate) {
  TemporaryFolder folder;
  for (const auto fps :
       {Rational{8, 1}, Rational{16, 1}, Rational{24, 1}, Rational{30000, 1001}, Rational{25, 2}})
    for (const int count : {1, 2, 13}) {
      const auto path = folder / (std::string("clip") + GetParam());
      write_all(options_for(path, patches(), fps), shifting_patches(count));
      const auto reader = open_video(path);
      int frames = 0;
      while (reader->read()) ++frames;
      EXPECT_EQ(frames, count);
      // Matroska knows a clip of one frame by its duration only.
      EXPECT_EQ(int64_t{reader->info().fps.numerator} * fps.denominator,
                int64_t{reader->info().fps.denominator} * fps.numerator)
          << reader->info().fps.numerator << "/" << reader->info().fps.denominator << " instead of "
          << fps.numerator << "/" << fps.denominator;
    }
}

TEST_P(MovieContainer, KeepsMetadata) {
  TemporaryFolder folder;
  auto options = options_for(folder / (std::string("clip") + GetParam()), patches());
  options.metadata = {
      {"title", "a red circle"}, {"comment", "Grün, 赤い円 \"quoted\"; a=b"}, {"t2v_seed", "42"}};
  write_all(options, {patches()});
  const auto metadata = open_video(options.path)->info().metadata;
  for (const auto& [key, value] : options.metadata) {
    ASSERT_TRUE(metadata.contains(key)) << key;
    EXPECT_EQ(metadata.at(key), value);
  }
  EXPECT_FALSE(metadata.contains("creation_time"));
}

TEST_P(MovieContainer, SameFramesGiveSameBytes) {
  TemporaryFolder folder;
  const auto first = folder / (std::string("a") + GetParam()),
             second = folder / (std::string("b") + GetParam());
  for (const auto& path : {first, second}) write_all(options_for(path, patches()), shifting_patches(30));
  EXPECT_EQ(bytes_of(first), bytes_of(second));
}

TEST_P(MovieContainer, AbortedClipLeavesNothing) {
  TemporaryFolder folder;
  {
    const auto sink = open_encoder(options_for(folder / (std::string("clip") + GetParam()), patches()));
    for (int i = 0; i < 60; ++i) sink->write(noise(128, 64, i));
    EXPECT_EQ(names_in(folder.path()).size(), 1u);  // the temporary file
  }
  EXPECT_TRUE(names_in(folder.path()).empty());
}

TEST_P(MovieContainer, TagsBt709) {
  TemporaryFolder folder;
  const auto path = folder / (std::string("clip") + GetParam());
  write_all(options_for(path, patches()), shifting_patches(2));
  const auto info = open_video(path)->info();
  EXPECT_EQ(info.codec, "h264");
  EXPECT_EQ(info.pixel_format, "yuv420p");
  EXPECT_EQ(info.colour_space, "bt709");
  EXPECT_EQ(info.colour_range, "tv");

  AVFormatContext* opened = nullptr;
  ASSERT_GE(avformat_open_input(&opened, path.c_str(), nullptr, nullptr), 0);
  const libav::InputFormat container(opened);
  ASSERT_GE(avformat_find_stream_info(opened, nullptr), 0);
  const auto& stream = *opened->streams[0]->codecpar;
  EXPECT_EQ(stream.color_primaries, AVCOL_PRI_BT709);
  EXPECT_EQ(stream.color_trc, AVCOL_TRC_BT709);
  EXPECT_EQ(stream.color_space, AVCOL_SPC_BT709);
  EXPECT_EQ(stream.color_range, AVCOL_RANGE_MPEG);
  EXPECT_EQ(stream.chroma_location, AVCHROMA_LOC_LEFT);
}

TEST(Movie, Mp4LastsExactlyItsFrames) {
  TemporaryFolder folder;
  const auto path = folder / "clip.mp4";
  for (const int count : {1, 7}) {
    write_all(options_for(path, patches(), {30000, 1001}), shifting_patches(count));
    EXPECT_EQ(open_video(path)->info().frames, count);
    AVFormatContext* opened = nullptr;
    ASSERT_GE(avformat_open_input(&opened, path.c_str(), nullptr, nullptr), 0);
    const libav::InputFormat container(opened);
    const auto& stream = *opened->streams[0];
    EXPECT_EQ(
        av_cmp_q(av_mul_q({static_cast<int>(stream.duration), 1}, stream.time_base), {count * 1001, 30000}),
        0)
        << count;
    EXPECT_EQ(stream.start_time, 0);
  }
}

TEST(Movie, Mp4HasItsIndexInFront) {
  TemporaryFolder folder;
  write_all(options_for(folder / "clip.mp4", patches()), shifting_patches(3));
  const auto bytes = bytes_of(folder / "clip.mp4");
  EXPECT_LT(bytes.find("moov"), bytes.find("mdat"));
}

TEST(Movie, NameWithColonPercentAndSpaceIsUsedAsItIs) {
  TemporaryFolder folder;
  for (const std::string name : {"take:2 100% a%d.mp4", "take:3.MKV"}) {
    write_all(options_for(folder / name, patches()), {patches()});
    EXPECT_TRUE(std::filesystem::exists(folder / name)) << name;
    EXPECT_EQ(read_all(folder / name).size(), 1u);
  }
}

TEST(Movie, LowerCrfKeepsMoreDetail) {
  TemporaryFolder folder;
  auto options = options_for(folder / "clip.mp4", noise(64, 64));
  std::vector<std::size_t> sizes;
  for (const int crf : {10, 40}) {
    options.crf = crf;
    write_all(options, {noise(64, 64)});
    sizes.push_back(bytes_of(options.path).size());
  }
  EXPECT_GT(sizes[0], 2 * sizes[1]);
}

TEST(Movie, OddSizeIsRefusedWithTheNextEvenOne) {
  TemporaryFolder folder;
  expect_error(ErrorKind::usage, {"not 63x36; add --resize 64x36"},
               [&] { open_encoder(options_for(folder / "clip.mp4", noise(63, 36))); });
  EXPECT_TRUE(names_in(folder.path()).empty());
}

TEST(Movie, FrameOfAnotherSizeIsRefused) {
  TemporaryFolder folder;
  const auto sink = open_encoder(options_for(folder / "clip.mp4", noise(64, 64)));
  expect_error(ErrorKind::internal, {"64x62"}, [&] { sink->write(noise(64, 62)); });
}

TEST(Movie, ImpossibleRateAndSizeAreRefused) {
  TemporaryFolder folder;
  expect_error(ErrorKind::usage, {"0/1"}, [&] {
    open_encoder(options_for(folder / "clip.mp4", patches(), {0, 1}));
  });
  expect_error(ErrorKind::usage, {"0x0"}, [&] { open_encoder(options_for(folder / "clip.mp4", Frame{})); });
  auto options = options_for(folder / "clip.mp4", patches());
  options.resize = Resize{-2, 64};
  expect_error(ErrorKind::usage, {"-2x64"}, [&] { open_encoder(options); });
}

}  // namespace
}  // namespace t2v::test
