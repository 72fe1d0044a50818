// Models from single files through the binary: second experts, files alone, trees of models, t2v info.
#include <cmath>
#include <nlohmann/json.hpp>
#include <random>

#include "expect.h"
#include "model_copy.h"
#include "paths.h"
#include "wan_files.h"

namespace t2v::test {

namespace {

namespace fs = std::filesystem;

// Random numbers of small weights.
void write_tensors(const fs::path& path, const NamesAndShapes& list, uint32_t seed) {
  std::mt19937 random(seed);
  RawTensors tensors;
  for (const auto& [name, shape] : list) {
    int64_t count = 1;
    for (const auto side : shape) count *= side;
    const auto begin = tensors.data.size();
    const double scale = shape.size() < 2 ? 1.0 : 1 / std::sqrt(static_cast<double>(count / shape[0]));
    for (int64_t i = 0; i < count; ++i) {
      const auto value = static_cast<float>((static_cast<double>(random()) / 2147483648.0 - 1) * scale);
      tensors.data.append(reinterpret_cast<const char*>(&value), sizeof value);
    }
    tensors.header[name] = {
        {"dtype", "F32"}, {"shape", shape}, {"data_offsets", {begin, tensors.data.size()}}};
  }
  fs::create_directories(path.parent_path());
  write_raw_tensors(path, tensors);
}

// With the text encoder and the autoencoder of wan-tiny.
WanSizes sizes_of(int64_t in = 16) {
  return {.width = 128, .ffn = 48, .blocks = 2, .in = in, .out = 16, .text = 56, .frequencies = 32};
}

std::string tiny(const std::string& part) { return (golden("wan-tiny") / part).string(); }
const std::string tiny_text = "text_encoder/model.safetensors";

Arguments small_clip(const fs::path& out, const Arguments& more) {
  Arguments arguments = {"generate",   "a cat", "--size", "64x32",     "--frames", "5",
                         "--steps",    "4",     "--seed", "4",         "--fps",    "8",
                         "--progress", "none",  "-o",     out.string()};
  arguments.insert(arguments.end(), more.begin(), more.end());
  return arguments;
}

class CliSingleFiles : public testing::Test {
 protected:
  fs::path transformer(const std::string& name, uint32_t seed = 1, const WanSizes& sizes = sizes_of()) {
    write_tensors(folder / name, wan_transformer(sizes), seed);
    return folder / name;
  }
  Arguments beside() const {
    return {"--vae", tiny(vae_file), "--text-encoder", tiny(tiny_text), "--tokenizer", tiny("tokenizer")};
  }
  std::string made(const std::string& name, const Arguments& more) {
    const auto out = folder / (name + ".y4m");
    expect_done(run_program(small_clip(out, more)));
    return bytes_of(out);
  }
  void refused(const Arguments& more, int code, const std::vector<std::string>& parts) {
    expect_refused(run_program(small_clip(folder / "no.y4m", more)), code, parts);
    EXPECT_FALSE(fs::exists(folder / "no.y4m"));
  }
  static Arguments joined(Arguments first, const Arguments& second) {
    first.insert(first.end(), second.begin(), second.end());
    return first;
  }
  // A folder with the transformer's numbers, under the original names, and the configs of wan-tiny.
  std::string as_folder(const std::string& name, const fs::path& file) {
    const auto root = folder / name;
    fs::copy(golden("wan-tiny"), root, fs::copy_options::recursive);
    auto config = nlohmann::json::parse(bytes_of(root / "transformer" / "config.json"));
    config.update({{"attention_head_dim", 128},
                   {"num_attention_heads", 1},
                   {"num_layers", 2},
                   {"ffn_dim", 48},
                   {"freq_dim", 32}});
    write_bytes(root / "transformer" / "config.json", config.dump());
    fs::remove(root / transformer_file);
    fs::create_symlink(file, root / transformer_file);
    return root.string();
  }
  TemporaryFolder folder;
};

Arguments lora_file(const fs::path& path, const std::string& layer, int64_t width, int64_t rank) {
  write_tensors(path, {{layer + ".lora_A.weight", {rank, width}}, {layer + ".lora_B.weight", {width, rank}}},
                9);
  return {path.string()};
}

}  // namespace

TEST_F(CliSingleFiles, MakeTheClipOfAFolderWithTheirNumbers) {
  const auto file = transformer("wan2.1_t2v.safetensors");
  const auto alone = made("alone", joined({"--transformer", file.string()}, beside()));
  const auto model = as_folder("model", file);
  // What no file says: the shift, the guidance and the negative prompt of Wan 2.1 T2V.
  const auto plan = run_program(
      joined(small_clip(folder / "a.y4m", {"--transformer", file.string(), "--dry-run"}), beside()));
  expect_done(plan);
  const auto negative = nlohmann::json::parse(plan.out).at("negative_prompt").get<std::string>();
  EXPECT_TRUE(negative.starts_with("色调艳丽"));
  EXPECT_TRUE(made("folder", {"-m", model, "--transformer", file.string(), "--flow-shift", "5",
                              "--guidance-scale", "5", "-n", negative}) == alone);
}

TEST_F(CliSingleFiles, TheSidecarMakesTheClipAgain) {
  const auto file = transformer("wan2.1_t2v.safetensors");
  const auto first = made("first", joined({"--transformer", file.string(), "--sidecar"}, beside()));
  const auto result = run_program({"generate", "--config", (folder / "first.y4m.json").string(), "--progress",
                                   "none", "-o", (folder / "again.y4m").string()});
  expect_done(result);
  EXPECT_EQ(result.err.find("warning"), std::string::npos) << result.err;
  EXPECT_TRUE(bytes_of(folder / "again.y4m") == first);
}

TEST_F(CliSingleFiles, TheirLatentsAreDecodedByTheSameFiles) {
  const auto file = transformer("wan2.1_t2v.safetensors");
  const auto latents = (folder / "clip.safetensors").string(), again = (folder / "again.y4m").string();
  const auto clip = made("clip",
                         joined({"--transformer", file.string(), "--save-latents", latents}, beside()));
  const auto result = run_program({"decode", latents, "--progress", "none", "-o", again});
  expect_done(result);
  EXPECT_TRUE(bytes_of(again) == clip);
  expect_refused(run_program({"decode", latents, "-m", tiny(""), "--progress", "none", "-o", again}), 3,
                 {"clip.safetensors", "are of the autoencoder"});
  // A folder with another file of its autoencoder.
  const auto vae = (folder / "vae.safetensors").string();
  fs::copy_file(tiny(vae_file), vae);
  const auto second = made("second", {"-m", tiny(""), "--vae", vae, "--save-latents", latents});
  expect_done(run_program({"decode", latents, "--progress", "none", "-o", again}));
  EXPECT_TRUE(bytes_of(again) == second);
}

TEST_F(CliSingleFiles, ExpertsChangeTheStepsThatAreTheirs) {
  const auto high = transformer("wan_high_noise.safetensors", 1).string(),
             low = transformer("wan_low_noise.safetensors", 2).string();
  const auto both = joined({"--transformer", high, "--transformer-2", low}, beside());
  const auto clip = made("both", both);
  const auto other = transformer("other_low_noise.safetensors", 3).string();
  EXPECT_FALSE(made("other", joined({"--transformer", high, "--transformer-2", other}, beside())) == clip);
  refused(joined({"--transformer", high}, beside()), 3, {"high-noise expert", "--transformer-2"});
  refused(joined({"--transformer", low}, beside()), 3, {"low-noise expert", "--transformer "});
  refused(joined({"--transformer", low, "--transformer-2", high}, beside()), 3,
          {"wan_low_noise.safetensors", "--transformer-2"});
  const auto lora = lora_file(folder / "low.safetensors", "diffusion_model.blocks.0.self_attn.q", 128, 4)
                        .front();
  EXPECT_FALSE(made("lora", joined(both, {"--lora", lora})) == clip);
  const auto second = made("lora2", joined(both, {"--lora-2", lora + ":0.5"}));
  EXPECT_FALSE(second == clip);
  EXPECT_FALSE(second == made("lora1", joined(both, {"--lora-2", lora})));
  EXPECT_TRUE(made("none", joined(both, {"--lora-2", lora + ":0"})) == clip);
}

TEST_F(CliSingleFiles, AFolderOfExpertsTakesFilesAndLorasForTheSecond) {
  const auto model = golden("wan22-a14b");
  const auto second = (model / "transformer_2" / "diffusion_pytorch_model.safetensors").string();
  const auto first = (model / "transformer" / "diffusion_pytorch_model.safetensors").string();
  const auto clip = made("folder", {"-m", model.string(), "--guidance-scale", "4"});
  const auto with = [&](const std::string& name, const Arguments& more) {
    return made(name, joined({"-m", model.string(), "--guidance-scale", "4", "--sidecar"}, more));
  };
  EXPECT_TRUE(with("file", {"--transformer-2", second}) == clip);
  EXPECT_FALSE(with("first", {"--transformer-2", first}) == clip);
  const auto lora = lora_file(folder / "lora.safetensors", "blocks.0.attn1.to_q", 32, 4).front();
  EXPECT_FALSE(with("lora", {"--lora-2", lora}) == clip);
  const auto sidecar = nlohmann::json::parse(bytes_of(folder / "lora.y4m.json"));
  EXPECT_EQ(sidecar.at("settings").at("lora_2"), nlohmann::json({lora}));
  EXPECT_NE(sidecar.at("model_hash"),
            nlohmann::json::parse(bytes_of(folder / "file.y4m.json")).at("model_hash"));
  const auto wide = lora_file(folder / "wide.safetensors", "blocks.0.attn1.to_q", 64, 4).front();
  refused({"-m", model.string(), "--lora-2", wide}, 3, {"wide.safetensors", "[64, 4]", "[32, 32]"});
  refused({"-m", tiny(""), "--lora-2", lora}, 2, {"--lora-2", "two experts"});
  refused({"-m", tiny(""), "--transformer-2", second}, 2, {"--transformer-2", "two experts"});
  const auto named = folder / "low_noise.safetensors";
  fs::copy_file(first, named);
  refused({"-m", model.string(), "--transformer", named.string()}, 3, {"low_noise", "--transformer-2"});
}

TEST_F(CliSingleFiles, WhatIsMissingBesideAFileIsSaid) {
  const auto file = transformer("t2v.safetensors").string();
  refused({"--transformer", file}, 3, {"--vae", "--text-encoder", "UMT5"});
  refused({"--transformer", file, "--vae", tiny(vae_file), "--text-encoder", tiny(tiny_text)}, 3,
          {"no tokenizer", "--tokenizer"});
  refused(joined({"--transformer", tiny(vae_file)}, beside()), 3,
          {"is an autoencoder", "takes a transformer"});
  refused({"--transformer", file, "--vae", file, "--text-encoder", tiny(tiny_text)}, 3,
          {"is a transformer", "--vae takes an autoencoder"});
  const auto pictures = transformer("i2v.safetensors", 1, sizes_of(36)).string();
  refused(joined({"--transformer", pictures}, beside()), 3, {"I2V A14B", "--transformer-2"});
}

TEST_F(CliSingleFiles, ATreeOfModelsIsSearched) {
  const auto file = transformer("models/diffusion_models/wan/wan2.1_t2v.safetensors");
  const auto expected = made("files", joined({"--transformer", file.string()}, beside()));
  const auto models = (folder / "models").string();
  const auto put = [&](const std::string& from, const std::string& to) {
    fs::create_directories((folder / "models" / to).parent_path());
    fs::copy_file(from, folder / "models" / to);
  };
  const Arguments tokenizer = {"--tokenizer", tiny("tokenizer/spiece.model")};
  refused(joined({"-m", models}, tokenizer), 3, {"16 channels", "is not in vae", "--vae"});
  put(tiny(vae_file), "vae/wan_vae.safetensors");
  put((golden("wan22-ti2v") / vae_file).string(), "vae/another.safetensors");
  put(tiny(tiny_text), "text_encoders/umt5.safetensors");
  write_bytes(folder / "models" / "vae" / "broken.safetensors", "no weights");
  EXPECT_TRUE(made("tree", joined({"-m", models}, tokenizer)) == expected);
  refused({"-m", models}, 3, {"UMT5-XXL, with its tokenizer", "text_encoders", "--tokenizer"});
  lora_file(folder / "models" / "loras" / "style.safetensors", "diffusion_model.blocks.0.self_attn.q", 128,
            4);
  EXPECT_FALSE(made("lora", joined({"-m", models, "--lora", "style.safetensors:2"}, tokenizer)) == expected);
  refused(joined({"-m", models, "--lora", "none.safetensors"}, tokenizer), 3, {"none.safetensors", "loras"});
  transformer("models/unet/second.safetensors", 5);
  refused(joined({"-m", models}, tokenizer), 3,
          {"2 transformers", "second.safetensors", "--transformer NAME"});
  EXPECT_TRUE(made("named", joined({"-m", models, "--transformer", "wan2.1_t2v.safetensors"}, tokenizer)) ==
              expected);
}

TEST_F(CliSingleFiles, ExpertsOfATreeAreFoundByTheirNames) {
  transformer("models/diffusion_models/wan2.2_high_noise.safetensors", 1);
  transformer("models/diffusion_models/wan2.2_low_noise.safetensors", 2);
  const auto models = folder / "models";
  const auto files = joined(
      {"--transformer", (models / "diffusion_models/wan2.2_high_noise.safetensors").string(),
       "--transformer-2", (models / "diffusion_models/wan2.2_low_noise.safetensors").string()},
      beside());
  EXPECT_TRUE(made("tree", joined({"-m", models.string()}, beside())) == made("files", files));
}

TEST_F(CliSingleFiles, InfoSaysWhatAFileIs) {
  const auto info = [&](const fs::path& path) {
    const auto result = run_program({"info", path.string(), "--json"});
    expect_done(result);
    return nlohmann::json::parse(result.out);
  };
  const auto file = info(transformer("wan2.2_t2v_high_noise_14B.safetensors"));
  EXPECT_EQ(file.at("component"), "transformer");
  EXPECT_EQ(file.at("kind"), "Wan 2.2 T2V A14B, the high-noise expert");
  EXPECT_EQ(file.at("stored").at("F32"), file.at("parameters"));
  EXPECT_EQ(file.at("memory").at("float32"), 4 * file.at("parameters").get<int64_t>());
  EXPECT_EQ(file.at("memory").at("bfloat16"), 2 * file.at("parameters").get<int64_t>());
  EXPECT_LT(file.at("memory").at("q4_0"), file.at("memory").at("q8_0"));
  EXPECT_LT(file.at("memory").at("float8"), file.at("memory").at("bfloat16"));
  for (const char* flag : {"--transformer-2", "--vae", "--text-encoder"})
    EXPECT_TRUE(file.at("beside").contains(flag)) << flag;
  EXPECT_TRUE(file.at("tensors").contains("blocks.0.self_attn.q.weight"));
  EXPECT_EQ(info(tiny(vae_file)).at("kind"), "autoencoder of Wan 2.1, 16 channels");
  const auto text = info(tiny(tiny_text));
  EXPECT_EQ(text.at("component"), "text_encoder");
  EXPECT_TRUE(text.at("beside").contains("--tokenizer"));
  lora_file(folder / "lora.safetensors", "lora_unet_blocks_0_self_attn_q", 5120, 8);
  EXPECT_EQ(info(folder / "lora.safetensors").at("kind"), "LoRA of Wan 14B, 5120 wide, 1 layers, rank 8");
  const auto lines = run_program({"info", tiny(vae_file)});
  expect_done(lines);
  EXPECT_NE(lines.out.find("kind: autoencoder of Wan 2.1"), std::string::npos);
  EXPECT_EQ(lines.out.find("tensors:"), std::string::npos);
}

}  // namespace t2v::test
