// Files that were cut short, and whole ones that only look so.
#include "media_files.h"
#include "video/libav.h"

namespace t2v::test {
namespace {

// Where the packets of the first stream end, ascending.
std::vector<std::size_t> packet_ends(const std::filesystem::path& path) {
  AVFormatContext* opened = nullptr;
  EXPECT_GE(avformat_open_input(&opened, path.c_str(), nullptr, nullptr), 0);
  const libav::InputFormat container(opened);
  const libav::Packet packet(av_packet_alloc());
  std::vector<std::size_t> ends;
  for (; av_read_frame(opened, packet.get()) >= 0; av_packet_unref(packet.get()))
    if (packet->pos >= 0) ends.push_back(static_cast<std::size_t>(packet->pos + packet->size));
  std::sort(ends.begin(), ends.end());
  return ends;
}

void expect_shorter(const std::filesystem::path& path, const std::string& whole, std::size_t size) {
  if (size >= whole.size()) return;
  SCOPED_TRACE(path.filename().string() + " of " + std::to_string(size) + " bytes");
  write_bytes(path, whole.substr(0, size));
  expect_error(ErrorKind::bad_input, {"shorter than it says"}, [&] { read_all(path); });
}

class CutAfterASample : public testing::TestWithParam<const char*> {};
INSTANTIATE_TEST_SUITE_P(Formats, CutAfterASample, testing::Values("clip.mp4", "clip.mov", "clip.mkv"),
                         [](const auto& test) { return std::string(test.param).substr(5); });

TEST_P(CutAfterASample, IsShorterThanItSays) {
  const TemporaryFolder folder;
  const auto path = folder / GetParam();
  std::vector<Frame> frames;
  for (unsigned i = 0; i < 12; ++i) frames.push_back(noise(64, 64, i));
  write_all(options_for(path, frames[0]), frames);
  const auto whole = bytes_of(path);
  for (const auto end : packet_ends(path)) expect_shorter(path, whole, end);
}

TEST(CutFiles, AGifIsWholeWithItsTrailerOnly) {
  const TemporaryFolder folder;
  const auto path = folder / "a.gif";
  const auto whole = gif_bytes({{1}, {2}, {3}});
  for (std::size_t size = 34; size < whole.size(); ++size) {  // the first picture is there from 48 on
    write_bytes(path, whole.substr(0, size));
    expect_error(ErrorKind::bad_input, {"a.gif"}, [&] { read_all(path); });
  }
  for (const auto& rest : {std::string(), std::string(100, '\0'), std::string("remark")}) {
    write_bytes(path, whole + rest);
    EXPECT_EQ(read_all(path).size(), 3U) << rest;
  }
}

struct Recipe {
  const char* name;
  const char* arguments;
};
std::string recipe_name(const testing::TestParamInfo<Recipe>& test) {
  std::string name = test.param.name;
  std::replace_if(
      name.begin(), name.end(), [](unsigned char c) { return std::isalnum(c) == 0; }, '_');
  return name;
}
constexpr const char* source = "-f lavfi -i testsrc=s=64x48:r=25:d=1 ";

class CutByFormat : public testing::TestWithParam<Recipe> {};
INSTANTIATE_TEST_SUITE_P(
    Formats, CutByFormat,
    testing::Values(Recipe{"a.gif", ""}, Recipe{"a.avi", "-c:v mpeg4 -bf 2"},
                    Recipe{"vp9.webm", "-c:v libvpx-vp9"}, Recipe{"vp8.webm", "-c:v libvpx"},
                    Recipe{"a.apng", "-plays 0"}, Recipe{"a.webp", "-frames:v 1"},
                    Recipe{"live.mkv", "-c:v libx264 -g 5 -live 1 -f matroska"},
                    Recipe{"fragments.mp4", "-c:v libx264 -g 25 -movflags +frag_keyframe+empty_moov"},
                    Recipe{"with-sound.mp4", "-f lavfi -i sine=d=1.5 -c:v libx264 -movflags +faststart"}),
    recipe_name);

TEST_P(CutByFormat, IsShorterThanItSays) {
  if (!has_ffmpeg()) GTEST_SKIP() << "needs ffmpeg";
  const TemporaryFolder folder;
  const auto path = folder / GetParam().name;
  ffmpeg(folder, std::string(source) + GetParam().arguments + " " + GetParam().name);
  const auto whole = bytes_of(path);
  EXPECT_EQ(read_all(path).size(), path.extension() == ".webp" ? 1U : 25U);
  const auto ends = packet_ends(path);
  // The end of a live recording's last packet is the recording's end.
  const auto last = path.stem() == "live" || path.stem() == "fragments" ? ends.back() - 1 : whole.size() - 1;
  for (const double part : {0.5, 0.6, 0.7, 0.8, 0.9})
    expect_shorter(path, whole, static_cast<std::size_t>(static_cast<double>(last) * part));
  for (std::size_t i = 2; i < ends.size() && ends[i] < last; i += 5) expect_shorter(path, whole, ends[i]);
  expect_shorter(path, whole, last);
}

class WholeFile : public testing::TestWithParam<Recipe> {};
INSTANTIATE_TEST_SUITE_P(
    Kinds, WholeFile,
    testing::Values(Recipe{"edit-list.mp4",
                           "-c:v libx264 -g 10 t.mp4 && ffmpeg -v error -y -ss 0.3 -i t.mp4 -c copy"},
                    Recipe{"sound-is-longer.mp4", "-f lavfi -i sine=d=3 -c:v libx264"},
                    Recipe{"sound-is-longer.mkv", "-f lavfi -i sine=d=3 -c:v libx264 -c:a aac"},
                    Recipe{"dash.mp4", "-c:v libx264 -g 5 -movflags +dash+global_sidx+frag_keyframe"},
                    Recipe{"a.flv", "-c:v libx264"}, Recipe{"a.ts", "-c:v libx264"},
                    Recipe{"a.mpg", "-c:v mpeg2video"}, Recipe{"a.ogv", "-c:v libtheora"},
                    Recipe{"a.wmv", "-c:v wmv2"}, Recipe{"a.mov", "-c:v mjpeg"},
                    Recipe{"raw.h264", "-c:v libx264"},
                    Recipe{"padded.mp4", "-c:v libx264 t.mp4 && head -c 1000 /dev/zero | cat t.mp4 - >"},
                    Recipe{"ntsc.webm", "-vf settb=1/30000,setpts=N*1001 -r 30000/1001 -c:v libvpx"},
                    Recipe{"film.flv", "-r 24000/1001 -c:v libx264"}),
    recipe_name);

TEST_P(WholeFile, IsReadToItsEndAtItsRateWithoutANote) {
  if (!has_ffmpeg()) GTEST_SKIP() << "needs ffmpeg";
  const TemporaryFolder folder;
  ffmpeg(folder, std::string(source) + GetParam().arguments + " " + GetParam().name);
  const auto reader = open_video(folder / GetParam().name);
  int frames = 0;
  while (reader->read()) ++frames;
  EXPECT_GE(frames, 17);
  EXPECT_EQ(reader->info().notes, std::vector<std::string>());
  EXPECT_TRUE(reader->info().constant_rate);
  EXPECT_EQ(reader->info().has_sound, std::string(GetParam().name).starts_with("sound"));
}

}  // namespace
}  // namespace t2v::test
