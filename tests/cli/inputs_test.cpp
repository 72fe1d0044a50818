// Every kind of input that t2v has to do with, of the reader's fuzz corpus: applied, named in a note, or
// refused by name.
#include <array>
#include <cstdlib>
#include <fstream>
#include <nlohmann/json.hpp>

#include "bytes.h"
#include "expect.h"
#include "ffmpeg.h"
#include "paths.h"
#include "video/read/decoder.h"

namespace t2v::test {

namespace {

struct Input {
  const char* name;
  int width, height;  // as it is shown
  const char* said;   // in the notes; "": nothing is, and of a refused one in the message
  bool is_refused = false;
};

const std::vector<Input> inputs = {
    {"clip-rotated.mp4", 16, 24, ""},
    {"clip-mirrored.mp4", 24, 16, ""},
    {"image-turned.jpg", 0, 0, ""},
    {"clip-wide-pixels.mp4", 32, 16, "has pixels of 2:1"},
    {"clip-variable.mkv", 16, 16, "variable"},
    {"clip-full-range.mp4", 16, 16, ""},
    {"clip-bt601.mp4", 16, 16, ""},
    {"clip-bt2020.mp4", 16, 16, "bt2020"},
    {"clip-pq.mp4", 0, 0, "PQ", true},
    {"clip-hlg.mp4", 0, 0, "HLG", true},
    {"clip-transparent.mov", 16, 16, "transparent"},
    {"clip-transparent.webp", 0, 0, ""},
    {"clip-interlaced.mp4", 16, 16, "interlaced"},
    {"clip.apng", 0, 0, ""},
    {"clip-palette.gif", 0, 0, ""},
    {"clip-animated.webp", 0, 0, ""},
    {"image-16bit.png", 0, 0, ""},
};

}  // namespace

TEST(CliInputs, AreAppliedNamedOrRefused) {
  for (const auto& input : inputs) {
    SCOPED_TRACE(input.name);
    const auto path = source_dir() / "tests/fuzz/seeds/media" / input.name;
    const auto result = run_program({"info", "--json", path.string()});
    if (input.is_refused) {
      expect_refused(result, 3, {input.name, input.said});
      continue;
    }
    expect_done(result);
    const auto info = nlohmann::json::parse(result.out);
    if (input.width > 0) {
      EXPECT_EQ(info.at("width"), input.width);
      EXPECT_EQ(info.at("height"), input.height);
    }
    const auto notes = info.value("notes", nlohmann::json::array()).dump();
    EXPECT_NE(notes.find(input.said), std::string::npos) << notes;
    EXPECT_EQ(notes == "[]", *input.said == '\0') << notes;
  }
}

namespace {

using Colour = std::array<int, 3>;
using Patches = std::array<Colour, 4>;  // top left, top right, bottom left, bottom right

constexpr Colour red{255, 0, 0}, green{0, 255, 0}, blue{0, 0, 255}, white{255, 255, 255};
constexpr Patches upright{red, green, blue, white};

// Four patches, which ffmpeg draws and writes in many ways.
class CliPatches : public testing::Test {
 protected:
  void SetUp() override {
    if (!has_ffmpeg()) GTEST_SKIP() << "needs the program ffmpeg";
  }

  // How ffmpeg is to filter and write five frames of them. Alpha is 255, on the right `right_alpha`.
  std::filesystem::path draw(const std::string& name, const std::string& filters, const std::string& codec,
                             int width = 128, const std::string& right_alpha = "255") const {
    const auto path = folder / name;
    const auto w = std::to_string(width / 2);
    const auto command = "ffmpeg -v error -y -f lavfi -i \"color=s=" + std::to_string(width) +
                         "x128:r=8:d=0.625,format=gbrap,geq=r='255*(lt(X," + w + ")*lt(Y,64)+gte(X," + w +
                         ")*gte(Y,64))':g='255*gte(X," + w + ")':b='255*gte(Y,64)':a='if(lt(X," + w +
                         "),255," + right_alpha + ")'" + filters + "\" " + codec + " '" + path.string() + "'";
    EXPECT_EQ(std::system(command.c_str()), 0) << command;
    return path;
  }

  // Of the first frame of a clip that begins with the file: the middles of its patches.
  Patches read_by(const char* flag, const std::filesystem::path& path) const {
    const auto out = folder / "out" / "%03d.png";
    std::filesystem::create_directories(out.parent_path());
    expect_done(run_program({"generate", "a red circle", "-m", "world-128", flag, path.string(), "--frames",
                             flag == std::string("--image") ? "1" : "4", "--size", "128x128", "--steps", "1",
                             "--seed", "1", "-o", out.string()}));
    const auto frame = open_video(folder / "out" / "000.png")->read();
    Patches patches{};
    for (std::size_t i = 0; i < 4; ++i)
      for (std::size_t c = 0; c < 3; ++c)
        patches[i][c] = frame->rgb[((i < 2 ? 32 : 96) * 128 + (i % 2 == 0 ? 32 : 96)) * 3 + c];
    return patches;
  }

  static void expect_near(const Patches& found, const Patches& wanted, int tolerance) {
    for (std::size_t i = 0; i < 4; ++i)
      for (std::size_t c = 0; c < 3; ++c)
        EXPECT_NEAR(found[i][c], wanted[i][c], tolerance) << "patch " << i << ", channel " << c;
  }

  TemporaryFolder folder;
};

// Writes a track's matrix over the one that is there: x' = a·x + c·y, y' = b·x + d·y, y downwards.
void turn(const std::filesystem::path& path, int a, int b, int c, int d) {
  auto bytes = bytes_of(path);
  const auto matrix = bytes.find("tkhd") + 4 + 40;  // of version 0
  const auto put = [&](std::size_t at, int value) {
    for (std::size_t i = 0; i < 4; ++i)
      bytes[matrix + at * 4 + i] = i < 2 ? static_cast<char>(value >> (8 - 8 * i)) : '\0';
  };
  put(0, a), put(1, b), put(3, c), put(4, d);
  write_bytes(path, bytes);
}

}  // namespace

TEST_F(CliPatches, HaveTheirColoursWhateverTheyAreStoredAs) {
  const std::string lossless = "-c:v libx264 -qp 0";
  const struct {
    const char *name, *filters;
    std::string codec;
  } cases[] = {{"709.mp4", ",scale=out_color_matrix=bt709:out_range=tv,format=yuv444p",
                lossless + " -colorspace bt709 -color_range tv"},
               {"601.mp4", ",scale=out_color_matrix=smpte170m:out_range=tv,format=yuv444p",
                lossless + " -colorspace smpte170m -color_range tv"},
               {"2020.mkv", ",scale=out_color_matrix=bt2020:out_range=tv,format=yuv444p10le",
                lossless + " -colorspace bt2020nc -color_range tv"},
               {"full.mp4", ",scale=out_color_matrix=bt709:out_range=pc,format=yuv444p",
                lossless + " -colorspace bt709 -color_range pc"},
               {"interlaced.mp4", ",scale=out_color_matrix=bt709:out_range=tv,format=yuv444p",
                lossless + " -colorspace bt709 -color_range tv -flags +ildct+ilme -x264opts tff=1"},
               {"pictures-%02d.png", ",format=rgb48be", ""},
               {"a.gif", ",format=rgb24", ""},
               {"a.apng", ",format=rgb24", "-f apng"},
               {"a.webp", "", "-c:v libwebp_anim -lossless 1"},
               {"a.avi", ",format=bgr0", "-c:v ffv1"}};
  for (const auto& [name, filters, codec] : cases) {
    SCOPED_TRACE(name);
    expect_near(read_by("--extend", draw(name, filters, codec)), upright, 3);
  }
}

TEST_F(CliPatches, AreTurnedMirroredAndStretchedAsTheFileSays) {
  const std::string plain = "-c:v libx264 -qp 0 -pix_fmt yuv444p -colorspace bt709 -color_range tv";
  const auto* filters = ",scale=out_color_matrix=bt709:out_range=tv,format=yuv444p";
  const auto turned = draw("turned.mp4", filters, plain), mirrored = draw("mirrored.mp4", filters, plain);
  turn(turned, 0, 1, -1, 0);  // clockwise
  turn(mirrored, -1, 0, 0, 1);
  expect_near(read_by("--extend", turned), {blue, red, white, green}, 3);
  expect_near(read_by("--extend", mirrored), {green, red, white, blue}, 3);
  expect_near(read_by("--extend", draw("wide.mp4", std::string(filters) + ",setsar=2", plain, 64)), upright,
              3);

  const auto photo = draw("photo.jpg", ",format=yuvj444p", "-frames:v 1 -q:v 2");
  const std::string orientation(
      "\xff\xe1\0\x22"
      "Exif\0\0II*\0\x8\0\0\0\1\0\x12\1\3\0\1\0\0\0\6\0\0\0\0\0\0\0",
      36);
  write_bytes(photo, bytes_of(photo).insert(2, orientation));
  expect_near(read_by("--image", photo), {blue, red, white, green}, 6);
}

TEST_F(CliPatches, AreShownOnWhiteWhereTheyAreTransparent) {
  const auto wanted = Patches{red, white, blue, white};
  expect_near(read_by("--extend", draw("a.mkv", ",format=bgra", "-c:v ffv1", 128, "0")), wanted, 1);
  expect_near(read_by("--extend", draw("a.webp", "", "-c:v libwebp_anim -lossless 1", 128, "0")), wanted, 1);
  expect_near(read_by("--image", draw("a.png", ",format=rgba", "-frames:v 1", 128, "0")), wanted, 1);
}

}  // namespace t2v::test
