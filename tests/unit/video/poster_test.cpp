#include "video/write/poster.h"

#include <cmath>

#include "support.h"

namespace t2v::test {
namespace {

Frame decoded(const std::string& jpeg) {
  TemporaryFolder folder;
  write_bytes(folder / "poster.jpg", jpeg);
  return *open_video(folder / "poster.jpg")->read();
}

TEST(Poster, KeepsColoursAndSize) {
  const auto frame = patches(64, 32);
  const auto found = decoded(encode_poster(frame, 320));
  ASSERT_EQ(found.width, 64);
  ASSERT_EQ(found.height, 32);
  for (int y = 8; y < 32; y += 16)
    for (int x = 8; x < 64; x += 16)
      for (int c = 0; c < 3; ++c) {
        const auto at = static_cast<std::size_t>((y * 64 + x) * 3 + c);
        EXPECT_NEAR(found.rgb[at], frame.rgb[at], 6) << x << " " << y << " " << c;
      }
}

TEST(Poster, MakesLargeFramesSmaller) {
  const auto wide = decoded(encode_poster(patches(1280, 720), 320)),
             tall = decoded(encode_poster(patches(100, 1000), 320));
  EXPECT_EQ(wide.width, 320);
  EXPECT_EQ(wide.height, 180);
  EXPECT_EQ(tall.width, 32);
  EXPECT_EQ(tall.height, 320);
  EXPECT_NEAR(wide.rgb[(40 * 320 + 40) * 3], 255, 6);
}

}  // namespace
}  // namespace t2v::test
