// Every kind of file that the program writes, made and read back through the binary.
#include <cstdio>
#include <nlohmann/json.hpp>
#include <set>

#include "expect.h"
#include "ffmpeg.h"
#include "model_copy.h"
#include "video/read/decoder.h"
#include "video/write/encoder.h"

namespace t2v::test {

namespace {

using Json = nlohmann::json;

constexpr int side = 128;
constexpr std::size_t chart_frames = 5;

// Eight flat patches, four by two.
Frame chart() {
  constexpr uint8_t colours[8][3] = {{255, 0, 0}, {0, 255, 0}, {0, 0, 255},   {255, 255, 255},
                                     {0, 0, 0},   {0, 0, 128}, {255, 165, 0}, {205, 133, 63}};
  Frame frame{side, side, {}};
  for (int y = 0; y < side; ++y)
    for (int x = 0; x < side; ++x)
      for (const auto value : colours[y * 2 / side * 4 + x * 4 / side]) frame.rgb.push_back(value);
  return frame;
}

// The largest difference from the chart, four pixels or more from the edges of its patches.
int distance_from_chart(const Frame& frame) {
  const auto truth = chart();
  if (frame.width != side || frame.height != side) return 256;
  int largest = 0;
  for (int y = 0; y < side; ++y)
    for (int x = 0; x < side; ++x) {
      if (x % 32 < 4 || x % 32 > 27 || y % 64 < 4 || y % 64 > 59) continue;
      for (int c = 0; c < 3; ++c) {
        const auto at = static_cast<std::size_t>((y * side + x) * 3 + c);
        largest = std::max(largest, std::abs(frame.rgb[at] - truth.rgb[at]));
      }
    }
  return largest;
}

// What ffprobe says of the first stream, one key=value a line; nothing where there is no ffprobe.
std::string probed(const std::filesystem::path& path) {
  const auto command =
      "ffprobe -v error -count_frames -select_streams v:0 -show_entries stream=codec_name,pix_fmt,"
      "color_range,color_space,color_transfer,color_primaries,r_frame_rate,nb_read_frames "
      "-of default=nw=1 '" +
      path.string() + "' 2>/dev/null";
  std::string text;
  if (FILE* pipe = ::popen(command.c_str(), "r")) {
    for (int c = 0; (c = std::fgetc(pipe)) != EOF;) text += static_cast<char>(c);
    ::pclose(pipe);
  }
  return text;
}

struct Output {
  const char* name;
  const char* codec;  // --codec; empty: what the name takes by itself
  const char* stored;
  int tolerance;                    // of 255
  std::vector<const char*> probed;  // lines of ffprobe
  bool holds_provenance = true;
  bool exact_rate = true;
};

#define T2V_BT709 "color_range=tv", "color_space=bt709", "color_transfer=bt709", "color_primaries=bt709"
const std::vector<Output> outputs = {
    {"a.mp4", "", "h264", 6, {"pix_fmt=yuv420p", "r_frame_rate=24000/1001", T2V_BT709}},
    {"a.mp4", "hevc", "hevc", 6, {"pix_fmt=yuv420p10le", "r_frame_rate=24000/1001", T2V_BT709}},
    {"a.mp4", "av1", "av1", 6, {"pix_fmt=yuv420p10le", "r_frame_rate=24000/1001", T2V_BT709}},
    {"a.mov", "", "h264", 6, {"pix_fmt=yuv420p", "r_frame_rate=24000/1001", T2V_BT709}},
    {"a.mov", "hevc", "hevc", 6, {"pix_fmt=yuv420p10le", T2V_BT709}},
    {"a.mov", "prores", "prores", 6, {"pix_fmt=yuv422p10le", "r_frame_rate=24000/1001", T2V_BT709}},
    {"a.mkv", "", "h264", 6, {"pix_fmt=yuv420p", "r_frame_rate=24000/1001", T2V_BT709}},
    {"a.mkv", "hevc", "hevc", 6, {"pix_fmt=yuv420p10le", T2V_BT709}},
    {"a.mkv", "ffv1", "ffv1", 0, {"pix_fmt=gbrp16le", "r_frame_rate=24000/1001", "color_primaries=bt709"}},
    {"a.mkv", "av1", "av1", 6, {"pix_fmt=yuv420p10le", T2V_BT709}},
    {"a.webm", "", "vp9", 6, {"pix_fmt=yuv420p", "r_frame_rate=24000/1001", T2V_BT709}},
    {"a.webm", "av1", "av1", 6, {"pix_fmt=yuv420p10le", "r_frame_rate=24000/1001", T2V_BT709}},
    {"a.avi", "", "h264", 6, {"pix_fmt=yuv420p", "r_frame_rate=24000/1001", T2V_BT709}},
    {"a.avi", "ffv1", "ffv1", 0, {"pix_fmt=gbrp16le", "r_frame_rate=24000/1001"}},
    {"a.gif", "", "gif", 2, {"nb_read_frames=9"}, true, false},
    {"a.webp", "", "webp", 10, {}, true, false},
    {"%03d.png", "", "png", 0, {}, true, false},
    {"%03d.png", "png16", "png", 0, {}, true, false},
    {"a.y4m", "", "rawvideo", 3, {"pix_fmt=yuv444p", "r_frame_rate=24000/1001", "color_range=tv"}, false}};

std::string label_of(const Output& output) {
  const std::string name = output.name;
  const auto container = name.substr(name.rfind('.') + 1);
  return container + (*output.codec != '\0' ? "_" + std::string(output.codec) : "");
}

class CliFormats : public testing::TestWithParam<Output> {
 protected:
  // A clip that goes on from the chart: its first frames are the chart's.
  std::filesystem::path make(const Arguments& more = {}) {
    const auto path = folder / GetParam().name;
    const auto still = folder / "in" / "%d.png";
    std::filesystem::create_directories(still.parent_path());
    const auto sink = open_encoder({.path = still.string(), .width = side, .height = side, .fps = {24, 1}});
    for (std::size_t i = 0; i < chart_frames; ++i) sink->write(chart());
    sink->finish();
    Arguments arguments = {"generate", "a red \"circle\" & ein grüner Ring",
                           "-m",       "world-128",
                           "--extend", still.string(),
                           "--frames", "4",
                           "--steps",  "1",
                           "--seed",   "3",
                           "--fps",    "24000/1001",
                           "-o",       path.string()};
    if (*GetParam().codec != '\0') arguments.insert(arguments.end(), {"--codec", GetParam().codec});
    arguments.insert(arguments.end(), more.begin(), more.end());
    said = run_program(arguments);
    expect_done(said);
    return path;
  }

  TemporaryFolder folder;
  ProgramResult said;
};
INSTANTIATE_TEST_SUITE_P(Outputs, CliFormats, testing::ValuesIn(outputs),
                         [](const auto& test) { return label_of(test.param); });

}  // namespace

TEST_P(CliFormats, ComesBackAsItWasMade) {
  const auto path = make();
  const auto reader = open_video(path);
  std::size_t count = 0;
  while (const auto frame = reader->read()) {
    if (count++ < chart_frames) {
      EXPECT_LE(distance_from_chart(*frame), GetParam().tolerance) << count;
    }
  }
  EXPECT_EQ(count, chart_frames + 4);
  EXPECT_EQ(reader->info().codec, GetParam().stored);
  const auto& fps = reader->info().fps;
  if (GetParam().exact_rate) {
    EXPECT_EQ(int64_t{fps.numerator} * 1001, int64_t{fps.denominator} * 24000);
  }
  const auto tags = probed(path);
  for (const auto* line : GetParam().probed) {
    EXPECT_TRUE(tags.empty() || tags.find(std::string(line) + "\n") != std::string::npos)
        << line << ": " << tags;
  }
}

TEST_P(CliFormats, SaysHowItWasMadeAndIsMadeAgainByItself) {
  const auto path = make();
  const auto sidecar = "--sidecar writes that beside a file";
  EXPECT_EQ(said.err.find(sidecar) == std::string::npos, GetParam().holds_provenance) << said.err;
  const auto again = folder / ("again-" + std::string(GetParam().name));
  const Arguments repeat = {"generate", "--config", path.string(), "-o", again.string()};
  if (!GetParam().holds_provenance) {
    expect_refused(run_program(repeat), 2, {path.string(), "does not say how it was made", "--config"});
    return;
  }
  const auto provenance = info_of(path).at("metadata").at("comment");
  EXPECT_EQ(provenance.at("settings").at("prompt"), "a red \"circle\" & ein grüner Ring");
  EXPECT_EQ(provenance.at("settings").at("seed"), 3);
  EXPECT_NE(provenance.at("digital_source_type").get<std::string>().find("trainedAlgorithmicMedia"),
            std::string::npos);
  const auto repeated = run_program(repeat);
  expect_done(repeated);
  EXPECT_EQ(repeated.err.find("warning"), std::string::npos) << repeated.err;
  const auto is_sequence = path.extension() == ".png";
  const auto first = [&](const std::filesystem::path& name) {
    return is_sequence
               ? name.parent_path() / (name.filename() == path.filename() ? "008.png" : "again-008.png")
               : name;
  };
  EXPECT_TRUE(bytes_of(first(path)) == bytes_of(first(again)));
}

namespace {

Json plan_of(const Arguments& more) {
  Arguments arguments = {"generate", "-p", "x", "--dry-run"};
  arguments.insert(arguments.end(), more.begin(), more.end());
  const auto result = run_program(arguments);
  expect_done(result);
  return Json::parse(result.out);
}

// The sixteen-bit values of all pixels, as ffmpeg reads them.
std::set<int> values_of(const std::filesystem::path& path) {
  const TemporaryFolder folder;
  const auto raw = folder / "raw";
  const auto command = "ffmpeg -v error -i '" + path.string() + "' -f rawvideo -pix_fmt rgb48le '" +
                       raw.string() + "'";
  EXPECT_EQ(std::system(command.c_str()), 0) << command;
  const auto bytes = bytes_of(raw);
  std::set<int> values;
  for (std::size_t i = 0; i + 1 < bytes.size(); i += 2)
    values.insert(static_cast<uint8_t>(bytes[i]) | static_cast<uint8_t>(bytes[i + 1]) << 8);
  return values;
}

}  // namespace

TEST(CliRates, ACoarseClockIsSaid) {
  const TemporaryFolder folder;
  const auto notes = [&](const char* name, const char* fps) {
    return plan_of({"-o", (folder / name).string(), "--fps", fps}).at("notes").dump();
  };
  EXPECT_NE(
      notes("a.gif", "24000/1001").find("GIF counts in hundredths of a second: a frame stays for 4 or 5"),
      std::string::npos);
  EXPECT_NE(notes("a.webp", "24").find("a frame stays for 41 or 42 of them, 24 frames per second on average"),
            std::string::npos);
  for (const auto& [name, fps] : {std::pair{"a.gif", "20"}, {"a.webp", "8"}, {"a.mp4", "24000/1001"}})
    EXPECT_EQ(notes(name, fps).find(" counts in "), std::string::npos) << name;
}

TEST(CliDepth, FramesOfTheAutoencoderKeepMoreThanEightBits) {
  if (!has_ffmpeg()) GTEST_SKIP() << "needs the program ffmpeg";
  const TemporaryFolder folder;
  const auto latents = (folder / "latents.safetensors").string();
  expect_done(run_program(
      quick_clip(folder / "a.mkv", {"-m", "world-128", "--codec", "ffv1", "--save-latents", latents})));
  expect_done(run_program({"decode", latents, "-o", (folder / "%03d.png").string(), "--codec", "png16"}));
  expect_done(run_program({"decode", latents, "-o", (folder / "eight-%03d.png").string()}));
  const auto ffv1 = values_of(folder / "a.mkv"), png = values_of(folder / "%03d.png");
  EXPECT_GT(ffv1.size(), 2000U);
  EXPECT_EQ(ffv1, png);
  EXPECT_EQ(info_of(folder / "000.png").at("pixel_format"), "rgb48be");
  EXPECT_EQ(info_of(folder / "eight-000.png").at("pixel_format"), "rgb24");
}

TEST(CliColour, PicturesSayThatTheyAreSrgb) {
  using namespace std::string_literals;
  const TemporaryFolder folder;
  for (const auto* codec : {"png", "png16"}) {
    const auto path = folder / (std::string(codec) + ".png");
    expect_done(run_program(quick_clip(path, {"--frames", "1", "--codec", codec})));
    const auto bytes = bytes_of(path);
    const auto pixels = bytes.find("IDAT");
    // Length and type; then 45455 (1/2.2) and the white point, 31270 and 32900, of 100000.
    for (const auto& chunk :
         {"\0\0\0\1sRGB"s, "\0\0\0\4gAMA\0\0\xb1\x8f"s, "\0\0\0\x20"s + "cHRM\0\0\x7a\x26\0\0\x80\x84"s})
      EXPECT_LT(bytes.find(chunk), pixels) << codec << ": " << chunk.substr(4, 4);
  }
}

TEST(CliCompression, IsPartOfThePlanAndWhatACodecDoesNotTakeIsSaid) {
  const TemporaryFolder folder;
  const auto to = [&](const char* name) { return (folder / name).string(); };
  EXPECT_EQ(plan_of({"-o", to("a.mp4")}).at("crf"), 18);
  EXPECT_EQ(plan_of({"-o", to("a.mp4"), "--quality", "70"}).at("quality"), 70);
  EXPECT_FALSE(plan_of({"-o", to("a.mp4"), "--quality", "70"}).contains("crf"));
  EXPECT_EQ(plan_of({"-o", to("a.webm"), "--bitrate", "2.5M"}).at("bitrate"), "2.5M");
  const auto lossless = plan_of({"-o", to("a.mkv"), "--codec", "ffv1", "--crf", "10"});
  EXPECT_FALSE(lossless.contains("crf"));
  EXPECT_NE(lossless.at("notes").dump().find("--crf is left aside: FFV1 has no such choice"),
            std::string::npos);
  const auto refused = [&](Arguments more, const std::vector<std::string>& parts) {
    more.insert(more.begin(), {"generate", "-p", "x"});
    expect_refused(run_program(more), 2, parts);
  };
  refused({"-o", to("a.mp4"), "--crf", "20", "--bitrate", "2M"},
          {"only one of --crf, --quality and --bitrate"});
  refused({"-o", to("a.mp4"), "--bitrate", "2Mb"}, {"--bitrate", "4M, 800k", "'2Mb'"});
  refused({"-o", to("a.mp4"), "--quality", "101"}, {"--quality", "between 0 and 100", "101"});
  refused({"-o", to("a.mp4"), "--codec", "prores"}, {"cannot hold --codec prores", "h264, hevc, av1"});
  refused({"-o", to("a.webm"), "--codec", "divx"}, {"--codec 'divx'", "h264, hevc"});
  refused({"-o", to("a.gif"), "--fps", "60"}, {"GIF", "50 frames per second"});
  EXPECT_TRUE(names_in(folder.path()).empty());
}

TEST(CliCompression, AnEncoderThatThisFfmpegLacksIsNamedBeforeWeightsLoad) {
  const TemporaryFolder folder;
  const auto library = std::filesystem::path(T2V_FAKES) / "encoders" / "libencoders.so";
  const auto refused = run_program(
      {"generate", "-p", "x", "-o", (folder / "a.mp4").string(), "--codec", "hevc", "--dry-run"},
      {{"LD_PRELOAD", library.string()}, {"T2V_FAKE_MISSING", "libx265"}});
  expect_refused(refused, 4, {"a.mp4", "built without libx265", "HEVC", "--codec may be h264, av1"});
}

TEST(CliProvenance, AClipAsConfigWarnsOfAnotherModel) {
  const TemporaryFolder folder;
  ModelCopy other(folder / "other");
  other.change_tensors(vae_file, [](RawTensors& tensors) {
    auto bias = floats_of(tensors, "decoder.conv_in.bias");
    bias[0] += 0.01F;
    set_floats(tensors, "decoder.conv_in.bias", bias);
  });
  expect_done(run_program(quick_clip(folder / "a.mp4", {"-m", other.path()})));
  const auto result = run_program({"generate", "--config", (folder / "a.mp4").string(), "-m", "world-128",
                                   "--size", "128x128", "-o", (folder / "b.mp4").string()});
  expect_done(result);
  for (const auto* part : {"warning: ", "a.mp4: its clip was made by a model with the hash", "world-128 has"})
    EXPECT_NE(result.err.find(part), std::string::npos) << result.err;
}

}  // namespace t2v::test
