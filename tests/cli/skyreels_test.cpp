// SkyReels-V2 for diffusion forcing through the binary: windows that hand on latents.
#include <nlohmann/json.hpp>

#include "expect.h"
#include "model_copy.h"
#include "video/read/decoder.h"

namespace t2v::test {

namespace {

namespace fs = std::filesystem;

// Of 25 frames, in windows of 13, 13 and 9.
Arguments skyreels_clip(const fs::path& out, const Arguments& more = {}) {
  Arguments arguments = {
      "generate", "-m", golden("skyreels-df").string(), "-p", "a", "--progress", "plain", "-o", out.string()};
  for (const auto& [flag, value] : {std::pair{"--frames", "25"},
                                    {"--size", "64x32"},
                                    {"--steps", "2"},
                                    {"--seed", "4"},
                                    {"--window", "13"},
                                    {"--overlap", "5"}})
    if (std::find(more.begin(), more.end(), flag) == more.end())
      arguments.insert(arguments.end(), {flag, value});
  arguments.insert(arguments.end(), more.begin(), more.end());
  return arguments;
}

// Of a file of latents, from the latent frame `from` on, for `count` of them: [C, T, h, w] with 4x8 latents.
std::vector<float> latents_of(const fs::path& file, int64_t from = 0, int64_t count = -1) {
  const auto tensors = read_raw_tensors(file);
  const auto all = floats_of(tensors, "latents");
  const auto frames = tensors.header.at("latents").at("shape")[2].get<int64_t>();
  if (count < 0) count = frames - from;
  std::vector<float> part;
  const auto frame = 4 * 8;
  for (std::size_t channel = 0; channel < all.size(); channel += static_cast<std::size_t>(frames * frame)) {
    const auto begin = all.begin() + static_cast<std::ptrdiff_t>(channel) + from * frame;
    part.insert(part.end(), begin, begin + count * frame);
  }
  return part;
}

std::vector<Frame> frames_of(const fs::path& path) {
  std::vector<Frame> frames;
  const auto reader = open_video(path);
  while (auto frame = reader->read()) frames.push_back(std::move(*frame));
  return frames;
}

}  // namespace

TEST(CliSkyReels, InfoSaysWhatTheModelIs) {
  const auto result = run_program({"info", golden("skyreels-df").string()});
  expect_done(result);
  for (const std::string part :
       {"SkyReelsV2DiffusionForcingPipeline", "a noise level for each latent frame, told the frame rate"})
    EXPECT_NE(result.out.find(part), std::string::npos) << result.out;
}

TEST(CliSkyReels, ALongClipIsOneSequenceOfLatents) {
  const TemporaryFolder folder;
  const auto latents = folder / "l.safetensors";
  const auto result = run_program(skyreels_clip(folder / "clip.y4m", {"--save-latents", latents.string()}));
  expect_done(result);
  EXPECT_NE(result.err.find("25 frames are made in 3 windows of 13 frames"), std::string::npos) << result.err;
  EXPECT_EQ(frames_of(folder / "clip.y4m").size(), 25U);
  EXPECT_EQ(read_raw_tensors(latents).header.at("latents").at("shape"), nlohmann::json({1, 16, 7, 4, 8}));
  expect_done(run_program({"decode", latents.string(), "--fps", "24", "--progress", "none", "-o",
                           (folder / "decoded.y4m").string()}));
  EXPECT_TRUE(bytes_of(folder / "decoded.y4m") == bytes_of(folder / "clip.y4m"));
}

TEST(CliSkyReels, BytesDoNotDependOnWhatIsMadeBeside) {
  const TemporaryFolder folder;
  expect_done(run_program(skyreels_clip(folder / "alone.y4m", {"--seed", "8"})));
  expect_done(run_program(skyreels_clip(folder / "{seed}.y4m", {"--seed", "7", "--count", "3"})));
  EXPECT_TRUE(bytes_of(folder / "alone.y4m") == bytes_of(folder / "8.y4m"));
}

TEST(CliSkyReels, AKilledClipGoesOnToTheSameBytes) {
  const auto arguments = [](const TemporaryFolder& at) {
    return skyreels_clip(at / "clip.y4m", {"--steps", "200", "--checkpoint-every", "50", "--context-noise",
                                           "20", "--image", picture("picture.png")});
  };
  const TemporaryFolder folder, whole;
  expect_done(run_program(arguments(whole)));
  Program program(arguments(folder));
  // The third window has begun when the second one's latents are there.
  const auto second = folder / ".clip.y4m.checkpoint.000001";
  for (int i = 0; i < 20'000 && !fs::exists(second); ++i)
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  program.signal(SIGKILL);
  EXPECT_EQ(program.finish().code, 1000 + SIGKILL);
  ASSERT_FALSE(fs::exists(folder / "clip.y4m"));
  expect_done(run_program(arguments(folder)));
  EXPECT_TRUE(bytes_of(folder / "clip.y4m") == bytes_of(whole / "clip.y4m"));
  EXPECT_FALSE(fs::exists(second));
}

// It is for the network alone: what was known stays as it was.
TEST(CliSkyReels, ContextNoiseChangesWhatIsMadeAndNotWhatIsKnown) {
  const TemporaryFolder folder;
  const auto latents = [&](const std::string& name, const Arguments& more) {
    auto arguments = more;
    arguments.insert(arguments.end(), {"--save-latents", (folder / name).string()});
    expect_done(run_program(skyreels_clip(folder / (name + ".y4m"), arguments)));
    return folder / name;
  };
  const auto clean = latents("clean.safetensors", {}),
             noised = latents("noised.safetensors", {"--context-noise", "20"});
  EXPECT_EQ(latents_of(clean, 0, 4), latents_of(noised, 0, 4));  // the first window, which knows nothing
  EXPECT_NE(latents_of(clean, 4), latents_of(noised, 4));
  for (const std::string frames : {"13", "25"}) {  // one window, and three
    const Arguments from_picture = {"--image", picture("picture.png"), "--frames", frames};
    auto with_noise = from_picture;
    with_noise.insert(with_noise.end(), {"--context-noise", "20"});
    const auto first = latents(frames + "-clean.safetensors", from_picture),
               second = latents(frames + "-noised.safetensors", with_noise);
    EXPECT_EQ(latents_of(first, 0, 1), latents_of(second, 0, 1)) << frames;
    EXPECT_NE(latents_of(first, 1), latents_of(second, 1)) << frames;
  }
}

TEST(CliSkyReels, TheNetworkIsToldTheFrameRate) {
  const TemporaryFolder folder;
  const auto latents = [&](const std::string& rate) {
    const auto file = folder / (rate + ".safetensors");
    expect_done(run_program(
        skyreels_clip(folder / (rate + ".y4m"), {"--fps", rate, "--save-latents", file.string()})));
    return latents_of(file);
  };
  EXPECT_NE(latents("16"), latents("24"));
  EXPECT_EQ(latents("30"), latents("24"));  // it tells 16 from all others
}

// What is not one sequence is made as with other models that have a noise level per frame.
TEST(CliSkyReels, OtherTasksHandOnFrames) {
  const TemporaryFolder folder;
  const Arguments between = {"--image", picture("picture.png"), "--last-image", picture("last.png")};
  expect_done(run_program(skyreels_clip(folder / "between.y4m", between)));
  EXPECT_EQ(frames_of(folder / "between.y4m").size(), 25U);
  auto saved = between;
  saved.insert(saved.end(), {"--save-latents", (folder / "l.safetensors").string()});
  expect_refused(run_program(skyreels_clip(folder / "no.y4m", saved)), 2, {"--save-latents", "one window"});
  expect_refused(run_program(skyreels_clip(folder / "no.y4m", {"--init-latents", (folder / "l").string()})),
                 2, {"--init-latents is of a clip made in one window", "3"});
}

}  // namespace t2v::test
