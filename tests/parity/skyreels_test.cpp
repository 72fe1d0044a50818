// SkyReels-V2 for diffusion forcing against the reference (tools/oracle/random_skyreels.py).
#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "case_name.h"
#include "golden.h"
#include "models/model.h"
#include "pipeline/latents_file.h"
#include "t2v/generate.h"
#include "texts.h"

namespace t2v {
namespace {

constexpr double skyreels_limit = 1e-4;  // of the reference's scale

void expect_close(const at::Tensor& found, const at::Tensor& expected, const std::string& what) {
  const double error = test::relative_error(found, expected);
  std::printf("skyreels-df  %-16s %.1e of %.0e\n", what.c_str(), error, skyreels_limit);
  EXPECT_LE(error, skyreels_limit) << what;
}

// A timestep for each latent frame, at both frame rates that the network tells apart.
TEST(SkyReels, TheTransformerGivesTheReferencesPrediction) {
  const auto golden = test::open_golden("skyreels-df.safetensors");
  const auto model = open_model(open_model_folder(test::golden("skyreels-df")));
  const auto transformer = load_denoiser(*model, {});
  const auto latents = golden->tensor("forward.latents");
  auto tokens = pack({{latents, {}}}, model->patch_size());
  const auto grid = token_grid(latents.sizes(), model->patch_size());
  set_timesteps(tokens,
                golden->tensor("forward.timesteps").to(at::kFloat).repeat_interleave(grid.h * grid.w));
  for (const int rate : {16, 24}) {
    tokens.frame_rate = rate;
    const auto text = golden->tensor("forward.text").unsqueeze(0);
    const auto found = test::predict_with(*transformer, tokens, text, {0});
    const auto name = "forward." + std::to_string(rate);
    expect_close(unpatchify(found, grid, model->patch_size()), golden->tensor(name), name);
  }
}

class SkyReelsRun : public testing::TestWithParam<const char*> {
 protected:
  std::string run = GetParam();
  test::TemporaryFolder folder;
  std::shared_ptr<const SafetensorsFile> golden = test::open_golden("skyreels-df.safetensors");

  GenerationRequest request() const {
    const auto about = Json::parse(golden->metadata().at("about"));
    const auto& settings = about.at("runs").at(run);
    const auto pictures = test::golden("wan-pictures");
    GenerationRequest r;
    r.model = test::golden("skyreels-df").string();
    r.prompt = about.at("prompt").at("prompt").get<std::string>();
    r.negative_prompt = about.at("prompt").at("negative_prompt").get<std::string>();
    r.width = settings.at("width").get<int64_t>();
    r.height = settings.at("height").get<int64_t>();
    r.frames = settings.at("num_frames").get<int64_t>();
    r.steps = settings.at("num_inference_steps").get<int64_t>();
    r.guidance_scale = settings.at("guidance_scale").get<double>();
    r.fps = settings.at("fps").get<double>();
    if (settings.contains("base_num_frames")) {
      r.window = settings.at("base_num_frames").get<int64_t>();
      r.overlap = settings.at("overlap_history").get<int64_t>();
    }
    if (settings.contains("image")) r.image = (pictures / settings.at("image").get<std::string>()).string();
    if (settings.contains("video")) {
      r.extend = (pictures / settings.at("video").get<std::string>() / "%d.png").string();
      *r.frames -= *r.overlap;  // there they count what is known; here what is new
    }
    r.seed = about.at("seed").get<int64_t>();
    r.device = "cpu";
    r.output = (folder / "clip.y4m").string();
    r.save_latents = (folder / "final.safetensors").string();
    r.trace = (folder / "trace").string();
    return r;
  }
};

INSTANTIATE_TEST_SUITE_P(Runs, SkyReelsRun, testing::Values("text", "slow", "long", "image", "video"),
                         test::name_of);

TEST_P(SkyReelsRun, FollowsTheReferencesPipeline) {
  Observer observer;
  const auto plan = plan_generation(request());
  generate(plan, observer, [](const ClipResult&) {});
  const auto expected = golden->tensor(run + ".final");
  expect_close(read_latents(folder / "final.safetensors", {1, -1, -1, -1, -1}), expected, run);
  const auto is_long = run != "text" && run != "slow";
  EXPECT_EQ(plan.windows.size() > 1, is_long);
  if (run != "text") return;
  for (int64_t step = 0; step < 3; ++step) {
    const auto file = SafetensorsFile::open(folder / "trace" /
                                            ("step_000" + std::to_string(step) + ".safetensors"));
    EXPECT_EQ(file->tensor("timestep").item<int64_t>(),
              golden->tensor("text.timesteps")[step].item<int64_t>());
    expect_close(file->tensor("latents")[0], golden->tensor("text.latents")[step],
                 "step " + std::to_string(step));
  }
}

}  // namespace
}  // namespace t2v
