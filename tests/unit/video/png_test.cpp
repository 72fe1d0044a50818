#include "video/png.h"

#include <gtest/gtest.h>

#include "bytes.h"
#include "errors.h"
#include "paths.h"
#include "video/write/encoder.h"

namespace t2v {
namespace {

RgbaImage decode(const std::string& bytes) {
  return decode_png(reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size());
}

TEST(Png, KeepsTransparency) {
  const auto image = decode(test::bytes_of(test::source_dir() / "third_party" / "noto-emoji" / "apple.png"));
  EXPECT_EQ(image.width, 72);
  EXPECT_EQ(image.height, 72);
  ASSERT_EQ(image.rgba.size(), 72U * 72 * 4);
  const auto* corner = image.rgba.data();
  const auto* middle = image.rgba.data() + (36 * 72 + 36) * 4;
  EXPECT_EQ(corner[3], 0);
  EXPECT_EQ(middle[3], 255);
  EXPECT_GT(middle[0], 200);  // red
  EXPECT_LT(middle[2], 80);
}

TEST(Png, RefusesWhatEndsTooEarlyOrIsDamaged) {
  const auto whole = test::bytes_of(test::source_dir() / "third_party" / "noto-emoji" / "apple.png");
  for (std::size_t size = 0; size < whole.size(); size += 41)
    test::expect_error(ErrorKind::bad_input, {"PNG"}, [&] { decode(whole.substr(0, size)); });
  auto damaged = whole;
  damaged[whole.find("IDAT") + 4 + 2] = '\x07';  // a last block of a kind that there is not
  test::expect_error(ErrorKind::bad_input, {"no such block"}, [&] { decode(damaged); });
}

TEST(Png, RefusesWhatIsNotRgba) {
  const test::TemporaryFolder folder;
  const auto path = (folder / "rgb.png").string();
  const auto sink = open_encoder({.path = path, .width = 4, .height = 4, .fps = {8, 1}});
  sink->write({4, 4, std::vector<uint8_t>(48, 7)});
  sink->finish();
  const auto whole = test::bytes_of(path);
  for (const auto& bytes : {whole, std::string("not an image"), std::string()})
    test::expect_error(ErrorKind::bad_input, {"PNG"}, [&] { decode(bytes); });
}

}  // namespace
}  // namespace t2v
