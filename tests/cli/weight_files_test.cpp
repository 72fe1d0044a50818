// --transformer, --vae, --text-encoder and --lora through the binary.
#include <fstream>

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

}  // namespace

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
