// What is planned for Wan's variants (tools/oracle/random_wan_variants.py).
#include <gtest/gtest.h>

#include <fstream>

#include "errors.h"
#include "paths.h"
#include "pipeline/components.h"
#include "pipeline/plan/windows.h"
#include "pipeline/provenance.h"
#include "pipeline/run/sampling.h"
#include "t2v/generate.h"

namespace t2v {
namespace {

namespace fs = std::filesystem;

GenerationRequest request_for(const std::string& variant) {
  GenerationRequest r;
  r.model = test::golden(variant).string();
  r.prompt = "a cat";
  r.size = "64x32";
  r.frames = 9;
  r.seed = 1;
  r.device = "cpu";
  r.output = "clip.mp4";
  return r;
}

// A copy of a variant's folder with another model_index.json.
struct ChangedVariant {
  test::TemporaryFolder folder;
  std::string path;
  ChangedVariant(const std::string& variant, const Json& change,
                 const std::string& file = "model_index.json") {
    path = (folder / "m").string();
    fs::create_directory(path);
    for (const auto& part : fs::directory_iterator(test::golden(variant)))
      fs::copy(fs::canonical(part.path()), fs::path(path) / part.path().filename(),
               fs::copy_options::recursive);
    auto json = read_json(fs::path(path) / file);
    json.update(change);
    std::ofstream(fs::path(path) / file) << json;
  }
};

TEST(WanExpertsPlan, TheSecondGuidanceScaleIsTheFirstUnlessItIsSaid) {
  auto r = request_for("wan22-a14b");
  r.guidance_scale = 4;
  EXPECT_EQ(plan_generation(r).guidance_scale_2, 4);
  r.guidance_scale_2 = 3;
  const auto plan = plan_generation(r);
  EXPECT_EQ(plan.guidance_scale_2, 3);
  EXPECT_EQ(Json::parse(plan_to_json(plan)).at("guidance_scale_2"), 3);
  EXPECT_EQ(settings_of_clip(plan, plan.clips.front()).at("guidance_scale_2"), 3);
  r.guidance_scale_2 = -1;
  test::expect_error(ErrorKind::usage, {"--guidance-scale-2", "-1"}, [&] { plan_generation(r); });
  auto one = request_for("wan-tiny");
  one.guidance_scale_2 = 3;
  test::expect_error(ErrorKind::usage, {"--guidance-scale-2", "two experts"}, [&] { plan_generation(one); });
}

TEST(WanExpertsPlan, CountsTheWeightsOfBoth) {
  const auto folder = open_model_folder(test::golden("wan22-a14b"));
  const auto model = open_model(folder);
  const auto count = [&](const char* component) {
    return Weights::open(folder.component(component), "diffusion_pytorch_model", at::kCPU, at::kFloat)
        .element_count();
  };
  EXPECT_EQ(component_sizes(*model).transformer, count("transformer") + count("transformer_2"));
  EXPECT_EQ(model->costs().conditioning_bytes(1, 10, 4), 2 * 2 * 10 * 2 * 32 * 4);
}

TEST(WanExpertsPlan, GuidanceIsThatOfTheExpertWhichMakesTheStep) {
  const Guidance guidance{4, 0, 3, 875};
  EXPECT_EQ(guidance.scale_at(1000), 4);
  EXPECT_EQ(guidance.scale_at(875), 4);
  EXPECT_EQ(guidance.scale_at(874), 3);
  EXPECT_EQ((Guidance{4, 0}).scale_at(0), 4);
}

TEST(WanExpertsPlan, ExpertsThatAreMissingOrUnlikeAreRefused) {
  const auto refused = [](const ChangedVariant& changed, const std::vector<std::string>& parts) {
    test::expect_error(ErrorKind::bad_input, parts, [&] { open_model(open_model_folder(changed.path)); });
  };
  refused({"wan22-a14b", {{"transformer_2", {nullptr, nullptr}}}}, {"'boundary_ratio'", "'transformer_2'"});
  refused({"wan22-a14b", {{"boundary_ratio", 1.5}}}, {"'boundary_ratio'", "between 0 and 1", "1.5"});
  refused({"wan22-a14b", {{"ffn_dim", 50}}, "transformer_2/config.json"},
          {"transformer_2/config.json", "'ffn_dim' is 50", "is 48"});
  const ChangedVariant without("wan22-a14b", Json::object());
  fs::remove(fs::path(without.path) / "transformer_2" / "diffusion_pytorch_model.safetensors");
  auto r = request_for("wan22-a14b");
  r.model = without.path;
  test::expect_error(ErrorKind::bad_input, {"transformer_2"}, [&] { plan_generation(r); });
}

// The hash is of both experts.
TEST(WanExpertsPlan, AnotherSecondExpertIsAnotherModel) {
  const ChangedVariant changed("wan22-a14b", Json::object());
  const auto before = model_hash(open_model_folder(changed.path));
  const fs::path root = changed.path;
  fs::copy_file(root / "transformer" / "diffusion_pytorch_model.safetensors",
                root / "transformer_2" / "diffusion_pytorch_model.safetensors",
                fs::copy_options::overwrite_existing);
  EXPECT_NE(model_hash(open_model_folder(changed.path)), before);
}

TEST(WanTi2vPlan, KnowsThatAPictureIsCleanAndMakesWholePatches) {
  auto r = request_for("wan22-ti2v");
  r.image = (test::golden("wan-pictures") / "picture.png").string();
  r.size = "70x50";
  const auto plan = plan_generation(r);
  EXPECT_TRUE(plan.levels_per_token);
  EXPECT_EQ(plan.width, 64);
  EXPECT_EQ(plan.height, 32);
  EXPECT_EQ(plan.latent_shape, (std::vector<int64_t>{1, 12, 3, 2, 4}));
  r = request_for("wan22-ti2v");
  r.size.reset();
  r.frames.reset();
  const auto whole = plan_generation(r);
  EXPECT_EQ(whole.width, 1280);
  EXPECT_EQ(whole.height, 704);
  EXPECT_EQ(whole.frames, 121);
  EXPECT_EQ(whole.fps, 24);
}

// Which pictures a model reads is in its configs; what else is asked of it is refused.
TEST(WanImageToVideoPlan, ReadsThePicturesThatItsConfigsSay) {
  const auto picture = (test::golden("wan-pictures") / "picture.png").string();
  const auto refused = [](const GenerationRequest& r, const std::vector<std::string>& parts) {
    test::expect_error(ErrorKind::usage, parts, [&] { plan_generation(r); });
  };
  for (const std::string variant : {"wan21-i2v", "wan21-flf2v", "wan22-i2v"}) {
    SCOPED_TRACE(variant);
    auto r = request_for(variant);
    refused(r, {"--image FILE"});
    r.extend = picture;
    refused(r, {"--extend", "text-to-video model"});
    r.extend.reset();
    r.image = picture;
    if (variant == "wan21-flf2v")
      refused(r, {"--last-image FILE"});
    else
      EXPECT_TRUE(plan_generation(r).reads_pictures);
    r.last_image = picture;
    if (variant == "wan21-i2v")
      refused(r, {"--last-image", "begins with alone"});
    else
      EXPECT_EQ(plan_generation(r).conditions.size(), 2U);
  }
}

TEST(WanImageToVideoPlan, ConfigsThatContradictEachOtherAreRefused) {
  const auto refused = [](const ChangedVariant& changed, const std::vector<std::string>& parts) {
    test::expect_error(ErrorKind::bad_input, parts, [&] { open_model(open_model_folder(changed.path)); });
  };
  const auto in = "transformer/config.json";
  refused({"wan21-i2v", {{"_class_name", "WanPipeline"}}},
          {in, "in_channels 36 should be 16", "WanPipeline"});
  refused({"wan22-a14b", {{"_class_name", "WanImageToVideoPipeline"}}}, {in, "in_channels 16 should be 36"});
  refused({"wan21-i2v", {{"hidden_size", 44}}, "image_encoder/config.json"},
          {"image_dim 40", "hidden_size 44"});
  refused({"wan21-i2v", {{"hidden_act", "quick_gelu"}}, "image_encoder/config.json"}, {"quick_gelu"});
  refused({"wan21-flf2v", {{"pos_embed_seq_len", 12}}, in}, {"pos_embed_seq_len 12", "10"});
  refused({"wan21-i2v", {{"crop_size", 20}}, "image_processor/preprocessor_config.json"},
          {"crop_size", "28", "20"});
  refused({"wan21-i2v", {{"resample", 2}}, "image_processor/preprocessor_config.json"},
          {"resample", "bicubic"});
}

TEST(WanVacePlan, EverythingThatIsGivenIsReadByTheControlBranch) {
  auto r = request_for("wan21-vace");
  EXPECT_TRUE(plan_generation(r).reads_control);
  r.control = (test::golden("wan-pictures") / "control" / "%d.png").string();
  r.control_scale = 0.5;
  r.frames = 5;
  const auto plan = plan_generation(r);
  EXPECT_EQ(plan.first_step, 0);
  EXPECT_EQ(plan.frames, 5);
  EXPECT_EQ(settings_of_clip(plan, plan.clips.front()).at("control_scale"), 0.5);
  r.model = test::golden("wan-tiny").string();
  test::expect_error(ErrorKind::usage, {"--control", "VACE"}, [&] { plan_generation(r); });
  r = request_for("wan21-vace");
  r.edit = (test::golden("wan-pictures") / "picture.png").string();
  r.strength = 0.5;
  test::expect_error(ErrorKind::usage, {"--strength", "VACE"}, [&] { plan_generation(r); });
}

TEST(WanVacePlan, ConfigsThatContradictEachOtherAreRefused) {
  const auto refused = [](const ChangedVariant& changed, const std::vector<std::string>& parts) {
    test::expect_error(ErrorKind::bad_input, parts, [&] { open_model(open_model_folder(changed.path)); });
  };
  const auto in = "transformer/config.json";
  refused({"wan21-vace", {{"_class_name", "WanPipeline"}}}, {in, "vace_layers", "WanPipeline"});
  refused({"wan-tiny", {{"_class_name", "WanVACEPipeline"}}}, {in, "vace_layers"});
  refused({"wan21-vace", {{"vace_in_channels", 32}}, in}, {"vace_in_channels 32", "96"});
  refused({"wan21-vace", {{"vace_layers", {1, 2}}}, in}, {"vace_layers", "from 0 to 2"});
  refused({"wan21-vace", {{"vace_layers", {0, 3}}}, in}, {"vace_layers", "from 0 to 2"});
}

TEST(SkyReelsPlan, HasTheDefaultsOfItsPipeline) {
  const auto plan_of = [](const std::string& pipeline_class, std::optional<int64_t> frames = std::nullopt) {
    const ChangedVariant model("skyreels-df", {{"_class_name", pipeline_class}});
    auto r = request_for("skyreels-df");
    r.model = model.path;
    r.size.reset();
    r.frames = frames;
    return plan_generation(r);
  };
  const auto plan = plan_of("SkyReelsV2DiffusionForcingPipeline");
  EXPECT_EQ(plan.width, 960);
  EXPECT_EQ(plan.height, 544);
  EXPECT_EQ(plan.frames, 97);
  EXPECT_EQ(plan.fps, 24);
  EXPECT_EQ(plan.steps, 50);
  EXPECT_EQ(plan.guidance_scale, 6);
  EXPECT_EQ(plan.flow_shift, 8);
  EXPECT_EQ(plan.windows.size(), 1U);
  EXPECT_TRUE(plan.levels_per_token);
  EXPECT_TRUE(plan.reads_frame_rate);
  EXPECT_EQ(plan_of("SkyReelsV2DiffusionForcingImageToVideoPipeline").guidance_scale, 5);
  const auto of_video = plan_of("SkyReelsV2DiffusionForcingVideoToVideoPipeline");
  EXPECT_EQ(of_video.frames, 121);
  EXPECT_EQ(of_video.window, 97);
  const auto whole = plan_of("SkyReelsV2DiffusionForcingPipeline", 257);
  EXPECT_EQ(whole.windows.size(), 3U);
  EXPECT_EQ(whole.overlap, 17);
  EXPECT_EQ(whole.latent_shape, (std::vector<int64_t>{1, 16, 25, 68, 120}));
  const auto shorter = plan_of("SkyReelsV2DiffusionForcingPipeline", 201);
  EXPECT_EQ(window_latent_shape(shorter, 2), (std::vector<int64_t>{1, 16, 11, 68, 120}));
  EXPECT_EQ(window_tokens(shorter, 2), 11 * 34 * 60);
}

TEST(SkyReelsPlan, APipelineWithoutDiffusionForcingMakesOnePass) {
  const ChangedVariant changed("wan22-a14b",
                               {{"_class_name", "SkyReelsV2Pipeline"}, {"boundary_ratio", nullptr}});
  auto r = request_for("skyreels-df");
  r.model = changed.path;
  r.frames = 201;
  r.size.reset();
  const auto plan = plan_generation(r);
  EXPECT_EQ(plan.windows.size(), 1U);
  EXPECT_EQ(plan.width, 960);
  EXPECT_EQ(plan.guidance_scale, 6);
  const ChangedVariant of_picture("wan21-i2v", {{"_class_name", "SkyReelsV2ImageToVideoPipeline"}});
  r = request_for("skyreels-df");
  r.model = of_picture.path;
  r.image = (test::golden("wan-pictures") / "picture.png").string();
  EXPECT_TRUE(plan_generation(r).reads_pictures);
  EXPECT_EQ(plan_generation(r).guidance_scale, 5);
}

TEST(SkyReelsPlan, ConfigsThatContradictEachOtherAreRefused) {
  const auto refused = [](const ChangedVariant& changed, const std::vector<std::string>& parts) {
    test::expect_error(ErrorKind::bad_input, parts, [&] { open_model(open_model_folder(changed.path)); });
  };
  const auto in = "transformer/config.json";
  refused({"skyreels-df", {{"_class_name", "SkyReelsV2Pipeline"}}}, {in, "inject_sample_info"});
  refused({"skyreels-df", {{"num_frame_per_block", 5}}, in}, {in, "num_frame_per_block 5"});
  refused({"skyreels-df", {{"text_dim", 57}}, in}, {in, "text_dim 57", "56"});
  const ChangedVariant changed("skyreels-df", {{"inject_sample_info", false}}, in);
  auto r = request_for("skyreels-df");
  r.model = changed.path;
  EXPECT_FALSE(plan_generation(r).reads_frame_rate);
}

TEST(WanImageToVideoPlan, AnotherImageEncoderIsAnotherModel) {
  const ChangedVariant changed("wan21-i2v", Json::object());
  const auto before = model_hash(open_model_folder(changed.path));
  const auto config = fs::path(changed.path) / "image_processor" / "preprocessor_config.json";
  auto json = read_json(config);
  json["image_mean"][0] = 0.5;
  std::ofstream(config) << json;
  EXPECT_NE(model_hash(open_model_folder(changed.path)), before);
}

}  // namespace
}  // namespace t2v
