// Whole runs against the reference pipeline: text, noise, every step and the frames
// (tools/oracle/trajectories.py).
#include <gtest/gtest.h>

#include <cstring>

#include "case_name.h"
#include "golden.h"
#include "pipeline/components.h"
#include "pipeline/latents_file.h"
#include "t2v/generate.h"
#include "video/read/decoder.h"

namespace t2v {
namespace {

constexpr double forward_limit = 1e-4;      // of the reference's scale, for one forward pass
                                            // (tools/oracle/README.md)
constexpr double run_latents_limit = 1e-3;  // after all steps

class Trajectory : public testing::TestWithParam<const char*> {
 protected:
  std::string run = GetParam();
  test::TemporaryFolder folder;
  std::shared_ptr<const SafetensorsFile> golden = test::open_golden("trajectories.safetensors");
  Json about = Json::parse(golden->metadata().at("about")).at("cases").at(run);

  at::Tensor reference(const char* tensor) const { return golden->tensor(run + "." + tensor); }

  // The request of this run, writing to a folder `name` of its own: the frames as PNG files, and the trace.
  GenerationRequest request(const std::string& name) const {
    std::filesystem::create_directories(folder / name);
    GenerationRequest r;
    r.model = test::model_named(about.at("model").get<std::string>()).string();
    r.prompt = about.at("prompt").get<std::string>();
    r.negative_prompt = about.at("negative_prompt").get<std::string>();
    r.width = about.at("width").get<int64_t>();
    r.height = about.at("height").get<int64_t>();
    r.frames = about.at("frames").get<int64_t>();
    r.steps = about.at("steps").get<int64_t>();
    r.guidance_scale = about.at("guidance_scale").get<double>();
    r.guidance_rescale = about.at("guidance_rescale").get<double>();
    r.seed = about.at("seed").get<int64_t>();
    r.scheduler = run.substr(run.find('.') + 1);
    r.output = (folder / name / "%05d.png").string();
    r.trace = (folder / name / "trace").string();
    r.device = "cpu";
    return r;
  }

  void generate_clip(const GenerationRequest& asked) const {
    Observer observer;
    generate(plan_generation(asked), observer, [](const ClipResult&) {});
  }

  std::shared_ptr<const SafetensorsFile> trace(const std::string& name, const std::string& file) const {
    return SafetensorsFile::open(folder / name / "trace" / file);
  }
  std::shared_ptr<const SafetensorsFile> traced_step(const std::string& name, int64_t step) const {
    const auto number = std::to_string(step);
    return trace(name, "step_" + std::string(4 - number.size(), '0') + number + ".safetensors");
  }

  // Prints the error, and fails beyond the limit.
  void expect_close(const at::Tensor& found, const at::Tensor& expected, const char* what,
                    double limit) const {
    const double error = test::relative_error(found, expected);
    std::printf("%-14s %-28s %.1e of %.0e\n", run.c_str(), what, error, limit);
    EXPECT_LE(error, limit) << what;
  }

  // The embedding is the reference's, and the rows that pad it are zero.
  void expect_text(const char* tensor) const {
    const auto found = trace("run", "text.safetensors")->tensor(tensor);
    const auto expected = reference(tensor);
    ASSERT_EQ(found.size(0), about.at("max_text_tokens").get<int64_t>());
    expect_close(found.narrow(0, 0, expected.size(0)), expected, tensor, forward_limit);
    EXPECT_TRUE(found.slice(0, expected.size(0)).eq(0).all().item<bool>());
  }

  void expect_steps() const {
    const auto timesteps = reference("timesteps");
    const auto latents = reference("latents");
    double worst = 0;
    for (int64_t step = 0; step < timesteps.size(0); ++step) {
      const auto file = traced_step("run", step);
      EXPECT_EQ(file->tensor("timestep").item<double>(), timesteps[step].item<double>());
      worst = std::max(worst, test::relative_error(file->tensor("latents")[0], latents[step]));
    }
    std::printf("%-14s %-28s %.1e of %.0e\n", run.c_str(), "latents, worst step", worst, run_latents_limit);
    EXPECT_LE(worst, run_latents_limit);
    expect_close(traced_step("run", timesteps.size(0) - 1)->tensor("latents")[0], latents[-1],
                 "latents, last step", run_latents_limit);
  }

  // What the files hold differs by at most one level from the reference's rounding.
  void expect_frames() const {
    const auto expected = reference("frames").contiguous();  // [T, H, W, 3]
    const auto reader = open_video(folder / "run" / "%05d.png");
    int64_t count = 0;
    int worst = 0;
    int64_t unlike = 0;
    for (auto frame = reader->read(); frame; frame = reader->read(), ++count) {
      ASSERT_LT(count, expected.size(0));
      ASSERT_EQ(static_cast<int64_t>(frame->rgb.size()), expected[0].numel());
      const auto* wanted = expected[count].const_data_ptr<uint8_t>();
      for (std::size_t i = 0; i < frame->rgb.size(); ++i) {
        worst = std::max(worst, std::abs(frame->rgb[i] - wanted[i]));
        unlike += frame->rgb[i] != wanted[i] ? 1 : 0;
      }
    }
    EXPECT_EQ(count, expected.size(0));
    std::printf("%-14s %-28s %d of 1 (%lld of %lld values)\n", run.c_str(), "frames, levels of 255", worst,
                static_cast<long long>(unlike), static_cast<long long>(expected.numel()));
    EXPECT_LE(worst, 1);
  }
};

INSTANTIATE_TEST_SUITE_P(Runs, Trajectory,
                         testing::Values("square.ddim", "square.unipc", "wide.ddim", "wide.unipc",
                                         "tall.ddim", "tall.unipc", "rescaled.ddim", "tiny.unipc",
                                         "tiny.flow-euler"),
                         test::name_of);

TEST_P(Trajectory, FollowsTheReferenceFromTheTextToTheFrames) {
  generate_clip(request("run"));
  expect_text("prompt_embeds");
  expect_text("negative_prompt_embeds");
  expect_steps();
  if (golden->entries().contains(run + ".frames")) expect_frames();
  if (golden->entries().contains(run + ".frames_float")) {  // before rounding
    const auto vae = load_vae(*open_model(open_model_folder(plan_generation(request("float")).model_folder)),
                              {});
    const auto latents = traced_step("run", reference("timesteps").size(0) - 1)->tensor("latents")[0];
    const auto frames = vae->decode(vae->denormalise(latents)).permute({1, 2, 3, 0}) / 2 +
                        0.5;  // [T, H, W, 3] in 0..1
    const double worst = (frames - reference("frames_float")).abs().max().item<double>();
    std::printf("%-14s %-28s %.1e of 1/255\n", run.c_str(), "frames before rounding", worst);
    EXPECT_LE(worst, 1.0 / 255);
  }
}

// A run from the seed and a run from the reference's own noise are the same run, to the last bit.
TEST_P(Trajectory, SeedGivesTheReferencesNoise) {
  auto seeded = request("seeded");
  seeded.steps = 2;
  seeded.guidance_scale = 1;
  auto given = request("given");
  given.steps = 2;
  given.guidance_scale = 1;
  given.seed = 999;
  given.init_latents = (folder / "noise.safetensors").string();
  save_latents(*given.init_latents, reference("noise")[0], {});
  generate_clip(seeded);
  generate_clip(given);
  for (int64_t step = 0; step < 2; ++step)
    EXPECT_TRUE(at::equal(traced_step("seeded", step)->tensor("latents"),
                          traced_step("given", step)->tensor("latents")))
        << "step " << step;
}

}  // namespace
}  // namespace t2v
