#include "video/read/orientation.h"
#include "media_files.h"
#include "video/write/poster.h"

namespace t2v::test {
namespace {

class Orientations : public testing::TestWithParam<int> {};
INSTANTIATE_TEST_SUITE_P(Exif, Orientations, testing::Range(1, 9));

// Where EXIF has a stored pixel: row 0 and column 0 lie on these sides of the upright picture.
struct Place {
  int x, y;
};
Place upright_place(int tag, int x, int y, int width, int height) {
  switch (tag) {
    case 1:
      return {x, y};  // top, left
    case 2:
      return {width - 1 - x, y};  // top, right
    case 3:
      return {width - 1 - x, height - 1 - y};  // bottom, right
    case 4:
      return {x, height - 1 - y};  // bottom, left
    case 5:
      return {y, x};  // left, top
    case 6:
      return {height - 1 - y, x};  // right, top
    case 7:
      return {height - 1 - y, width - 1 - x};  // right, bottom
    default:
      return {y, width - 1 - x};  // left, bottom
  }
}

void expect_upright(const Frame& stored, const Frame& read, int tag, int tolerance) {
  const bool swaps = tag >= 5;
  ASSERT_EQ(read.width, swaps ? stored.height : stored.width);
  ASSERT_EQ(read.height, swaps ? stored.width : stored.height);
  for (int y = 8; y < stored.height; y += 16)
    for (int x = 8; x < stored.width; x += 16) {
      const auto place = upright_place(tag, x, y, stored.width, stored.height);
      for (int c = 0; c < 3; ++c)
        EXPECT_NEAR(read.rgb[(place.y * read.width + place.x) * 3 + c],
                    stored.rgb[(y * stored.width + x) * 3 + c], tolerance)
            << x << " " << y;
    }
}

TEST_P(Orientations, OfAJpegAreHeeded) {
  const TemporaryFolder folder;
  const auto frame = patches(128, 64);
  write_bytes(folder / "a.jpg", jpeg_with_orientation(encode_poster(frame, 128), GetParam()));
  const auto reader = open_video(folder / "a.jpg");
  const auto read = reader->read().value();
  EXPECT_EQ(reader->info().width, read.width);
  EXPECT_EQ(reader->info().height, read.height);
  expect_upright(frame, read, GetParam(), 8);
}

TEST_P(Orientations, OfAWebpAreHeeded) {
  if (!has_ffmpeg()) GTEST_SKIP() << "needs ffmpeg";
  const TemporaryFolder folder;
  const auto frame = patches(128, 64);
  write_all(options_for(folder / "a.png", frame), {frame});
  ffmpeg(folder, "-i a.png -c:v libwebp -quality 90 a.webp");
  const auto number = [](uint32_t value, int size) {
    std::string text;
    for (int i = 0; i < size; ++i) text += static_cast<char>(value >> (8 * i));
    return text;
  };
  const auto chunk = [&](const std::string& type, const std::string& data) {
    return type + number(static_cast<uint32_t>(data.size()), 4) + data;
  };
  const auto file = "WEBP" + chunk("VP8X", number(8, 4) + number(127, 3) + number(63, 3)) +
                    bytes_of(folder / "a.webp").substr(12) + chunk("EXIF", exif_orientation(GetParam()));
  write_bytes(folder / "a.webp", chunk("RIFF", file));
  expect_upright(frame, read_all(folder / "a.webp").at(0), GetParam(), 24);
}

TEST(Orientation, AnAngleBetweenIsNone) {
  EXPECT_FALSE(
      orientation_of_matrix(std::array<int32_t, 9>{56756, 32768, 0, -32768, 56756, 0, 0, 0, 1 << 30}.data()));
  EXPECT_FALSE(orientation_of_matrix(std::array<int32_t, 9>{}.data()));
  EXPECT_FALSE(orientation_of_matrix(std::array<int32_t, 9>{65536, 65536, 0, 0, 0, 0, 0, 0, 0}.data()));
  EXPECT_EQ(orientation_of_matrix(std::array<int32_t, 9>{2000, 0, 0, 0, -1000, 0, 0, 0, 0}.data()),
            (Orientation{1, 0, 0, -1}));
}

}  // namespace
}  // namespace t2v::test
