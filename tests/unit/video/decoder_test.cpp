#include <sys/stat.h>

#include "support.h"

namespace t2v::test {
namespace {

TEST(Reader, RefusesWhatIsNotAVideo) {
  TemporaryFolder folder;
  expect_error(ErrorKind::bad_input, {"No such file"}, [&] { open_video(folder / "absent.mp4"); });
  expect_error(ErrorKind::bad_input, {"it is a folder"}, [&] { open_video(folder.path()); });
  ::mkfifo((folder / "pipe.mp4").c_str(), 0600);
  expect_error(ErrorKind::bad_input, {"not a regular file"}, [&] { open_video(folder / "pipe.mp4"); });
  write_bytes(folder / "empty.mp4", "");
  const auto frame = noise(200, 200);
  write_bytes(folder / "garbage.mp4", std::string(frame.rgb.begin(), frame.rgb.end()));
  write_bytes(folder / "text.mp4", "The quick brown fox jumps over the lazy dog.\n");
  for (const auto* name : {"empty.mp4", "garbage.mp4", "text.mp4"})
    expect_error(ErrorKind::bad_input, {name}, [&] { read_all(folder / name); });
}

TEST(Reader, NamesAreFilesAndNeverProtocols) {
  for (const auto* name : {"http://127.0.0.1:9/a.mp4", "concat:a.mp4|b.mp4", "pipe:0",
                           "data:video/mp4;base64,AAAA", "file:/dev/null"})
    expect_error(ErrorKind::bad_input, {"No such file"}, [&] { open_video(name); });
}

TEST(Reader, RefusesPlaylists) {
  TemporaryFolder folder;
  write_all(options_for(folder / "clip.mp4", patches()), {patches()});
  const auto clip = (folder / "clip.mp4").string();
  write_bytes(folder / "list.txt", "ffconcat version 1.0\nfile clip.mp4\n");
  write_bytes(folder / "list.m3u8",
              "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n" + clip + "\n#EXT-X-ENDLIST\n");
  write_bytes(folder / "list.mpd",
              "<?xml version=\"1.0\"?>\n<MPD xmlns=\"urn:mpeg:dash:schema:mpd:2011\" "
              "profiles=\"urn:mpeg:dash:profile:isoff-on-demand:2011\" type=\"static\" "
              "mediaPresentationDuration=\"PT1S\"><Period><AdaptationSet "
              "mimeType=\"video/mp4\"><Representation id=\"0\"><BaseURL>" +
                  clip + "</BaseURL></Representation></AdaptationSet></Period></MPD>\n");
  // How the refusal is worded depends on FFmpeg: newer ones take a playlist only with a name to match.
  for (const auto* name : {"list.txt", "list.m3u8", "list.mpd"})
    expect_error(ErrorKind::bad_input, {name}, [&] { open_video(folder / name); });
  expect_error(ErrorKind::bad_input, {"may name other files"}, [&] { open_video(folder / "list.txt"); });
}

class CutShort : public testing::TestWithParam<const char*> {};
INSTANTIATE_TEST_SUITE_P(Formats, CutShort,
                         testing::Values("clip.mp4", "clip.mov", "clip.mkv", "clip.y4m", "clip.png"),
                         [](const auto& test) { return std::string(test.param).substr(5); });

TEST_P(CutShort, IsAnErrorThatNamesTheFile) {
  TemporaryFolder folder;
  const auto path = folder / GetParam();
  const bool still = path.extension() == ".png";
  std::vector<Frame> frames;
  for (unsigned i = 0; i < (still ? 1 : 30); ++i) frames.push_back(noise(64, 64, i));
  write_all(options_for(path, frames[0]), frames);
  const auto whole = bytes_of(path);
  for (const double part : {0.02, 0.3, 0.5, 0.7, 0.95}) {
    write_bytes(path, whole.substr(0, static_cast<std::size_t>(static_cast<double>(whole.size()) * part)));
    SCOPED_TRACE(part);
    expect_error(ErrorKind::bad_input, {GetParam()}, [&] { read_all(path); });
  }
}

TEST(Reader, CapsPixelsAndFrames) {
  TemporaryFolder folder;
  write_all(options_for(folder / "clip.mp4", patches()), std::vector<Frame>(5, patches()));
  write_all(options_for(folder / "a.png", noise(100, 100)), {noise(100, 100)});
  DecoderLimits limits;
  limits.pixels_per_frame = 128 * 64 - 1;
  expect_error(ErrorKind::bad_input, {"clip.mp4"}, [&] { open_video(folder / "clip.mp4", limits); });
  expect_error(ErrorKind::bad_input, {"a.png"}, [&] { open_video(folder / "a.png", limits); });
  limits = {};
  limits.frames = 4;
  const auto reader = open_video(folder / "clip.mp4", limits);
  for (int i = 0; i < 4; ++i) EXPECT_TRUE(reader->read());
  expect_error(ErrorKind::bad_input, {"more than 4 frames"}, [&] { reader->read(); });
}

// A one-frame y4m file of one colour, without t2v's own remark on the matrix.
void write_y4m(const std::filesystem::path& path, int width, int height, const std::string& tags, int y,
               int u, int v) {
  const auto plane = [&](int value) {
    return std::string(static_cast<std::size_t>(width) * height, static_cast<char>(value));
  };
  write_bytes(path, "YUV4MPEG2 W" + std::to_string(width) + " H" + std::to_string(height) + " F25:1 Ip C444" +
                        tags + "\nFRAME\n" + plane(y) + plane(u) + plane(v));
}

void expect_colour(const Frame& frame, const Colour& colour, int tolerance) {
  for (int c = 0; c < 3; ++c) EXPECT_NEAR(frame.rgb[c], colour[c], tolerance) << "channel " << c;
}

TEST(Reader, ConvertsByTheFilesMatrixAndRange) {
  TemporaryFolder folder;
  const auto path = folder / "clip.y4m";
  write_y4m(path, 16, 16, "", 81, 90, 240);  // red in BT.601
  expect_colour(read_all(path).at(0), {255, 0, 0}, 2);
  write_y4m(path, 16, 720, "", 63, 102, 240);  // red in BT.709, which 720 rows stand for
  expect_colour(read_all(path).at(0), {255, 0, 0}, 2);
  write_y4m(path, 16, 16, " XCOLORMATRIX=BT709", 63, 102, 240);
  expect_colour(read_all(path).at(0), {255, 0, 0}, 2);
  write_y4m(path, 16, 16, " XCOLORRANGE=FULL", 76, 85, 255);  // red in full-range BT.601
  expect_colour(read_all(path).at(0), {255, 0, 0}, 2);
  write_y4m(path, 16, 16, "", 16, 128, 128);
  expect_colour(read_all(path).at(0), {0, 0, 0}, 0);
}

// Frame `from` as an mp4 whose track header holds the rotation matrix (a, b, c, d) of ISO/IEC 14496-12,
// section 6.2.2.
Frame read_with_matrix(const std::filesystem::path& path, const Frame& from, std::array<int, 4> rotation) {
  write_all(options_for(path, from), {from});
  auto bytes = bytes_of(path);
  const auto matrix = bytes.find("tkhd") + 44;  // version 0
  const std::array<std::pair<int, int>, 4> entries{
      {{0, rotation[0]}, {4, rotation[1]}, {12, rotation[2]}, {16, rotation[3]}}};
  for (const auto& [offset, value] : entries) {
    bytes.replace(matrix + offset, 4,
                  value == 0  ? std::string(4, '\0')
                  : value > 0 ? std::string("\0\1\0\0", 4)
                              : std::string("\xff\xff\0\0", 4));
  }
  write_bytes(path, bytes);
  const auto reader = open_video(path);
  const auto frame = reader->read().value();
  EXPECT_EQ(reader->info().width, frame.width);
  EXPECT_EQ(reader->info().height, frame.height);
  return frame;
}

TEST(Reader, TurnsPicturesUpright) {
  TemporaryFolder folder;
  const auto frame = patches(128, 64);
  const auto corner = [](const Frame& of, bool right, bool bottom) {
    const auto* pixel = of.rgb.data() +
                        ((bottom ? of.height - 9 : 8) * of.width + (right ? of.width - 9 : 8)) * 3;
    return Colour{pixel[0], pixel[1], pixel[2]};
  };
  const auto near = [](const Colour& a, const Colour& b) {
    return std::abs(a[0] - b[0]) <= 4 && std::abs(a[1] - b[1]) <= 4 && std::abs(a[2] - b[2]) <= 4;
  };
  const auto& red = patch_colours[0];  // top left as it is stored
  const auto clockwise = read_with_matrix(folder / "a.mp4", frame, {0, 1, -1, 0});
  EXPECT_EQ(clockwise.width, 64);
  EXPECT_TRUE(near(corner(clockwise, true, false), red));
  EXPECT_TRUE(near(corner(clockwise, false, false), patch_colours[4]));
  const auto half = read_with_matrix(folder / "a.mp4", frame, {-1, 0, 0, -1});
  EXPECT_TRUE(near(corner(half, true, true), red));
  EXPECT_TRUE(near(corner(half, true, false), patch_colours[4]));
  const auto counter = read_with_matrix(folder / "a.mp4", frame, {0, -1, 1, 0});
  EXPECT_TRUE(near(corner(counter, false, true), red));
  EXPECT_TRUE(near(corner(counter, false, false), patch_colours[3]));
  EXPECT_TRUE(near(corner(read_with_matrix(folder / "a.mp4", frame, {1, 0, 0, 1}), false, false), red));
  const auto mirrored = read_with_matrix(folder / "a.mp4", frame, {-1, 0, 0, 1});
  EXPECT_TRUE(near(corner(mirrored, true, false), red));
  EXPECT_TRUE(near(corner(mirrored, false, false), patch_colours[3]));
  const auto transposed = read_with_matrix(folder / "a.mp4", frame, {0, 1, 1, 0});
  EXPECT_TRUE(near(corner(transposed, false, false), red));
  EXPECT_TRUE(near(corner(transposed, true, false), patch_colours[4]));
}

TEST(Reader, NotesATurnThatIsNoQuarter) {
  TemporaryFolder folder;
  read_with_matrix(folder / "a.mp4", patches(128, 64), {1, 1, -1, 1});
  const auto notes = open_video(folder / "a.mp4")->info().notes;
  ASSERT_EQ(notes.size(), 1U);
  EXPECT_NE(notes[0].find("turned by 45 degrees, which is not done"), std::string::npos) << notes[0];
}

TEST(Reader, GivesFramesInPresentationOrder) {
  TemporaryFolder folder;
  // Grey levels that rise: x264 reorders (B-frames), the reader must not.
  std::vector<Frame> frames;
  for (int i = 0; i < 20; ++i)
    frames.push_back(Frame{64, 64, std::vector<uint8_t>(64 * 64 * 3, static_cast<uint8_t>(20 + i * 10))});
  write_all(options_for(folder / "clip.mp4", frames[0]), frames);
  const auto decoded = read_all(folder / "clip.mp4");
  ASSERT_EQ(decoded.size(), 20u);
  for (int i = 0; i < 20; ++i) EXPECT_NEAR(decoded[i].rgb[0], 20 + i * 10, 3) << i;
}

}  // namespace
}  // namespace t2v::test
