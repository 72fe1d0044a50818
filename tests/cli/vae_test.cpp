// The autoencoder in tiles and in bfloat16: what generate, decode and encode make of it, and what they say.
#include <nlohmann/json.hpp>

#include "expect.h"
#include "paths.h"

namespace t2v::test {

namespace {

using Json = nlohmann::json;
namespace fs = std::filesystem;

// Larger than a tile on both axes.
Arguments large_clip(const fs::path& out, const Arguments& more = {}, const std::string& size = "288x272") {
  Arguments arguments = {"generate",
                         "-p",
                         "a cat",
                         "-m",
                         golden("wan-tiny").string(),
                         "--size",
                         size,
                         "--frames",
                         "5",
                         "--steps",
                         "1",
                         "--seed",
                         "4",
                         "--guidance-scale",
                         "1",
                         "--progress",
                         "none",
                         "-o",
                         out.string()};
  arguments.insert(arguments.end(), more.begin(), more.end());
  return arguments;
}

Json plan_of(Arguments arguments) {
  arguments.push_back("--dry-run");
  const auto result = run_program(arguments);
  expect_done(result);
  return Json::parse(result.out);
}

std::string frames_of(const fs::path& out, const Arguments& arguments) {
  expect_done(run_program(arguments));
  return bytes_of(out);
}

}  // namespace

TEST(CliVae, TilesAreTheSameInGenerateAndDecodeAndTheFilesSaySo) {
  const TemporaryFolder folder;
  const auto out = folder / "a.y4m", again = folder / "b.y4m";
  const auto latents = (folder / "latents.safetensors").string();
  const auto whole = frames_of(out, large_clip(out));
  EXPECT_EQ(frames_of(out, large_clip(out, {"--vae-tiling", "off"})), whole);
  const auto tiled = frames_of(
      out, large_clip(out, {"--vae-tiling", "on", "--save-latents", latents, "--sidecar"}));
  EXPECT_NE(tiled, whole);
  EXPECT_EQ(Json::parse(bytes_of(folder / "a.y4m.json")).at("settings").at("vae_tiling"), "on");
  EXPECT_EQ(frames_of(again, {"decode", latents, "-o", again.string()}), tiled);
  EXPECT_EQ(frames_of(again, {"decode", latents, "--vae-tiling", "off", "-o", again.string()}), whole);
  expect_refused(run_program(large_clip(out, {"--vae-tiling", "yes"})), 2,
                 {"--vae-tiling should be auto, on or off", "'yes'"});
}

TEST(CliVae, TilesAreTakenWhereTheWholeDoesNotFitAndThePlanSaysSo) {
  const TemporaryFolder folder;
  const auto out = folder / "a.y4m";
  const auto clip = [&](const Arguments& more) { return large_clip(out, more, "512x512"); };
  const auto peak = [&](const std::string& tiling) {
    return plan_of(clip({"--vae-tiling", tiling})).at("memory").at("peak").get<int64_t>();
  };
  const auto whole = peak("off"), tiled = peak("on");
  ASSERT_LT(tiled, whole);
  const auto limit = std::to_string((tiled + whole) / 2);
  const auto plan = plan_of(clip({"--memory-limit", limit}));
  EXPECT_EQ(plan.at("vae_tiling"), "on");
  EXPECT_EQ(plan.at("memory").at("peak"), tiled);
  EXPECT_NE(plan.at("notes").dump().find("--vae-tiling on: decoding in one piece would take"),
            std::string::npos)
      << plan.at("notes");
  EXPECT_FALSE(plan_of(clip({})).contains("vae_tiling"));
  const auto made = frames_of(out, clip({"--memory-limit", limit}));
  EXPECT_EQ(frames_of(out, clip({"--vae-tiling", "on"})), made);
  expect_refused(run_program(clip({"--memory-limit", limit, "--vae-tiling", "off"})), 5,
                 {"512x512", "would fit"});
}

TEST(CliVae, AVideoIsEncodedInTiles) {
  const TemporaryFolder folder;
  const auto clip = (folder / "clip.y4m").string();
  expect_done(run_program(large_clip(clip)));
  const auto encoded = [&](const std::string& tiling) {
    const auto out = folder / (tiling + ".safetensors");
    return frames_of(
        out, {"encode", clip, "-m", golden("wan-tiny").string(), "--vae-tiling", tiling, "-o", out.string()});
  };
  EXPECT_EQ(encoded("auto"), encoded("off"));
  EXPECT_NE(encoded("on"), encoded("off"));
}

TEST(CliVae, ComputesInBfloat16WhereThatIsAskedFor) {
  const TemporaryFolder folder;
  const auto out = folder / "a.y4m", again = folder / "b.y4m";
  const auto latents = (folder / "latents.safetensors").string();
  const auto usual = frames_of(out, large_clip(out, {}, "64x48"));
  const auto low = large_clip(out, {"--vae-dtype", "bfloat16", "--save-latents", latents}, "64x48");
  EXPECT_EQ(plan_of(low).at("placement").at("vae").at("dtype"), "bfloat16");
  const auto made = frames_of(out, low);
  EXPECT_NE(made, usual);
  EXPECT_EQ(frames_of(again, {"decode", latents, "-o", again.string()}), made);
  EXPECT_EQ(frames_of(again, {"decode", latents, "--vae-dtype", "float32", "-o", again.string()}), usual);
  // The transformer's dtype is another matter.
  const auto plan = plan_of(large_clip(out, {"--dtype", "bfloat16"}));
  EXPECT_EQ(plan.at("placement").at("vae").at("dtype"), "float32");
  expect_refused(run_program(large_clip(out, {"--vae-dtype", "int8"})), 2,
                 {"--vae-dtype should be auto, float32, bfloat16 or float16", "'int8'"});
}

}  // namespace t2v::test
