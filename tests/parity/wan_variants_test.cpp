// Wan's variants, their parts and whole runs, against the reference's pipelines
// (tools/oracle/random_wan_variants.py).
#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "case_name.h"
#include "golden.h"
#include "nn/picture_resampling.h"
#include "pipeline/components.h"
#include "pipeline/frames.h"
#include "pipeline/source_frames.h"
#include "t2v/generate.h"

namespace t2v {
namespace {

constexpr double variant_latents_limit = 1e-4;  // of the reference's scale, after every step

struct VariantRun {
  const char* variant;
  const char* run;
};
void PrintTo(const VariantRun& run, std::ostream* out) { *out << run.variant << " " << run.run; }

class WanVariant : public testing::TestWithParam<VariantRun> {
 protected:
  std::string variant = GetParam().variant, run = GetParam().run;
  test::TemporaryFolder folder;
  std::shared_ptr<const SafetensorsFile> golden = test::open_golden(variant + ".safetensors");
  Json about = Json::parse(golden->metadata().at("about"));

  GenerationRequest request() const {
    const auto& settings = about.at("runs").at(run);
    GenerationRequest r;
    r.model = test::golden(variant).string();
    r.prompt = about.at("prompt").at("prompt").get<std::string>();
    r.negative_prompt = about.at("prompt").at("negative_prompt").get<std::string>();
    r.width = settings.at("width").get<int64_t>();
    r.height = settings.at("height").get<int64_t>();
    r.frames = settings.at("num_frames").get<int64_t>();
    r.steps = settings.at("num_inference_steps").get<int64_t>();
    r.guidance_scale = settings.at("guidance_scale").get<double>();
    if (settings.contains("guidance_scale_2"))
      r.guidance_scale_2 = settings.at("guidance_scale_2").get<double>();
    for (const auto& [key, field] : {std::pair{"image", &r.image}, {"last_image", &r.last_image}})
      if (settings.contains(key))
        *field = (test::golden("wan-pictures") / settings.at(key).get<std::string>()).string();
    if (settings.contains("video"))
      (settings.contains("mask")
           ? r.edit
           : r.control) = (test::golden("wan-pictures") / "control" / "%d.png").string();
    if (settings.contains("mask"))
      r.mask = (test::golden("wan-pictures") / settings.at("mask").get<std::string>()).string();
    if (settings.contains("reference_images"))
      for (r.reference.emplace(); const auto& name : settings.at("reference_images"))
        r.reference->push_back((test::golden("wan-pictures") / name.get<std::string>()).string());
    if (settings.contains("conditioning_scale"))
      r.control_scale = settings.at("conditioning_scale").get<double>();
    r.seed = about.at("seed").get<int64_t>();
    r.device = "cpu";
    if (r.image) r.fit = "stretch";  // as there
    r.trace = (folder / "trace").string();
    r.to_receiver = true;
    return r;
  }

  // The frames of the clip, [T, H, W, 3] in 0..1.
  at::Tensor make_clip(const GenerationRequest& asked) const {
    Observer observer;
    std::vector<at::Tensor> parts;
    generate_all(
        {plan_generation(asked)}, {}, observer,
        [](const ClipOutcome& outcome) {
          if (outcome.error) throw Error(*outcome.error);
        },
        [&](std::size_t, std::size_t, const FrameBlock& block) {
          const std::array<int64_t, 4> shape = {3, block.frames, block.height, block.width};
          parts.push_back(at::from_blob(const_cast<float*>(block.values), shape).clone());
        });
    return at::cat(parts, 1).permute({1, 2, 3, 0}) / 2 + 0.5;
  }

  std::shared_ptr<const SafetensorsFile> traced_step(int64_t step) const {
    return SafetensorsFile::open(folder / "trace" / ("step_000" + std::to_string(step) + ".safetensors"));
  }
};

std::string name_of_run(const testing::TestParamInfo<VariantRun>& info) {
  std::string name = std::string(info.param.variant) + "_" + info.param.run;
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
}

INSTANTIATE_TEST_SUITE_P(Runs, WanVariant,
                         testing::Values(VariantRun{"wan22-a14b", "text"}, VariantRun{"wan22-ti2v", "text"},
                                         VariantRun{"wan22-ti2v", "image"}, VariantRun{"wan21-i2v", "image"},
                                         VariantRun{"wan21-i2v", "resized"},
                                         VariantRun{"wan21-flf2v", "images"},
                                         VariantRun{"wan22-i2v", "image"}, VariantRun{"wan22-i2v", "images"},
                                         VariantRun{"wan21-vace", "text"},
                                         VariantRun{"wan21-vace", "control"},
                                         VariantRun{"wan21-vace", "edit"}, VariantRun{"wan21-vace", "soft"},
                                         VariantRun{"wan21-vace", "references"}),
                         name_of_run);

TEST_P(WanVariant, FollowsTheReferencesPipeline) {
  make_clip(request());
  const auto expected = golden->tensor(run + ".latents"), timesteps = golden->tensor(run + ".timesteps");
  double worst = 0;
  for (int64_t step = 0; step < expected.size(0); ++step) {
    const auto file = traced_step(step);
    EXPECT_EQ(file->tensor("timestep").item<int64_t>(), timesteps[step].item<int64_t>());
    // What is known stays as it is here; there it is put back before the next step, and at the end.
    const bool is_last = step + 1 == expected.size(0);
    const auto reference = is_last ? golden->tensor(run + ".final") : expected[step];
    const auto begin = variant == "wan22-ti2v" && run == "image" && !is_last ? 1 : 0;
    worst = std::max(
        worst, test::relative_error(file->tensor("latents")[0].slice(1, begin), reference.slice(1, begin)));
  }
  std::printf("%-12s %-8s latents, worst step %.1e of %.0e\n", variant.c_str(), run.c_str(), worst,
              variant_latents_limit);
  EXPECT_LE(worst, variant_latents_limit);
}

// Frames, and latents in both directions.
TEST(WanResidualVae, FollowsTheReference) {
  const auto golden = test::open_golden("wan22-ti2v.safetensors");
  const auto vae = load_vae(*open_model(open_model_folder(test::golden("wan22-ti2v"))), {});
  EXPECT_EQ(vae->spec().spatial_ratio, 16);
  for (const std::string prefix : {"vae.1.", "vae.2.", "vae.3."}) {
    const auto frames = golden->tensor(prefix + "frames");
    const auto decoded = vae->decode(golden->tensor(prefix + "latents"));
    const auto [mean, logvar] = vae->encode(frames);
    const auto report = [&](const at::Tensor& found, const at::Tensor& expected, const char* what) {
      const double error = test::relative_error(found, expected);
      std::printf("wan22-ti2v   %s%-8s %.1e of %.0e\n", prefix.c_str(), what, error, variant_latents_limit);
      EXPECT_LE(error, variant_latents_limit) << prefix << what;
    };
    report(decoded, frames, "frames");
    report(mean, golden->tensor(prefix + "mean"), "mean");
    report(logvar, golden->tensor(prefix + "logvar"), "logvar");
    // In pieces of any size, and several clips together.
    vae->set_chunk(1);
    EXPECT_LE(test::relative_error(vae->decode(golden->tensor(prefix + "latents")), frames),
              variant_latents_limit);
    vae->set_chunk(0);
    const auto two = at::stack({frames, frames.flip({3})});
    const auto posterior = vae->encode_clips(two);
    EXPECT_LE(test::relative_error(posterior.mean[0], mean), variant_latents_limit);
    EXPECT_LE(test::relative_error(posterior.mean[1], vae->encode(frames.flip({3})).mean),
              variant_latents_limit);
    const auto latents = golden->tensor(prefix + "latents");
    const auto clips = vae->decode_clips(at::stack({latents.flip({2}), latents}));
    EXPECT_LE(test::relative_error(clips[1].clamp(-1, 1), frames), variant_latents_limit);
  }
}

TEST(WanPictures, AreResampledToTheLastBitAsPillowDoes) {
  const auto golden = test::open_golden("wan21-i2v.safetensors");
  const auto picture = read_picture((test::golden("wan-pictures") / "large.png").string());
  int compared = 0;
  for (const auto& [name, filter] :
       {std::pair{"bicubic", ResamplingFilter::bicubic}, std::pair{"lanczos", ResamplingFilter::lanczos}})
    for (const auto& [width, height] : {std::pair{28, 20}, std::pair{91, 31}, std::pair{120, 54}}) {
      const auto size = std::to_string(width) + "x" + std::to_string(height);
      const auto expected = golden->tensor(std::string("pictures.") + name + "." + size);
      EXPECT_TRUE(at::equal(resample_picture(bytes_of(picture), width, height, filter), expected))
          << name << " " << size;
      ++compared;
    }
  EXPECT_EQ(compared, 6);
}

TEST(WanPictures, HaveTheStatesOfTheReferencesImageEncoder) {
  const auto model = open_model(open_model_folder(test::golden("wan21-i2v")));
  const auto picture = read_picture((test::golden("wan-pictures") / "large.png").string());
  const auto states = load_image_encoder(*model, {})->forward(bytes_of(picture));
  const auto expected = test::open_golden("wan21-i2v.safetensors")->tensor("pictures.states");
  const double error = test::relative_error(states, expected);
  std::printf("wan21-i2v    image encoder %.1e of %.0e\n", error, variant_latents_limit);
  EXPECT_LE(error, variant_latents_limit);
}

// The run above is made by both experts, each with a guidance scale of its own.
TEST(WanExperts, TheRunHasStepsOfBoth) {
  const auto configs = read_model_configs(open_model_folder(test::golden("wan22-a14b")));
  EXPECT_EQ(configs.model->boundary_timestep(), 875);
  const auto timesteps = test::open_golden("wan22-a14b.safetensors")->tensor("text.timesteps");
  EXPECT_GT(timesteps.ge(875).sum().item<int64_t>(), 1);
  EXPECT_GT(timesteps.lt(875).sum().item<int64_t>(), 1);
}

}  // namespace
}  // namespace t2v
