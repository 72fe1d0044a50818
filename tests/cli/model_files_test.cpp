// Bad models and bad input files: exit 3, said so that the user knows which file and which tensor. NaN while
// denoising: exit 6.
#include <limits>

#include "expect.h"
#include "model_copy.h"

namespace t2v::test {

namespace {

ProgramResult generate_with(const ModelCopy& model, const TemporaryFolder& folder) {
  return run_program(quick_clip(folder / "clip.mp4", {"--model", model.path()}));
}

}  // namespace

TEST(CliModel, TruncatedWeightsAreNamedWithTheirTensor) {
  const TemporaryFolder folder;
  ModelCopy model(folder / "model");
  model.truncate(transformer_file, 4'000'000);
  expect_refused(generate_with(model, folder), 3, {transformer_file, "tensor '", "truncated"});
  EXPECT_FALSE(std::filesystem::exists(folder / "clip.mp4"));
}

TEST(CliModel, WeightsCutWithinTheirHeaderAreTruncated) {
  const TemporaryFolder folder;
  ModelCopy model(folder / "model");
  model.truncate(vae_file, 1000);
  expect_refused(generate_with(model, folder), 3, {vae_file, "truncated"});
  model.truncate(vae_file, 0);
  expect_refused(generate_with(model, folder), 3, {vae_file, "too few"});
}

TEST(CliModel, HostileHeadersAreRefusedQuicklyInLittleMemory) {
  const auto tensor = [](const std::string& name, const std::string& begin, const std::string& end) {
    return "\"" + name + R"(":{"dtype":"F32","shape":[1],"data_offsets":[)" + begin + "," + end + "]}";
  };
  std::string huge = safetensors_bytes("{}");
  huge.replace(0, 8, std::string(8, '\x7f'));
  const std::vector<std::pair<std::string, std::string>> files = {
      {"huge length", huge},
      {"deep nesting", safetensors_bytes(std::string(1'000'000, '['))},
      {"deep objects", safetensors_bytes([] {
         std::string text;
         for (int i = 0; i < 200'000; ++i) text += R"({"a":)";
         return text;
       }())},
      {"overlap", safetensors_bytes("{" + tensor("a", "0", "4") + "," + tensor("b", "2", "6") + "}",
                                    std::string(6, '\0'))},
      {"out of range",
       safetensors_bytes("{" + tensor("a", "4000000000", "4000000004") + "}", std::string(4, '\0'))},
      {"backwards", safetensors_bytes("{" + tensor("a", "4", "0") + "}", std::string(4, '\0'))},
      {"negative", safetensors_bytes("{" + tensor("a", "-4", "0") + "}", std::string(4, '\0'))},
      {"duplicate names", safetensors_bytes("{" + tensor("a", "0", "4") + "," + tensor("a", "0", "4") + "}",
                                            std::string(4, '\0'))},
      {"huge shape",
       safetensors_bytes(
           R"({"a":{"dtype":"F32","shape":[4294967296,4294967296,4294967296],"data_offsets":[0,4]}})",
           std::string(4, '\0'))},
      {"no JSON", safetensors_bytes("<html>not found</html>")},
      {"cut JSON", safetensors_bytes(R"({"a":{"dtype":"F32")")},
      {"unknown dtype",
       safetensors_bytes(R"({"a":{"dtype":"F99","shape":[1],"data_offsets":[0,4]}})", std::string(4, '\0'))},
  };
  for (const auto& [what, bytes] : files) {
    SCOPED_TRACE(what);
    const TemporaryFolder folder;
    ModelCopy model(folder / "model");
    model.replace(transformer_file, bytes);
    const auto result = generate_with(model, folder);
    expect_refused(result, 3, {transformer_file});
    EXPECT_LT(result.peak_megabytes, 600);
    const auto info = run_program({"info", model.path() + "/" + transformer_file});
    expect_refused(info, 3, {transformer_file});
  }
}

TEST(CliModel, AllThatDoesNotFitIsInOneReport) {
  const TemporaryFolder folder;
  ModelCopy model(folder / "model");
  model.change_tensors(transformer_file, [](RawTensors& tensors) {
    auto& header = tensors.header;
    header["an.extra.tensor"] = header.at("blocks.0.attn1.norm_k.weight");
    header.erase("blocks.0.attn1.norm_k.weight");
    header["blocks.1.attn1.norm_k.weight"]["shape"] = {2, 64};
    header["blocks.2.attn1.norm_k.weight"]["dtype"] = "I32";
  });
  expect_refused(
      generate_with(model, folder), 3,
      {"missing: blocks.0.attn1.norm_k.weight", "unexpected: an.extra.tensor",
       "blocks.1.attn1.norm_k.weight should be [128], found [2, 64]",
       "blocks.2.attn1.norm_k.weight should hold floating-point numbers, found I32", "4 problems"});
}

TEST(CliModel, NaNInWeightsIsNamed) {
  for (const float bad : {std::numeric_limits<float>::quiet_NaN(), -std::numeric_limits<float>::infinity()}) {
    const TemporaryFolder folder;
    ModelCopy model(folder / "model");
    model.change_tensors(transformer_file, [&](RawTensors& tensors) {
      auto values = floats_of(tensors, "blocks.3.attn1.norm_k.weight");
      values[77] = bad;
      set_floats(tensors, "blocks.3.attn1.norm_k.weight", values);
    });
    expect_refused(generate_with(model, folder), 3, {"blocks.3.attn1.norm_k.weight", "NaN or infinity"});
    EXPECT_FALSE(std::filesystem::exists(folder / "clip.mp4"));
  }
}

TEST(CliModel, OverflowWhileDenoisingNamesStageAndStep) {
  const TemporaryFolder folder;
  ModelCopy model(folder / "model");
  model.change_tensors(transformer_file, [](RawTensors& tensors) {
    auto values = floats_of(tensors, "proj_out.weight");
    for (auto& value : values) value = 3e38F;
    set_floats(tensors, "proj_out.weight", values);
  });
  std::filesystem::create_directory(folder / "out");
  const auto result = run_program(
      quick_clip(folder / "out/clip.mp4",
                 {"--model", model.path(), "--save-latents", (folder / "out/latents.safetensors").string()}));
  expect_refused(result, 6, {"denoising", "step 1 of 2"});
  EXPECT_TRUE(names_in(folder / "out").empty());
}

TEST(CliModel, WhatTheModelDoesNotUseDoesNotMatter) {
  const TemporaryFolder folder;
  const ModelCopy model(folder / "model");
  const std::filesystem::path root = model.path();
  std::filesystem::create_symlink("itself.json", root / "itself.json");
  std::filesystem::create_directory_symlink(root, root / "vae" / "loop");
  std::filesystem::create_symlink("nowhere", root / "dangling.safetensors");
  write_bytes(root / "transformer/other.safetensors", "no weights");
  const auto result = generate_with(model, folder);
  expect_done(result);
  EXPECT_TRUE(std::filesystem::exists(folder / "clip.mp4"));
}

TEST(CliModel, WhatStandsInThePlaceOfWeightsIsNamed) {
  struct Case {
    std::string name;  // of the only file in the transformer's folder beside config.json
    std::string bytes;
    std::vector<std::string> parts;
  };
  const std::vector<Case> cases = {
      {"diffusion_pytorch_model.safetensors", lfs_pointer, {transformer_file, "Git LFS", "git lfs pull"}},
      {"diffusion_pytorch_model.fp16.safetensors", "", {"variant 'fp16'", "rename it to"}},
      {"diffusion_pytorch_model.bin", "", {"diffusion_pytorch_model.bin", "pickled", "convert"}},
      {"diffusion_pytorch_model.safetensors.index.json",
       R"({"weight_map": {"a": "one.safetensors", "b": "two.safetensors"}})",
       {"2 are not there: one.safetensors, two.safetensors"}},
  };
  for (const auto& c : cases) {
    const TemporaryFolder folder;
    ModelCopy model(folder / "model");
    std::filesystem::remove(folder / "model" / transformer_file);
    write_bytes(folder / "model/transformer" / c.name, c.bytes);
    const auto result = generate_with(model, folder);
    expect_refused(result, 3, c.parts);
    EXPECT_EQ(result.err.find("load 0/"), std::string::npos) << result.err;  // no stage has begun
  }
}

TEST(CliModel, GitLfsPointersInThePlaceOfConfigsAreNamed) {
  for (const std::string file : {"model_index.json", "t2v.json", "vae/config.json",
                                 "scheduler/scheduler_config.json", "tokenizer/spiece.model"}) {
    const TemporaryFolder folder;
    ModelCopy model(folder / "model");
    model.replace(file, lfs_pointer);
    expect_refused(generate_with(model, folder), 3, {file, "Git LFS", "git lfs pull"});
  }
}

TEST(CliModel, WhatIsNoModelIsRefused) {
  const TemporaryFolder folder;
  expect_refused(run_program(quick_clip(folder / "a.mp4", {"--model", "no-such-model"})), 3,
                 {"no-such-model", "T2V_MODELS"});
  expect_refused(run_program(quick_clip(folder / "a.mp4", {"--model", folder.path().string()})), 3,
                 {"model_index.json"});
}

TEST(CliModel, BadLatentsFilesAreRefused) {
  const TemporaryFolder folder;
  const auto latents = (folder / "latents.safetensors").string();
  write_bytes(latents,
              safetensors_bytes(R"({"latents":{"dtype":"F32","shape":[1,8,1,1,1],"data_offsets":[0,32]}})",
                                std::string(32, '\0')));
  expect_refused(run_program(quick_clip(folder / "a.mp4", {"--init-latents", latents})), 3,
                 {latents, "[1, 8, 2, 8, 8]", "[1, 8, 1, 1, 1]"});
  write_bytes(latents, safetensors_bytes(R"({"other":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})",
                                         std::string(4, '\0')));
  expect_refused(run_program({"decode", latents, "-o", (folder / "a.mp4").string()}), 3,
                 {latents, "latents"});
  write_bytes(latents, "no tensors here, just text");
  expect_refused(run_program({"decode", latents, "-o", (folder / "a.mp4").string()}), 3, {latents});
  expect_refused(run_program({"encode", latents, "-o", (folder / "b.safetensors").string()}), 3, {latents});
}

}  // namespace t2v::test
