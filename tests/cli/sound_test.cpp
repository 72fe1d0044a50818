// Sound of the videos that a clip is made from: it stays with the frames that it belongs to.
#include <cmath>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "expect.h"
#include "ffmpeg.h"
#include "paths.h"

namespace t2v::test {

namespace {

namespace fs = std::filesystem;

constexpr int rate = 8000;            // that sound is read back at
constexpr double block = 0.125;       // seconds that its level and pitch are of
constexpr double tone_level = 0.088;  // of ffmpeg's sine: an eighth, mean square

// What a command prints.
std::string output_of(const std::string& command) {
  std::string text;
  if (FILE* pipe = ::popen(command.c_str(), "r")) {
    for (int c = 0; (c = std::fgetc(pipe)) != EOF;) text += static_cast<char>(c);
    ::pclose(pipe);
  }
  return text;
}

// The sound of a file as one channel, from its clock's zero on.
std::vector<float> sound_of(const fs::path& path) {
  const auto bytes = output_of("ffmpeg -v error -i '" + path.string() +
                               "' -map a:0 -af aresample=async=1:first_pts=0 -f f32le -ac 1 -ar " +
                               std::to_string(rate) + " -");
  std::vector<float> samples(bytes.size() / sizeof(float));
  std::memcpy(samples.data(), bytes.data(), samples.size() * sizeof(float));
  return samples;
}

struct Heard {
  double level = 0, pitch = 0;
};

// From `at` seconds on.
Heard heard(const std::vector<float>& sound, double at) {
  const auto begin = static_cast<std::size_t>(at * rate), count = static_cast<std::size_t>(block * rate);
  double squares = 0, rises = 0;
  for (std::size_t i = begin; i < begin + count && i + 1 < sound.size(); ++i) {
    squares += static_cast<double>(sound[i]) * sound[i];
    rises += sound[i] < 0 && sound[i + 1] >= 0;
  }
  return {std::sqrt(squares / static_cast<double>(count)), rises / block};
}

// An encoder rings where a tone sets in.
void expect_tone(const std::vector<float>& sound, double from, double to, double pitch) {
  constexpr double ringing = 0.03;
  for (double at = from + ringing; at + block <= to - ringing; at += block) {
    EXPECT_NEAR(heard(sound, at).level, tone_level, 0.01) << at << " s";
    EXPECT_NEAR(heard(sound, at).pitch, pitch, 17) << at << " s";
  }
}

void expect_silence(const std::vector<float>& sound, double from, double to) {
  for (double at = from; at + block <= to; at += block)
    EXPECT_LT(heard(sound, at).level, 0.002) << at << " s";
}

class CliSound : public testing::Test {
 protected:
  void SetUp() override {
    if (!has_ffmpeg()) GTEST_SKIP() << "needs the program ffmpeg";
    make_source("aac.mp4", 440, "-c:v libx264 -pix_fmt yuv420p -c:a aac");
    make_source("opus.webm", 880, "-c:v libvpx-vp9 -cpu-used 8 -c:a libopus -ac 2");
    make_source("six.mov", 660, "-c:v libx264 -pix_fmt yuv420p -c:a pcm_s16le -ac 6");
  }

  // Two seconds of 16 frames, with a tone.
  void make_source(const std::string& name, int pitch, const std::string& codecs) const {
    const auto
        command = "ffmpeg -v error -y -f lavfi -i testsrc=s=128x128:r=8:d=2 -f lavfi -i sine=frequency=" +
                  std::to_string(pitch) + ":duration=2:sample_rate=48000 " + codecs + " '" +
                  (folder / name).string() + "'";
    ASSERT_EQ(std::system(command.c_str()), 0) << command;
  }

  std::string source(const std::string& name) const { return (folder / name).string(); }

  // The file that the program makes by these flags.
  fs::path make(const std::string& name, const Arguments& flags) {
    Arguments arguments = {"generate", "a red circle moving right on a navy background",
                           "-m",       "world-128",
                           "--seed",   "3",
                           "--steps",  "1",
                           "-o",       (folder / name).string()};
    arguments.insert(arguments.end(), flags.begin(), flags.end());
    said = run_program(arguments);
    expect_done(said);
    return folder / name;
  }

  void expect_said(const std::string& part) const {
    EXPECT_NE(said.err.find(part), std::string::npos) << said.err;
  }

  // "codec_name|channels" of the sound.
  static std::string stored_in(const fs::path& path) {
    return output_of(
        "ffprobe -v error -select_streams a -show_entries stream=codec_name,channels -of "
        "csv=p=0:s='|' '" +
        path.string() + "'");
  }
  static double first_picture(const fs::path& path) {
    return std::stod(
        output_of("ffprobe -v error -select_streams v -show_entries stream=start_time -of csv=p=0 '" +
                  path.string() + "'"));
  }

  TemporaryFolder folder;
  ProgramResult said;
};

}  // namespace

TEST_F(CliSound, IsCopiedWhereAClipGoesOn) {
  const auto clip = make("on.mp4", {"--extend", source("aac.mp4"), "--frames", "8"});
  expect_said("aac.mp4: its sound is kept (aac)");
  EXPECT_EQ(stored_in(clip), "aac|1\n");
  EXPECT_EQ(first_picture(clip), 0);
  const auto sound = sound_of(clip);
  expect_tone(sound, 0, 2, 440);
  EXPECT_LT(static_cast<double>(sound.size()) / rate, 2.05);
  // The packets are those of the source.
  const auto packets = [](const fs::path& path) {
    return output_of("ffmpeg -v error -i '" + path.string() + "' -map a:0 -c copy -f md5 -");
  };
  EXPECT_EQ(packets(clip), packets(source("aac.mp4")));
}

TEST_F(CliSound, MovesWithTheVideoWhereFramesComeBeforeIt) {
  const struct {
    const char *source, *name, *stored;
    int pitch;
  } cases[] = {{"aac.mp4", "a.mp4", "aac|1\n", 440},       {"aac.mp4", "a.mkv", "aac|1\n", 440},
               {"opus.webm", "o.webm", "opus|2\n", 880},   {"opus.webm", "o.mp4", "opus|2\n", 880},
               {"six.mov", "s.mov", "pcm_s16le|6\n", 660}, {"six.mov", "s.mp4", "aac|6\n", 660},
               {"six.mov", "s.webm", "opus|6\n", 660},     {"aac.mp4", "a.avi", "pcm_s16le|1\n", 440}};
  for (const auto& [from, name, stored, pitch] : cases) {
    SCOPED_TRACE(name);
    const auto clip = make(name, {"--extend", source(from), "--backward", "--frames", "9"});
    EXPECT_EQ(stored_in(clip), stored);
    EXPECT_EQ(first_picture(clip), 0);
    const auto sound = sound_of(clip);
    expect_silence(sound, 0, 1.0);
    expect_tone(sound, 1.125, 3.125, pitch);
  }
}

TEST_F(CliSound, OfBothVideosIsAtItsPlaceWhereTheyAreConnected) {
  for (const char* name : {"c.mp4", "c.mov", "c.mkv", "c.webm", "c.avi"}) {
    SCOPED_TRACE(name);
    const auto clip = make(
        name, {"--connect", source("aac.mp4"), "--connect", source("opus.webm"), "--frames", "8"});
    expect_said("several are joined");
    EXPECT_EQ(first_picture(clip), 0);
    const auto sound = sound_of(clip);
    expect_tone(sound, 0, 2, 440);
    expect_silence(sound, 2.125, 2.875);
    expect_tone(sound, 3, 4.875, 880);
  }
}

TEST_F(CliSound, IsWholeWhereAVideoIsFilledOrEdited) {
  const auto filled = make("filled.mp4", {"--fill", source("aac.mp4"), "--missing", "0.75-1.25"});
  expect_tone(sound_of(filled), 0, 2, 440);
  EXPECT_EQ(stored_in(filled), "aac|1\n");
  const auto edited = make("edited.mkv", {"--edit", source("opus.webm"), "--fps", "8"});
  const auto sound = sound_of(edited);  // 13 of 16 frames are edited
  expect_tone(sound, 0, 1.5, 880);
  EXPECT_LT(static_cast<double>(sound.size()) / rate, 1.7);
  EXPECT_EQ(stored_in(edited), "opus|2\n");
}

TEST_F(CliSound, StaysInTimeAtAnotherRateOfFrames) {
  const auto clip = make("fast.mp4",
                         {"--extend", source("aac.mp4"), "--backward", "--frames", "9", "--fps", "16"});
  const auto sound = sound_of(clip);
  expect_silence(sound, 0, 0.5);
  expect_tone(sound, 0.5625, 2.5, 440);
}

TEST_F(CliSound, IsLeftOutWithALine) {
  make("a.gif", {"--extend", source("aac.mp4"), "--frames", "4"});
  expect_said("aac.mp4: its sound is left out: .gif holds none");
  make("i.mp4", {"--image", source("aac.mp4"), "--frames", "5"});
  expect_said("aac.mp4: has sound, which is left out");
  EXPECT_EQ(stored_in(folder / "i.mp4"), "");
}

TEST_F(CliSound, IsShownByDryRunAndMadeAgainFromASidecar) {
  const auto clip = make("once.mp4", {"--extend", source("six.mov"), "--frames", "4", "--sidecar"});
  const auto again = make("again.mp4", {"--config", clip.string() + ".json"});
  EXPECT_EQ(bytes_of(again), bytes_of(clip));
  const auto plan = run_program({"generate", "a red circle", "-m", "world-128", "--extend", source("six.mov"),
                                 "--backward", "--frames", "9", "--dry-run", "-o", source("p.mp4")});
  const auto sound = nlohmann::json::parse(plan.out)["sound"];
  ASSERT_EQ(sound.size(), 1U) << plan.out;
  EXPECT_EQ(sound[0]["at"], 1.125);
  EXPECT_EQ(sound[0]["seconds"], 2.0);
}

// Most packets of the sound are noise: the clip is made, of what can be decoded.
TEST_F(CliSound, ThatIsDamagedKeepsNoClipFromBeingMade) {
  make_source("noise.mkv", 440, "-c:v libx264 -pix_fmt yuv420p -c:a aac -bsf:a noise=amount=20");
  const auto clip = make("damaged.avi", {"--extend", source("noise.mkv"), "--frames", "4"});
  EXPECT_EQ(stored_in(clip), "pcm_s16le|1\n");
}

}  // namespace t2v::test
