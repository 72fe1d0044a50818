// --transformer, --vae, --text-encoder and --lora through the binary.
#include <cstring>
#include <fstream>
#include <random>

#include "base/json.h"
#include "bytes.h"
#include "expect.h"
#include "paths.h"

namespace t2v::test {

namespace {

namespace fs = std::filesystem;

Arguments tiny_clip(const fs::path& out, const Arguments& more) {
  Arguments arguments = {"generate",   "a cat", "-m",       golden("wan-tiny").string(),
                         "--size",     "64x64", "--frames", "5",
                         "--steps",    "2",     "--seed",   "4",
                         "--progress", "none",  "-o",       out.string()};
  arguments.insert(arguments.end(), more.begin(), more.end());
  return arguments;
}

// A file of wan-tiny with random numbers in e4m3, and a scale of each, in the place of its matrices.
void write_float8_file(const fs::path& stored, const fs::path& path) {
  const auto file = bytes_of(golden("wan-tiny") / stored);
  uint64_t header_bytes = 0;
  std::memcpy(&header_bytes, file.data(), 8);
  const auto stored_header = Json::parse(file.substr(8, header_bytes));
  auto header = Json::object();
  std::string data;
  const auto add = [&](const std::string& name, const char* dtype, const Json& shape,
                       const std::string& bytes) {
    header[name] = {
        {"dtype", dtype}, {"shape", shape}, {"data_offsets", {data.size(), data.size() + bytes.size()}}};
    data += bytes;
  };
  std::minstd_rand random(5);
  for (const auto& [name, entry] : stored_header.items()) {
    if (name == "__metadata__") continue;
    const auto& shape = entry.at("shape");
    const auto begin = entry.at("data_offsets").at(0).get<uint64_t>();
    auto bytes = file.substr(8 + header_bytes + begin,
                             entry.at("data_offsets").at(1).get<uint64_t>() - begin);
    const bool is_matrix = shape.size() == 2 && name.ends_with(".weight");
    if (is_matrix) {
      bytes.resize(bytes.size() / 2);
      for (auto& byte : bytes) byte = static_cast<char>(random() % 56 | random() % 2 << 7);  // -1 to 1
      const float scale = 0.5;
      add(name.substr(0, name.size() - 6) + "scale_weight", "F32", Json::array({1}),
          {reinterpret_cast<const char*>(&scale), sizeof scale});
    }
    add(name, is_matrix ? "F8_E4M3" : entry.at("dtype").get<std::string>().c_str(), shape, bytes);
  }
  const auto text = header.dump();
  header_bytes = text.size();
  write_bytes(path, std::string(reinterpret_cast<const char*>(&header_bytes), 8) + text + data);
}

}  // namespace

TEST(CliWeightFiles, EightBitNumbersStayAsTheyAreStoredWithFloat8) {
  const TemporaryFolder folder;
  const auto transformer = folder / "transformer.safetensors", encoder = folder / "encoder.safetensors";
  write_float8_file("transformer/diffusion_pytorch_model.safetensors", transformer);
  write_float8_file("text_encoder/model.safetensors", encoder);
  const auto made = [&](const std::string& name, Arguments more) {
    more.insert(more.end(), {"--transformer", transformer.string(), "--text-encoder", encoder.string()});
    expect_done(run_program(tiny_clip(folder / name, more)));
    more.push_back("--dry-run");
    const auto plan = Json::parse(run_program(tiny_clip(folder / name, more)).out);
    return std::pair(bytes_of(folder / name), plan.at("weight_bytes").get<int64_t>());
  };
  for (const std::string dtype : {"float32", "bfloat16"}) {
    const auto [expanded, bytes] = made("expanded.y4m", {"--dtype", dtype});
    const auto [kept, kept_bytes] = made("kept.y4m", {"--dtype", dtype, "--weights-dtype", "float8"});
    EXPECT_TRUE(kept == expanded) << dtype;
    EXPECT_LT(kept_bytes, bytes) << dtype;
    const auto by_block = made("block.y4m",
                               {"--dtype", dtype, "--weights-dtype", "float8", "--offload", "block"});
    EXPECT_TRUE(by_block.first == expanded) << dtype;
  }
}

TEST(CliWeightFiles, AFileInPlaceOfTheFoldersMakesTheSameClip) {
  const TemporaryFolder folder;
  const auto model = golden("wan-tiny");
  expect_done(run_program(tiny_clip(folder / "a.y4m", {})));
  expect_done(run_program(
      tiny_clip(folder / "b.y4m",
                {"--transformer", (model / "transformer" / "diffusion_pytorch_model.safetensors").string(),
                 "--vae", (model / "vae" / "diffusion_pytorch_model.safetensors").string(), "--text-encoder",
                 (model / "text_encoder" / "model.safetensors").string()})));
  EXPECT_TRUE(bytes_of(folder / "a.y4m") == bytes_of(folder / "b.y4m"));
}

TEST(CliWeightFiles, WhatIsNoWeightsFileIsRefusedByName) {
  const TemporaryFolder folder;
  std::ofstream(folder / "no.safetensors") << "no weights";
  const auto file = (folder / "no.safetensors").string();
  const auto vae = (golden("wan-tiny") / "vae" / "diffusion_pytorch_model.safetensors").string();
  expect_refused(run_program(tiny_clip(folder / "a.y4m", {"--transformer", file})), 3, {"no.safetensors"});
  expect_refused(run_program(tiny_clip(folder / "a.y4m", {"--lora", file})), 3, {"no.safetensors"});
  expect_refused(run_program(tiny_clip(folder / "a.y4m", {"--lora", vae})), 3, {"LoRA of another one"});
  expect_refused(run_program(tiny_clip(folder / "a.y4m", {"--transformer", vae})), 3,
                 {vae, "is an autoencoder", "--transformer takes a transformer"});
  expect_refused(run_program(tiny_clip(folder / "a.y4m", {"--lora", vae + ":much"})), 2, {"FILE:SCALE"});
  EXPECT_FALSE(fs::exists(folder / "a.y4m"));
}

}  // namespace t2v::test
