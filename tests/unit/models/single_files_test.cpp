// Models from single files alone: what a file is by its names and shapes, and what files make together.
#include "models/single_files.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <fstream>
#include <iterator>

#include "errors.h"
#include "models/encoders/t5_encoder.h"
#include "models/model.h"
#include "models/wan/wan_names.h"
#include "models/wan/wan_transformer.h"
#include "models/wan/wan_vae.h"
#include "paths.h"
#include "wan_files.h"
#include "weights/safetensors.h"

namespace t2v {
namespace {

using test::NamesAndShapes;

// A file's names and shapes without its data.
class Names : public TensorSource {
 public:
  explicit Names(const NamesAndShapes& list, const std::string& prefix = "") {
    for (const auto& [name, shape] : list) shapes_[prefix + name] = shape;
  }
  std::string where() const override { return "names"; }
  std::vector<std::string> names() const override {
    std::vector<std::string> names;
    for (const auto& [name, shape] : shapes_) names.push_back(name);
    return names;
  }
  std::optional<TensorInfo> find(const std::string& name) const override {
    const auto found = shapes_.find(name);
    return found == shapes_.end() ? std::nullopt : std::optional(TensorInfo{"BF16", found->second});
  }
  at::Tensor read(const std::string&) const override { throw std::logic_error("no data"); }

 private:
  std::map<std::string, std::vector<int64_t>> shapes_;
};

struct PublicFile {
  const char* what;
  const char* name;
  test::WanSizes sizes;
};

const test::WanSizes wan_14b{.width = 5120, .ffn = 13824, .blocks = 40};

test::WanSizes with(test::WanSizes sizes, int64_t in, int64_t image, int64_t places, int64_t control) {
  sizes.in = in, sizes.image = image, sizes.places = places, sizes.control = control;
  return sizes;
}

std::vector<PublicFile> public_transformers() {
  return {
      {"Wan 2.1 T2V 1.3B", "wan2.1_t2v_1.3B_bf16.safetensors", {}},
      {"Wan 2.1 T2V 14B", "wan2.1_t2v_14B_fp8_scaled.safetensors", wan_14b},
      {"Wan 2.2 T2V A14B, the high-noise expert", "wan2.2_t2v_high_noise_14B_fp8_scaled.safetensors",
       wan_14b},
      {"Wan 2.2 T2V A14B, the low-noise expert", "Wan2.2-T2V-A14B-LowNoise-Q4_K_M.gguf", wan_14b},
      {"Wan 2.1 I2V 14B", "wan2.1_i2v_480p_14B_bf16.safetensors", with(wan_14b, 36, 1280, 0, 0)},
      {"Wan 2.1 FLF2V 14B", "wan2.1_flf2v_720p_14B_fp16.safetensors", with(wan_14b, 36, 1280, 514, 0)},
      {"Wan 2.2 I2V A14B, the low-noise expert", "wan2.2_i2v_low_noise_14B_fp16.safetensors",
       with(wan_14b, 36, 0, 0, 0)},
      {"Wan 2.1 VACE 1.3B", "wan2.1_vace_1.3B_fp16.safetensors", with({}, 16, 0, 0, 15)},
      {"Wan 2.1 VACE 14B", "wan2.1_vace_14B_fp16.safetensors", with(wan_14b, 16, 0, 0, 8)},
      {"Wan 2.2 TI2V 5B",
       "wan2.2_ti2v_5B_fp16.safetensors",
       {.width = 3072, .ffn = 14336, .blocks = 30, .in = 48, .out = 48}},
  };
}

FileKind kind_of(const NamesAndShapes& list, const std::string& name, const std::string& prefix = "") {
  return kind_of_file(std::make_shared<Names>(list, prefix), name);
}

// What a network asks for.
template <class Network, class Config>
TensorShapes asked(const Config& config) {
  auto meta = Weights::meta();
  if constexpr (std::is_same_v<Network, WanTransformer>)
    Network(config, meta.root(), at::kMeta);
  else
    Network(config, meta.root());
  return meta.asked();
}

template <class Original>
void expect_same(const NamesAndShapes& list, const TensorShapes& asked, const Original& original,
                 const std::string& file) {
  const std::map<std::string, std::vector<int64_t>> wanted(list.begin(), list.end());
  EXPECT_EQ(asked.size(), wanted.size()) << file;
  for (const auto& [name, shape] : asked) {
    const auto found = wanted.find(original(name));
    ASSERT_NE(found, wanted.end()) << file << ": " << name << " = " << original(name);
    EXPECT_EQ(found->second, shape) << file << ": " << name;
  }
}

// Files of zeros: their names and shapes are what matters.
class SingleFilesTest : public testing::Test {
 protected:
  static std::vector<std::pair<std::string, at::Tensor>> tensors_of(const NamesAndShapes& list) {
    std::vector<std::pair<std::string, at::Tensor>> tensors;
    for (const auto& [key, shape] : list)
      tensors.emplace_back(key, at::zeros(shape, at::TensorOptions(at::kBFloat16)));
    return tensors;
  }
  std::filesystem::path file(const std::string& name, const NamesAndShapes& list) {
    save_safetensors(place / name, tensors_of(list));
    return place / name;
  }
  static void refused(const std::map<std::string, std::filesystem::path>& parts,
                      const std::vector<std::string>& said) {
    test::expect_error(ErrorKind::bad_input, said, [&] { open_model(assemble_model(parts)); });
  }
  test::WanSizes small(int64_t in, int64_t out) const {
    return {.width = 128, .ffn = 32, .blocks = 2, .in = in, .out = out, .text = 24, .frequencies = 16};
  }
  std::filesystem::path text() {
    return file(
        "text.safetensors",
        test::wan_umt5({.width = 24, .inner = 16, .ffn = 32, .heads = 2, .layers = 2, .vocabulary = 512}));
  }
  std::map<std::string, std::filesystem::path> files() {
    return {{"transformer", file("t2v.safetensors", test::wan_transformer(small(16, 16)))},
            {"vae", file("vae.safetensors", test::wan_21_vae(4))},
            {"text_encoder", text()},
            {"tokenizer", test::golden("wan-tiny") / "tokenizer"}};
  }
  test::TemporaryFolder place;
};

}  // namespace

TEST(FileKind, PublicTransformersAreToldApart) {
  for (const auto& [what, name, sizes] : public_transformers())
    for (const std::string prefix : {"", "model.diffusion_model."}) {
      const auto kind = kind_of(test::wan_transformer(sizes), name, prefix);
      EXPECT_EQ(kind.component, "transformer") << name;
      EXPECT_EQ(kind.what, what) << name << kind.why_no_config;
      EXPECT_TRUE(kind.config) << kind.why_no_config;
    }
}

TEST(FileKind, PublicAutoencodersAndEncodersAreKnown) {
  EXPECT_EQ(kind_of(test::wan_21_vae(96), "wan_2.1_vae.safetensors").what,
            "autoencoder of Wan 2.1, 16 channels");
  EXPECT_EQ(kind_of(test::wan_22_vae(160, 256), "wan2.2_vae.safetensors").what,
            "autoencoder of Wan 2.2 TI2V, 48 channels");
  for (const auto& list : {test::clip_vision({}), test::open_clip_vision({})})
    EXPECT_EQ(kind_of(list, "clip_vision_h.safetensors").what,
              "CLIP vision encoder, 32 layers, 1280 wide, pictures of 224");
  EXPECT_EQ(kind_of(test::wan_umt5({}), "umt5-xxl-enc-bf16.safetensors").what,
            "UMT5 encoder, 24 layers, 4096 wide, vocabulary 256384");
}

// The list of names and shapes is the reference's; what the networks ask for is ours.
TEST(FileKind, NetworksAskForWhatPublicFilesHave) {
  for (const auto& [what, name, sizes] : public_transformers()) {
    const auto list = test::wan_transformer(sizes);
    expect_same(list, asked<WanTransformer>(parse_wan_transformer_config(*kind_of(list, name).config, name)),
                original_wan_transformer_name, name);
  }
  const auto of_21 = test::wan_21_vae(96), of_22 = test::wan_22_vae(160, 256), text = test::wan_umt5({});
  expect_same(
      of_21, asked<WanVae>(parse_wan_vae_config(*kind_of(of_21, "").config, "vae")),
      [](const std::string& name) { return original_wan_vae_name(name, 3); }, "2.1");
  expect_same(
      of_22, asked<WanVae>(parse_wan_vae_config(*kind_of(of_22, "").config, "vae")),
      [](const std::string& name) { return original_wan_residual_vae_name(name, 2); }, "2.2");
  expect_same(text, asked<T5Encoder>(parse_umt5_config(*kind_of(text, "").config, "text")),
              original_wan_t5_name, "UMT5");
}

TEST(FileKind, WhatNoTensorTellsIsSaid) {
  const auto list = test::wan_transformer(wan_14b);
  EXPECT_EQ(kind_of(list, "wan2.1_t2v_14B.safetensors").notes.size(), 1);
  EXPECT_TRUE(kind_of(test::wan_transformer({}), "wan2.1_t2v_1.3B.safetensors").notes.empty());
  EXPECT_EQ(kind_of_file(std::make_shared<Names>(list), "any.safetensors", true).what, "Wan 2.2 T2V A14B");
  EXPECT_EQ(expert_in_name("Wan2_2-T2V-A14B_HIGH_fp8.safetensors"), "high");
  EXPECT_EQ(expert_in_name("wan2.2_low_noise.safetensors"), "low");
  EXPECT_EQ(expert_in_name("a_high_castle.safetensors"), "");
}

TEST(FileKind, VariantsThatAreNotThereAreRefusedWithTheirShape) {
  const auto control = kind_of(test::wan_transformer(with({}, 48, 0, 0, 0)), "fun_control.safetensors");
  EXPECT_EQ(control.component, "transformer");
  EXPECT_FALSE(control.config);
  EXPECT_NE(control.why_no_config.find("reads 48 channels and gives 16"), std::string::npos);
  EXPECT_TRUE(
      kind_of({{"double_blocks.0.img_attn.qkv.weight", {3, 3}}}, "other.safetensors").component.empty());
}

TEST_F(SingleFilesTest, MakeAModelWithTheDefaultsOfTheVariant) {
  const auto model = open_model(assemble_model(files()));
  EXPECT_EQ(model->folder().pipeline_class, "WanPipeline");
  const auto& settings = model->defaults().settings;
  EXPECT_EQ(settings.at("steps"), 50);
  EXPECT_EQ(settings.at("guidance_scale"), 5);
  EXPECT_TRUE(settings.at("negative_prompt").get<std::string>().starts_with("色调艳丽"));
  EXPECT_NO_THROW(load_denoiser(*model, {}));
  EXPECT_NO_THROW(load_vae(*model, {}));
  EXPECT_NO_THROW(load_text(*model, model->load_tokenizer(), {}));
}

TEST_F(SingleFilesTest, TwoExpertsHaveABoundaryAndTheirOwnGuidance) {
  auto parts = files();
  parts["transformer"] = file("high_noise.safetensors", test::wan_transformer(small(16, 16)));
  parts["transformer_2"] = file("low_noise.safetensors", test::wan_transformer(small(16, 16)));
  const auto model = open_model(assemble_model(parts));
  EXPECT_EQ(model->boundary_timestep(), 875);
  EXPECT_EQ(model->defaults().settings.at("guidance_scale"), 4);
  EXPECT_EQ(model->defaults().settings.at("guidance_scale_2"), 3);
  EXPECT_EQ(model->folder().config("scheduler").at("flow_shift"), 12);
  std::swap(parts["transformer"], parts["transformer_2"]);
  refused(parts, {"low_noise.safetensors", "low-noise expert", "--transformer-2"});
}

TEST_F(SingleFilesTest, TheFiveBReadsATimestepForEachToken) {
  auto parts = files();
  parts["transformer"] = file("5b.safetensors", test::wan_transformer(small(48, 48)));
  refused(parts, {"vae.safetensors", "does not go with", "48", "16"});
  parts["vae"] = file("vae22.safetensors", test::wan_22_vae(8, 8));
  const auto model = open_model(assemble_model(parts));
  EXPECT_TRUE(model->levels_per_token());
  EXPECT_EQ(model->vae().spatial_ratio, 16);
  EXPECT_EQ(model->defaults().settings.at("fps"), 24);
  EXPECT_NO_THROW(load_vae(*model, {}));
}

TEST_F(SingleFilesTest, WhatIsMissingOrSwappedIsSaid) {
  auto parts = files();
  const auto without = [&](const std::string& component, const std::vector<std::string>& said) {
    auto fewer = parts;
    fewer.erase(component);
    refused(fewer, said);
  };
  without("vae", {"t2v.safetensors", "--vae", "16 channels"});
  without("text_encoder", {"--text-encoder", "UMT5-XXL"});
  auto expert = parts;
  expert["transformer"] = file("wan_high_noise.safetensors", test::wan_transformer(small(16, 16)));
  refused(expert, {"high-noise expert", "--transformer-2", "low-noise expert"});
  std::swap(parts["vae"], parts["text_encoder"]);
  refused(parts, {"is a", "--text-encoder takes a text encoder"});
  parts = files();
  parts.erase("tokenizer");
  test::expect_error(ErrorKind::bad_input, {"text.safetensors", "no tokenizer", "--tokenizer"},
                     [&] { open_model(assemble_model(parts))->load_tokenizer(); });
}

TEST_F(SingleFilesTest, ModelsThatReadPicturesHaveAnImageEncoder) {
  auto parts = files();
  auto sizes = small(36, 16);
  sizes.image = 160;
  parts["transformer"] = file("i2v.safetensors", test::wan_transformer(sizes));
  refused(parts, {"i2v.safetensors", "Wan 2.1 I2V", "--image-encoder", "CLIP ViT-H/14"});
  const test::ImageSizes image{.width = 160, .ffn = 32, .layers = 3, .patch = 14, .tokens = 5};
  parts["image_encoder"] = file("clip.safetensors", test::clip_vision(image));
  const auto model = open_model(assemble_model(parts));
  EXPECT_TRUE(model->picture_inputs()->are_encoded);
  EXPECT_EQ(model->folder().config("scheduler").at("flow_shift"), 3);
  EXPECT_NO_THROW(load_image_encoder(*model, {}));
  EXPECT_NO_THROW(load_denoiser(*model, {}));
}

TEST_F(SingleFilesTest, AnImageEncoderMayHaveOpenClipsNames) {
  const test::ImageSizes image{.width = 160, .ffn = 32, .layers = 3, .patch = 14, .tokens = 5};
  auto parts = files();
  auto sizes = small(36, 16);
  sizes.image = 160;
  parts["transformer"] = file("i2v.safetensors", test::wan_transformer(sizes));
  auto tensors = tensors_of(test::open_clip_vision(image));
  at::Tensor fused;
  for (auto& [name, tensor] : tensors)
    if (name == "visual.transformer.1.attn.to_qkv.weight") {
      tensor = at::arange(tensor.numel()).view(tensor.sizes()).to(at::kFloat);
      fused = tensor;
    }
  save_safetensors(place / "clip.safetensors", tensors);
  parts["image_encoder"] = place / "clip.safetensors";
  const auto model = open_model(assemble_model(parts));
  EXPECT_NO_THROW(load_image_encoder(*model, {}));
  const auto source = weights_of(*model, "image_encoder");
  EXPECT_TRUE(at::equal(source->read("encoder.layers.1.self_attn.k_proj.weight"), fused.slice(0, 160, 320)));
  EXPECT_TRUE(at::equal(source->read("encoder.layers.1.self_attn.v_proj.weight"), fused.slice(0, 320)));
  EXPECT_EQ(source->find("embeddings.position_embedding.weight")->shape, (std::vector<int64_t>{5, 160}));
}

TEST_F(SingleFilesTest, AVaceTransformerMakesAModel) {
  auto parts = files();
  auto sizes = small(16, 16);
  sizes.blocks = 4, sizes.control = 2;
  parts["transformer"] = file("vace.safetensors", test::wan_transformer(sizes));
  const auto model = open_model(assemble_model(parts));
  EXPECT_TRUE(model->reads_control());
  EXPECT_EQ(model->folder().config("transformer").at("vace_layers"), Json({0, 2}));
  EXPECT_NO_THROW(load_denoiser(*model, {}));
}

TEST_F(SingleFilesTest, ATextEncoderMayHaveItsTokenizerInIt) {
  auto parts = files();
  parts.erase("tokenizer");
  std::ifstream model(test::golden("wan-tiny") / "tokenizer" / "spiece.model", std::ios::binary);
  const std::string bytes((std::istreambuf_iterator<char>(model)), {});
  auto tensors = tensors_of(
      test::wan_umt5({.width = 24, .inner = 16, .ffn = 32, .heads = 2, .layers = 2, .vocabulary = 512}));
  tensors.emplace_back("spiece_model",
                       at::from_blob(const_cast<char*>(bytes.data()), {static_cast<int64_t>(bytes.size())},
                                     at::TensorOptions(at::kByte)));
  save_safetensors(place / "with_tokenizer.safetensors", tensors);
  parts["text_encoder"] = place / "with_tokenizer.safetensors";
  const auto opened = open_model(assemble_model(parts));
  const auto
      expected = load_t5_tokenizer(test::golden("wan-tiny") / "tokenizer")->encode("a cat runs", 32).ids;
  EXPECT_EQ(opened->load_tokenizer()->encode("a cat runs", 32).ids, expected);
  EXPECT_NO_THROW(load_text(*opened, opened->load_tokenizer(), {}));
}

}  // namespace t2v
