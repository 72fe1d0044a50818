// Clips as the program makes them: repeatable to the byte, and read back as what they claim to be.
#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "clip_frames.h"
#include "expect.h"
#include "model_copy.h"
#include "video/read/decoder.h"

namespace t2v::test {

namespace {

// Mean absolute difference of all channels of all frames, in levels of 255.
double mean_difference(const std::vector<Frame>& a, const std::vector<Frame>& b) {
  if (a.size() != b.size()) return 255;
  double sum = 0, count = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    if (a[i].rgb.size() != b[i].rgb.size()) return 255;
    for (std::size_t j = 0; j < a[i].rgb.size(); ++j) sum += std::abs(a[i].rgb[j] - b[i].rgb[j]);
    count += static_cast<double>(a[i].rgb.size());
  }
  return sum / count;
}

void make(const Arguments& arguments) { expect_done(run_program(arguments)); }

}  // namespace

TEST(CliClips, TheSameCommandMakesTheSameBytes) {
  const TemporaryFolder folder;
  for (const char* run : {"first", "second"}) {
    std::filesystem::create_directory(folder / run);
    make(quick_clip(folder / run / "clip.mp4",
                    {"--save-latents", (folder / run / "latents.safetensors").string()}));
    make(quick_clip(folder / run / "%d.png"));
  }
  for (const auto& name : {"clip.mp4", "latents.safetensors", "0.png", "4.png"})
    EXPECT_EQ(bytes_of(folder / "first" / name), bytes_of(folder / "second" / name)) << name;
}

TEST(CliClips, CountMakesTheClipsOfTheNextSeeds) {
  const TemporaryFolder folder;
  const auto both = run_program(quick_clip(folder / "both-{seed}.mp4", {"--count", "2", "--seed", "8"}));
  expect_done(both);
  auto printed = lines_of(both.out);  // in the order in which they were finished
  std::sort(printed.begin(), printed.end());
  EXPECT_EQ(printed,
            (std::vector<std::string>{(folder / "both-8.mp4").string(), (folder / "both-9.mp4").string()}));
  for (const char* seed : {"8", "9"}) {
    make(quick_clip(folder / "single.mp4", {"--seed", seed}));
    EXPECT_EQ(mean_difference(frames_of(folder / "single.mp4"),
                              frames_of(folder / (std::string("both-") + seed + ".mp4"))),
              0);
    EXPECT_EQ(bytes_of(folder / "single.mp4"), bytes_of(folder / (std::string("both-") + seed + ".mp4")));
  }
}

TEST(CliClips, TheReferencesNoiseIsTheSeedsNoise) {
  const TemporaryFolder folder;
  const auto golden_runs = read_raw_tensors(golden("trajectories.safetensors"));
  const auto& noise = golden_runs.header.at("square.ddim.noise");  // of seed 1
  const auto begin = noise.at("data_offsets")[0].get<std::size_t>(),
             size = noise.at("data_offsets")[1].get<std::size_t>() - begin;
  write_raw_tensors(
      folder / "noise.safetensors",
      {{{"latents", {{"dtype", "F32"}, {"shape", noise.at("shape")}, {"data_offsets", {0, size}}}}},
       golden_runs.data.substr(begin, size)});
  make(quick_clip(folder / "seed%d.png",
                  {"--seed", "1", "--size", "64x64", "--frames", "9", "--scheduler", "ddim"}));
  make(quick_clip(folder / "noise%d.png",
                  {"--seed", "2", "--size", "64x64", "--frames", "9", "--scheduler", "ddim", "--init-latents",
                   (folder / "noise.safetensors").string()}));
  EXPECT_LT(mean_difference(frames_of(folder / "seed%d.png"), frames_of(folder / "noise%d.png")), 0.01);
}

TEST(CliClips, SavedLatentsDecodeToTheSameFrames) {
  const TemporaryFolder folder;
  const auto latents = (folder / "latents.safetensors").string();
  make(quick_clip(folder / "made%d.png", {"--save-latents", latents}));
  const auto decoded = run_program({"decode", latents, "-o", (folder / "decoded%d.png").string()});
  expect_done(decoded);
  EXPECT_EQ(decoded.out, (folder / "decoded%d.png").string() + "\n");
  EXPECT_EQ(frames_of(folder / "made%d.png").size(), 5U);
  EXPECT_EQ(mean_difference(frames_of(folder / "made%d.png"), frames_of(folder / "decoded%d.png")), 0);
}

TEST(CliClips, AShorterSequenceOverALongerOneSaysWhatStays) {
  const TemporaryFolder folder;
  const auto pattern = folder / "frame-%03d.png";
  make(quick_clip(pattern, {"--frames", "9"}));
  const auto shorter = run_program(quick_clip(pattern, {"--frames", "5"}));
  expect_done(shorter);
  EXPECT_NE(shorter.err.find((folder / "frame-005.png").string() + " to " +
                             (folder / "frame-008.png").string() + " stay from an earlier, longer sequence"),
            std::string::npos)
      << shorter.err;
  const auto as_long = run_program(quick_clip(pattern, {"--frames", "9"}));
  expect_done(as_long);
  EXPECT_EQ(as_long.err.find("earlier"), std::string::npos) << as_long.err;
}

TEST(CliClips, EncodeAndDecodeComeBackClose) {
  const TemporaryFolder folder;
  const auto latents = (folder / "latents.safetensors").string();
  make(quick_clip(folder / "clip%d.png", {"--steps", "20", "--frames", "17"}));
  make({"encode", (folder / "clip%d.png").string(), "-o", latents});
  make({"decode", latents, "-o", (folder / "again%d.png").string()});
  EXPECT_LT(mean_difference(frames_of(folder / "clip%d.png"), frames_of(folder / "again%d.png")), 4);
}

TEST(CliClips, TheMovieIsWhatItClaimsAndHasThePicturesColours) {
  const TemporaryFolder folder;
  make(
      quick_clip(folder / "clip.mp4", {"--steps", "10", "--frames", "9", "--aspect", "16:9", "--fps", "12"}));
  make(quick_clip(folder / "clip%d.png",
                  {"--steps", "10", "--frames", "9", "--aspect", "16:9", "--fps", "12"}));
  const auto described = run_program({"info", "--json", (folder / "clip.mp4").string()});
  expect_done(described);
  const auto info = nlohmann::json::parse(described.out);
  EXPECT_EQ(info.at("width"), 160);
  EXPECT_EQ(info.at("height"), 96);
  EXPECT_EQ(info.at("fps"), 12);
  EXPECT_EQ(info.at("frames"), 9);
  EXPECT_EQ(info.at("codec"), "h264");
  EXPECT_EQ(info.at("pixel_format"), "yuv420p");
  EXPECT_EQ(info.at("colour_space"), "bt709");
  EXPECT_EQ(info.at("colour_range"), "tv");
  const auto& comment = info.at("metadata").at("comment");
  EXPECT_EQ(comment.at("settings").at("seed"), 3);
  EXPECT_EQ(comment.at("settings").at("prompt"), "a red circle bouncing on a navy background");
  EXPECT_NE(comment.at("digital_source_type").get<std::string>().find("trainedAlgorithmicMedia"),
            std::string::npos);
  EXPECT_LT(mean_difference(frames_of(folder / "clip.mp4"), frames_of(folder / "clip%d.png")), 4);
}

TEST(CliClips, ASidecarMakesTheSameBytesAgain) {
  const TemporaryFolder folder;
  make(quick_clip(folder / "clip.mp4", {"--sidecar", "--resize", "192x192", "--resize-filter", "nearest",
                                        "--scheduler", "unipc"}));
  ASSERT_TRUE(std::filesystem::exists(folder / "clip.mp4.json"));
  make({"generate", "--config", (folder / "clip.mp4.json").string(), "-o", (folder / "again.mp4").string()});
  EXPECT_EQ(bytes_of(folder / "clip.mp4"), bytes_of(folder / "again.mp4"));
}

TEST(CliClips, ResizedFramesHaveTheirSize) {
  const TemporaryFolder folder;
  make(quick_clip(folder / "plain.png", {"--frames", "1"}));
  make(quick_clip(folder / "nearest.png",
                  {"--frames", "1", "--resize", "384x256", "--resize-filter", "nearest"}));
  make(quick_clip(folder / "lanczos.png", {"--frames", "1", "--resize", "33x31"}));
  const auto plain = frames_of(folder / "plain.png"), nearest = frames_of(folder / "nearest.png"),
             lanczos = frames_of(folder / "lanczos.png");
  ASSERT_EQ(nearest.at(0).width, 384);
  ASSERT_EQ(nearest.at(0).height, 256);
  EXPECT_EQ(lanczos.at(0).width, 33);
  EXPECT_EQ(lanczos.at(0).height, 31);
  for (int y = 0; y < 256; ++y)
    for (int x = 0; x < 384 * 3; ++x)
      ASSERT_EQ(nearest[0].rgb[static_cast<std::size_t>(y * 384 * 3 + x)],
                plain.at(0).rgb[static_cast<std::size_t>((y / 2) * 128 * 3 + x / 9 * 3 + x % 3)]);
}

TEST(CliClips, TraceHoldsTheTextAndEveryStep) {
  const TemporaryFolder folder;
  make(quick_clip(folder / "clip.mp4", {"--trace", (folder / "trace").string(), "--save-latents",
                                        (folder / "latents.safetensors").string()}));
  EXPECT_EQ(names_in(folder / "trace"),
            (std::vector<std::string>{"step_0000.safetensors", "step_0001.safetensors", "text.safetensors"}));
  const auto text = read_raw_tensors(folder / "trace/text.safetensors");
  EXPECT_EQ(text.header.at("prompt_embeds").at("shape"), nlohmann::ordered_json({40, 128}));
  EXPECT_EQ(text.header.at("negative_prompt_embeds").at("shape"), nlohmann::ordered_json({40, 128}));
  const auto last = read_raw_tensors(folder / "trace/step_0001.safetensors");
  EXPECT_EQ(last.header.at("latents").at("shape"), nlohmann::ordered_json({1, 8, 2, 8, 8}));
  EXPECT_EQ(last.header.at("timestep").at("dtype"), "I64");
  EXPECT_EQ(floats_of(last, "latents"),
            floats_of(read_raw_tensors(folder / "latents.safetensors"), "latents"));
}

TEST(CliClips, StandardOutputHoldsThePathOrTheVideo) {
  const TemporaryFolder folder;
  const auto file = run_program(quick_clip(folder / "clip.y4m"));
  expect_done(file);
  EXPECT_EQ(file.out, (folder / "clip.y4m").string() + "\n");
  EXPECT_NE(file.err.find("denoise"), std::string::npos);
  const auto video = run_program(quick_clip("-"));
  expect_done(video);
  EXPECT_TRUE(video.out.starts_with("YUV4MPEG2 W128 H128 F8:1 ")) << video.out.substr(0, 60);
  EXPECT_EQ(video.out, bytes_of(folder / "clip.y4m"));
}

TEST(CliClips, ProgressIsJsonOrNothingWhenAsked) {
  const TemporaryFolder folder;
  const auto with_json = run_program(
      quick_clip(folder / "clip.mp4", {"--progress", "json", "--seconds", "1.3"}));
  expect_done(with_json);
  int steps = 0, notes = 0;
  for (const auto& line : lines_of(with_json.err)) {
    const auto event = nlohmann::json::parse(line, nullptr, /*allow_exceptions=*/false);
    ASSERT_TRUE(event.is_object()) << line;
    notes += event.at("event") == "note" &&
                     event.at("text").get<std::string>().find("10 frames became 9") == 0
                 ? 1
                 : 0;
    steps += event.at("event") == "progress" && event.at("stage") == "denoise" ? 1 : 0;
  }
  EXPECT_EQ(steps, 2);
  EXPECT_EQ(notes, 1);
  const auto silent = run_program(quick_clip(folder / "clip.mp4", {"--progress", "none"}));
  expect_done(silent);
  for (const char* stage : {"load 3/3", "denoise 1", "decode 1"})
    EXPECT_EQ(silent.err.find(stage), std::string::npos) << silent.err;
}

TEST(CliClips, ARandomSeedIsPrintedAndSaved) {
  const TemporaryFolder folder;
  const auto result = run_program({"generate", "-p", "a red circle", "--steps", "1", "--frames", "1", "-o",
                                   (folder / "{seed}.png").string()});
  expect_done(result);
  const auto seed = std::filesystem::path(lines_of(result.out).at(0)).stem().string();
  EXPECT_NE(result.err.find("seed " + seed), std::string::npos) << result.err;
}

}  // namespace t2v::test
