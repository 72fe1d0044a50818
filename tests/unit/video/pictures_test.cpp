// What pictures are made of: shape and order of their lines, colours, transparency.
#include "media_files.h"

namespace t2v::test {
namespace {

void expect_colour(const Frame& frame, const Colour& colour, int tolerance, const std::string& what) {
  const auto middle = (static_cast<std::size_t>(frame.height / 2) * frame.width + frame.width / 2) * 3;
  for (int c = 0; c < 3; ++c)
    EXPECT_NEAR(frame.rgb[middle + c], colour[c], tolerance) << what << ", channel " << c;
}

// A y4m file of two frames whose left half is black and whose right half is white.
void write_halves(const std::filesystem::path& path, int width, int height, const std::string& tags) {
  std::string row;
  for (int x = 0; x < width; ++x) row += static_cast<char>(x < width / 2 ? 16 : 235);
  std::string picture = "FRAME\n";
  for (int y = 0; y < height; ++y) picture += row;
  picture += std::string(static_cast<std::size_t>(width) * height * 2, '\x80');
  write_bytes(path, "YUV4MPEG2 W" + std::to_string(width) + " H" + std::to_string(height) + " F25:1 " + tags +
                        " C444\n" + picture + picture);
}

TEST(PixelShape, IsAppliedWithALine) {
  const TemporaryFolder folder;
  const auto path = folder / "a.y4m";
  for (const auto& [shape, width] : {std::pair{"2:1", 64}, std::pair{"1:2", 16}, std::pair{"8:9", 28}}) {
    write_halves(path, 32, 32, std::string("Ip A") + shape);
    const auto reader = open_video(path);
    EXPECT_EQ(reader->info().width, width);
    EXPECT_EQ(reader->info().height, 32);
    const auto frame = reader->read().value();
    ASSERT_EQ(frame.width, width);
    for (int x = 0; x < width; ++x) {
      if (std::abs(x - (width - 1) / 2.0) < width / 8.0) continue;  // the edge
      EXPECT_NEAR(frame.rgb[x * 3], x < width / 2 ? 0 : 255, 3) << shape << " at " << x;
    }
    EXPECT_TRUE(notes_hold(*reader, std::string("has pixels of ") + shape + ": brought from 32x32 to "));
    EXPECT_EQ(reader->info().notes.size(), 1U);
  }
}

TEST(PixelShape, SquareUnknownAndAbsurdOnesAreSquare) {
  const TemporaryFolder folder;
  for (const auto* shape : {"1:1", "0:0", "1000:1001"}) {
    write_halves(folder / "a.y4m", 32, 32, std::string("Ip A") + shape);
    const auto reader = open_video(folder / "a.y4m");
    EXPECT_EQ(reader->info().width, 32);
    EXPECT_TRUE(reader->info().notes.empty());
  }
  write_halves(folder / "a.y4m", 32, 32, "Ip A1000:1");
  const auto reader = open_video(folder / "a.y4m");
  EXPECT_EQ(reader->info().width, 32);
  EXPECT_TRUE(notes_hold(*reader, "1000:1, which is taken for an error"));
}

TEST(PixelShape, CountsForTheLimit) {
  const TemporaryFolder folder;
  write_halves(folder / "a.y4m", 32, 32, "Ip A4:1");
  expect_error(ErrorKind::bad_input, {"128x32 pixels"},
               [&] { open_video(folder / "a.y4m", {.pixels_per_frame = 32 * 32}); });
}

TEST(Interlaced, IsSaidOnce) {
  const TemporaryFolder folder;
  write_halves(folder / "a.y4m", 32, 32, "It");
  const auto reader = open_video(folder / "a.y4m");
  EXPECT_TRUE(notes_hold(*reader, "is interlaced"));
  EXPECT_EQ(reader->info().notes.size(), 1U);
}

TEST(Transparency, IsShownOnWhiteWithALine) {
  const TemporaryFolder folder;
  write_bytes(folder / "a.gif", gif_bytes({{1}}, 1));
  const auto reader = open_video(folder / "a.gif");
  expect_colour(reader->read().value(), {255, 255, 255}, 0, "see-through");
  EXPECT_TRUE(notes_hold(*reader, "transparent in places, which are read as white"));
  write_bytes(folder / "a.gif", gif_bytes({{2}}, 1));
  const auto opaque = open_video(folder / "a.gif");
  expect_colour(opaque->read().value(), {0, 255, 0}, 0, "another colour is see-through");
  EXPECT_TRUE(opaque->info().notes.empty());
}

TEST(Transparency, OfHalfIsBlended) {
  if (!has_ffmpeg()) GTEST_SKIP() << "needs ffmpeg";
  const TemporaryFolder folder;
  for (const auto& [pixels, colour] :
       {std::pair{"rgba", Colour{255, 127, 127}}, {"rgba64be", {255, 127, 127}}, {"ya8", {166, 166, 166}}}) {
    ffmpeg(folder,
           std::string("-f lavfi -i color=red:s=16x16,format=rgba,colorchannelmixer=aa=0.5 -frames:v 1 "
                       "-pix_fmt ") +
               pixels + " a.png");
    expect_colour(read_all(folder / "a.png").at(0), colour, 2, pixels);
  }
}

TEST(Colours, AreConvertedByMatrixRangeAndDepth) {
  if (!has_ffmpeg()) GTEST_SKIP() << "needs ffmpeg";
  const TemporaryFolder folder;
  const std::array<std::pair<const char*, Colour>, 4> chart{
      {{"red", {255, 0, 0}}, {"lime", {0, 255, 0}}, {"blue", {0, 0, 255}}, {"0x804020", {128, 64, 32}}}};
  for (const auto& [scaler, tag] : {std::pair{"bt709", "bt709"},
                                    {"bt601", "smpte170m"},
                                    {"bt601", "bt470bg"},
                                    {"bt2020", "bt2020nc"},
                                    {"smpte240m", "smpte240m"}})
    for (const auto& [range, range_tag] : {std::pair{"limited", "tv"}, {"full", "pc"}})
      for (const auto* pixels : {"yuv420p", "yuv444p10le"})
        for (const auto& [name, colour] : chart) {
          const auto what = std::string(tag) + " " + range + " " + pixels + " " + name;
          ffmpeg(folder, std::string("-f lavfi -i color=") + name +
                             ":s=64x64:r=25:d=0.04,format=rgb24 -vf "
                             "scale=out_color_matrix=" +
                             scaler + ":out_range=" + range + ":flags=accurate_rnd,format=" + pixels +
                             " -c:v libx264 -qp 0 -colorspace " + tag + " -color_range " + range_tag +
                             " a.mkv");
          const auto reader = open_video(folder / "a.mkv");
          EXPECT_EQ(reader->info().colour_space, tag);
          expect_colour(reader->read().value(), colour, 3, what);
        }
}

TEST(Colours, GreyIsConvertedByItsRange) {
  if (!has_ffmpeg()) GTEST_SKIP() << "needs ffmpeg";
  const TemporaryFolder folder;
  for (const auto* pixels : {"gray", "gray16be", "monob"}) {
    ffmpeg(folder, std::string("-f lavfi -i color=white:s=16x16 -frames:v 1 -pix_fmt ") + pixels + " a.png");
    expect_colour(read_all(folder / "a.png").at(0), {255, 255, 255}, 0, pixels);
  }
  ffmpeg(folder, "-f lavfi -i color=0x808080:s=16x16 -frames:v 1 -pix_fmt gray a.png");
  expect_colour(read_all(folder / "a.png").at(0), {128, 128, 128}, 1, "grey");
}

TEST(Colours, HighDynamicRangeIsRefusedByName) {
  if (!has_ffmpeg()) GTEST_SKIP() << "needs ffmpeg";
  const TemporaryFolder folder;
  for (const auto& [transfer, name] : {std::pair{"smpte2084", "PQ"}, {"arib-std-b67", "HLG"}}) {
    ffmpeg(folder, std::string("-f lavfi -i testsrc=s=64x48:r=25:d=0.2 -c:v libx264 -pix_fmt yuv420p10le "
                               "-color_primaries bt2020 -colorspace bt2020nc -color_trc ") +
                       transfer + " a.mp4");
    expect_error(ErrorKind::bad_input, {std::string("a.mp4: its transfer curve is ") + name},
                 [&] { open_video(folder / "a.mp4"); });
  }
}

TEST(Colours, WidePrimariesAreSaid) {
  if (!has_ffmpeg()) GTEST_SKIP() << "needs ffmpeg";
  const TemporaryFolder folder;
  ffmpeg(folder,
         "-f lavfi -i testsrc=s=64x48:r=25:d=0.2 -c:v libx264 -pix_fmt yuv420p -color_primaries bt2020 "
         "-colorspace bt2020nc -color_trc bt709 a.mp4");
  EXPECT_TRUE(notes_hold(*open_video(folder / "a.mp4"), "has wide colours (bt2020)"));
}

TEST(Colours, MatricesThatCannotBeConvertedAreRefusedByName) {
  if (!has_ffmpeg()) GTEST_SKIP() << "needs ffmpeg";
  const TemporaryFolder folder;
  for (const std::string matrix : {"ycgco", "bt2020c"}) {
    ffmpeg(folder, "-f lavfi -i testsrc=s=64x48:r=25:d=0.2 -c:v libx264 -pix_fmt yuv420p -colorspace " +
                       matrix + " a.mp4");
    expect_error(ErrorKind::bad_input, {"colour matrix, " + matrix}, [&] { open_video(folder / "a.mp4"); });
  }
}

}  // namespace
}  // namespace t2v::test
