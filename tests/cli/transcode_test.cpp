// Latents and videos, and what each keeps of how it was made.
#include <nlohmann/json.hpp>

#include "expect.h"
#include "model_copy.h"
#include "sanitizer.h"
#include "video/read/decoder.h"
#include "video/write/encoder.h"

namespace t2v::test {

namespace {

using Json = nlohmann::json;

// Frames of moving stripes.
void write_video(const std::filesystem::path& path, int width, int height, int frames, Rational fps = {24}) {
  const auto sink = open_encoder({.path = path.string(), .width = width, .height = height, .fps = fps});
  for (int t = 0; t < frames; ++t) {
    Frame frame{width, height, std::vector<uint8_t>(static_cast<std::size_t>(width * height * 3))};
    for (std::size_t i = 0; i < frame.rgb.size(); ++i)
      frame.rgb[i] = static_cast<uint8_t>((i / 3 + static_cast<std::size_t>(t)) % 64 * 4);
    sink->write(frame);
  }
  sink->finish();
}

void expect_mark(const Json& info) {
  EXPECT_NE(info.at("metadata").at("digital_source_type").get<std::string>().find("trainedAlgorithmicMedia"),
            std::string::npos);
}

}  // namespace

TEST(CliTranscode, DecodeMakesTheVideoThatTheLatentsWereMadeFor) {
  const TemporaryFolder folder;
  const auto latents = (folder / "latents.safetensors").string();
  expect_done(run_program(
      quick_clip(folder / "made.mp4", {"-m", "world-128", "--fps", "24", "--crf", "30", "--resize", "96x64",
                                       "--resize-filter", "nearest", "--save-latents", latents})));
  expect_done(run_program({"decode", latents, "-o", (folder / "decoded.mp4").string()}));
  EXPECT_EQ(bytes_of(folder / "made.mp4"), bytes_of(folder / "decoded.mp4"));
}

TEST(CliTranscode, FlagsOfDecodeWinAndTheVideoSaysSo) {
  const TemporaryFolder folder;
  const auto latents = (folder / "latents.safetensors").string();
  expect_done(run_program(quick_clip(folder / "made.mp4", {"--fps", "24", "--save-latents", latents})));
  expect_done(run_program({"decode", latents, "-o", (folder / "decoded.mp4").string(), "--fps", "25/2",
                           "--crf", "30", "--resize", "96x64"}));
  const auto info = info_of(folder / "decoded.mp4");
  EXPECT_EQ(info.at("fps"), 12.5);
  EXPECT_EQ(info.at("width"), 96);
  const auto& settings = info.at("metadata").at("comment").at("settings");
  EXPECT_EQ(settings.at("fps"), 12.5);
  EXPECT_EQ(settings.at("crf"), 30);
  EXPECT_EQ(settings.at("resize"), "96x64");
  EXPECT_EQ(settings.at("seed"), 3);
  EXPECT_EQ(info.at("metadata").at("title"), "a red circle bouncing on a navy background");
  expect_mark(info);
  expect_refused(run_program({"decode", latents, "-o", (folder / "never.mp4").string(), "--fps", "0"}), 2,
                 {"--fps", "0.1"});
}

TEST(CliTranscode, LatentsOfAnotherAutoencoderAreRefused) {
  const TemporaryFolder folder;
  const auto latents = (folder / "latents.safetensors").string();
  ModelCopy other(folder / "other");
  other.change_tensors(vae_file, [](RawTensors& tensors) {
    auto bias = floats_of(tensors, "decoder.conv_in.bias");
    bias[0] += 0.01F;
    set_floats(tensors, "decoder.conv_in.bias", bias);
  });
  expect_done(run_program(quick_clip(folder / "made.mp4", {"-m", other.path(), "--save-latents", latents})));
  const auto made = info_of(folder / "made.mp4").at("metadata").at("comment");
  const auto hash = made.at("vae_hash").get<std::string>();
  expect_refused(run_program({"decode", latents, "-m", "world-128", "-o", (folder / "never.mp4").string()}),
                 3, {latents, "of the autoencoder", hash, other.path(), "world-128", "-m"});
  // of the same shape as what world-128 makes
  expect_refused(
      run_program(quick_clip(folder / "never.mp4", {"-m", "world-128", "--init-latents", latents})), 3,
      {latents, "of the autoencoder", hash});
  EXPECT_FALSE(std::filesystem::exists(folder / "never.mp4"));
  expect_done(run_program(quick_clip(folder / "again.mp4", {"-m", other.path(), "--init-latents", latents})));
}

TEST(CliTranscode, EncodeAndDecodeKeepRateAndProvenance) {
  const TemporaryFolder folder;
  const auto latents = (folder / "a.safetensors").string();
  expect_done(
      run_program(quick_clip(folder / "a.mp4", {"-m", "world-128", "--fps", "24", "--resize", "96x64"})));
  expect_done(run_program({"encode", (folder / "a.mp4").string(), "--size", "64x64", "-o", latents}));
  expect_done(run_program({"decode", latents, "-o", (folder / "b.mp4").string()}));
  const auto a = info_of(folder / "a.mp4"), b = info_of(folder / "b.mp4");
  EXPECT_EQ(b.at("fps"), 24);
  EXPECT_EQ(b.at("frames"), 5);
  EXPECT_EQ(b.at("width"), 64);  // not resized once more
  EXPECT_EQ(b.at("metadata").at("title"), a.at("metadata").at("title"));
  const auto& from = b.at("metadata").at("comment");
  EXPECT_EQ(from.at("settings"), a.at("metadata").at("comment").at("settings"));
  EXPECT_EQ(from.at("encoded").at("source"), "a.mp4");
  expect_mark(b);
}

TEST(CliTranscode, AVideoFromElsewhereKeepsItsRateAndIsNotMarked) {
  const TemporaryFolder folder;
  write_video(folder / "a.mp4", 64, 64, 5, {30000, 1001});
  const auto latents = (folder / "a.safetensors").string();
  expect_done(run_program({"encode", (folder / "a.mp4").string(), "-o", latents}));
  expect_done(run_program({"decode", latents, "-o", (folder / "b.mp4").string()}));
  const auto b = info_of(folder / "b.mp4");
  EXPECT_DOUBLE_EQ(b.at("fps"), 30000.0 / 1001);
  EXPECT_EQ(b.at("metadata").at("comment").at("encoded").at("source"), "a.mp4");
  EXPECT_FALSE(b.at("metadata").contains("digital_source_type"));
}

TEST(CliTranscode, LatentsFromElsewhereAreDecodedAndALineSaysWhatWasAssumed) {
  const TemporaryFolder folder;
  const auto latents = (folder / "latents.safetensors").string();
  expect_done(run_program(quick_clip(folder / "made.mp4", {"--save-latents", latents})));
  for (const char* said : {"", "no JSON", "[]", "{}", R"({"t2v": "1", "settings": 3})"}) {
    SCOPED_TRACE(said);
    auto tensors = read_raw_tensors(latents);
    tensors.header.erase("__metadata__");
    if (*said != '\0') tensors.header["__metadata__"] = {{"t2v", said}};
    write_raw_tensors(folder / "bare.safetensors", tensors);
    const auto result = run_program(
        {"decode", (folder / "bare.safetensors").string(), "-o", (folder / "decoded.mp4").string()});
    expect_done(result);
    EXPECT_NE(result.err.find("taken as latents of world-128 at 8.0 frames per second"), std::string::npos)
        << result.err;
    EXPECT_EQ(info_of(folder / "decoded.mp4").at("frames"), 5);
  }
  const auto told = run_program({"decode", (folder / "bare.safetensors").string(), "-m", "world-128", "--fps",
                                 "8", "-o", (folder / "decoded.mp4").string()});
  expect_done(told);
  EXPECT_EQ(told.err.find("taken as"), std::string::npos) << told.err;
}

// The short one is longer than what is encoded at once, 64 frames at this size.
TEST(CliTranscode, ALongVideoIsEncodedInTheMemoryOfAShortOne) {
  if (has_sanitizer) GTEST_SKIP() << "a sanitizer's own memory counts as well";
  const TemporaryFolder folder;
  long peaks[2] = {};
  for (const int seconds : {6, 60}) {
    const auto video = folder / (std::to_string(seconds) + ".mp4");
    write_video(video, 128, 128, 24 * seconds + 1);
    const auto result = run_program(
        {"encode", video.string(), "-o", (folder / "latents.safetensors").string()});
    expect_done(result);
    peaks[seconds == 60] = result.peak_megabytes;
    const auto shape = read_raw_tensors(folder / "latents.safetensors").header.at("latents").at("shape");
    EXPECT_EQ(shape, nlohmann::ordered_json({1, 8, 6 * seconds + 1, 8, 8}));
  }
  // Its frames would take 250 MB more. What the allocator keeps differs by 50 MB from run to run.
  EXPECT_LT(peaks[1], peaks[0] + 100);
}

TEST(CliTranscode, FramesThatMakeNoWholeLatentAreDroppedWithALine) {
  const TemporaryFolder folder;
  write_video(folder / "a.mp4", 64, 64, 12);
  const auto result = run_program(
      {"encode", (folder / "a.mp4").string(), "-o", (folder / "a.safetensors").string()});
  expect_done(result);
  EXPECT_NE(result.err.find("the first 9 of 12 frames are encoded"), std::string::npos) << result.err;
  EXPECT_EQ(info_of(folder / "a.safetensors").at("latents").at("frames"), 9);
}

TEST(CliTranscode, NamesThatAreNotUtf8Work) {
  const TemporaryFolder folder;
  const auto video = folder / "caf\xe9.mp4", latents = folder / "l\xff.safetensors",
             again = folder / "again\xfe.mp4";
  write_video(video, 64, 64, 5);
  expect_done(run_program({"encode", video.string(), "-o", latents.string()}));
  expect_done(run_program({"decode", latents.string(), "-o", again.string()}));
  EXPECT_EQ(info_of(latents).at("latents").at("source"), "caf\uFFFD.mp4");
  EXPECT_EQ(info_of(again).at("metadata").at("comment").at("encoded").at("source"), "caf\uFFFD.mp4");
  const auto models = folder / "models\xe9";
  std::filesystem::create_directory(models);
  std::filesystem::create_symlink(shipped_model(), models / "world-128");
  expect_done(run_program({"generate", "-m", "world-128", "-p", "a red circle", "--dry-run"},
                          {{"T2V_MODELS", models.string()}}));
  expect_done(
      run_program({"encode", video.string(), "-m", (models / "world-128").string(), "-o", latents.string()}));
}

TEST(CliTranscode, InfoSaysWhatLatentsAre) {
  const TemporaryFolder folder;
  const auto latents = folder / "latents.safetensors";
  expect_done(run_program(quick_clip(
      folder / "made.mp4", {"-m", "world-128", "--fps", "24", "--save-latents", latents.string()})));
  const auto said = info_of(latents).at("latents");
  EXPECT_EQ(said.at("model"), "world-128");
  EXPECT_EQ(said.at("prompt"), "a red circle bouncing on a navy background");
  EXPECT_EQ(said.at("seed"), 3);
  EXPECT_EQ(said.at("fps"), 24);
  EXPECT_EQ(said.at("frames"), 5);
  EXPECT_EQ(said.at("shape").get<std::string>().find("[1,8,2,"), 0U) << said;
  EXPECT_EQ(info_of(latents).at("metadata").at("t2v").at("settings").at("seed"), 3);
  const auto weights = info_of(shipped_model() / vae_file);
  EXPECT_FALSE(weights.contains("latents"));
}

// Cleaning turns each of them into another text, some into one that is refused as a prompt.
TEST(CliProvenance, APromptThatCleaningChangesIsStoredAsGivenAndMakesTheSameClip) {
  const TemporaryFolder folder;
  for (const std::string prompt :
       {"a red&#157;circle", "a  red \xEF\xAC\x81lled circle &amp;amp; a ring", "schÃ¶n"}) {
    SCOPED_TRACE(prompt);
    expect_done(run_program({"generate", "-p", prompt, "-n", prompt, "--frames", "1", "--steps", "1",
                             "--seed", "1", "--sidecar", "-o", (folder / "a.png").string()}));
    const auto settings = Json::parse(bytes_of(folder / "a.png.json")).at("settings");
    EXPECT_EQ(settings.at("prompt"), prompt);
    EXPECT_EQ(settings.at("negative_prompt"), prompt);
    EXPECT_EQ(info_of(folder / "a.png").at("metadata").at("title"), prompt);
    const auto config = (folder / "a.png.json").string();
    expect_done(run_program({"generate", "--config", config, "-o", (folder / "b.png").string()}));
    EXPECT_EQ(bytes_of(folder / "a.png"), bytes_of(folder / "b.png"));
    const auto plan = run_program({"generate", "--config", config, "--dry-run"});
    expect_done(plan);
    EXPECT_EQ(Json::parse(plan.out).at("prompt"), prompt);
    EXPECT_NE(Json::parse(plan.out).at("cleaned_prompt"), prompt);
  }
}

TEST(CliProvenance, InfoShowsPromptAndSeedOfAnImageInAnyLanguage) {
  const TemporaryFolder folder;
  const std::string prompt = "ein grüner Kreis, 緑の円";
  expect_done(run_program({"generate", "-p", prompt, "--frames", "5", "--steps", "1", "--seed", "7", "-o",
                           (folder / "%d.png").string()}));
  for (const char* name : {"%d.png", "4.png"}) {
    const auto metadata = info_of(folder / name).at("metadata");
    EXPECT_EQ(metadata.at("title"), prompt);
    EXPECT_EQ(metadata.at("comment").at("settings").at("prompt"), prompt);
    EXPECT_EQ(metadata.at("comment").at("settings").at("seed"), 7);
  }
}

TEST(CliProvenance, ASidecarOfAModelThatHasChangedWarnsWithBothHashes) {
  const TemporaryFolder folder;
  const auto config = folder / "clip.png.json";
  expect_done(run_program(quick_clip(folder / "clip.png", {"--frames", "1", "--sidecar"})));
  auto sidecar = Json::parse(bytes_of(config));
  const auto hash = sidecar.at("model_hash").get<std::string>();
  const Arguments again = {"generate", "--config", config.string(), "-o", (folder / "again.png").string()};
  const auto same = run_program(again);
  expect_done(same);
  EXPECT_EQ(same.err.find("warning"), std::string::npos) << same.err;
  sidecar["model_hash"] = "0123456789abcdef";
  write_bytes(config, sidecar.dump());
  const auto changed = run_program(again);
  expect_done(changed);
  for (const auto& part : {std::string("warning: "), hash, std::string("0123456789abcdef")})
    EXPECT_NE(changed.err.find(part), std::string::npos) << changed.err;
}

}  // namespace t2v::test
