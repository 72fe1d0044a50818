// Which libtorch the program runs with, and what it says where CUDA is asked for and is not there.
#include <gtest/gtest.h>
#include <torch/headeronly/version.h>

#include <cstdlib>
#include <nlohmann/json.hpp>

#include "expect.h"

namespace t2v::test {

namespace fs = std::filesystem;

namespace {

const std::string this_minor = std::to_string(TORCH_VERSION_MAJOR) + "." +
                               std::to_string(TORCH_VERSION_MINOR);
const fs::path fakes = T2V_FAKES;

// A folder as T2V_TORCH names it: links to the libraries that the program was built with, without those of
// CUDA.
class Libtorch : public testing::Test {
 protected:
  Libtorch() {
    fs::create_directory(torch.path() / "lib");
    for (const auto& entry : fs::directory_iterator(fs::path(T2V_TORCH_ROOT) / "lib"))
      if (entry.path().filename().string().find("torch_cuda") == std::string::npos)
        fs::create_symlink(entry.path(), torch.path() / "lib" / entry.path().filename());
  }

  Environment environment(bool with_driver, int cards = 0) const {
    Environment variables = {{"T2V_TORCH", torch.path().string()}, {"T2V_FAKE_CARDS", std::to_string(cards)}};
    if (with_driver) variables.emplace_back("LD_LIBRARY_PATH", (fakes / "driver").string());
    return variables;
  }
  void add_fake_torch_cuda() const {
    fs::create_symlink(fakes / "torch_cuda" / "libtorch_cuda.so", torch.path() / "lib" / "libtorch_cuda.so");
  }
  ProgramResult plan(const std::string& device, const Environment& variables) const {
    return run_program(
        {"generate", "-p", "a red circle", "-o", (torch / "a.mp4").string(), "--dry-run", "--device", device},
        variables);
  }

  TemporaryFolder torch;
};

}  // namespace

TEST_F(Libtorch, WithoutItsPartForCudaSaysSo) {
  expect_refused(plan("cuda", environment(true, 1)), 2,
                 {"--device cuda", "no libtorch_cuda.so", "'" + (torch / "lib").string() + "'", "T2V_TORCH"});
  const auto result = plan("auto", environment(true, 1));
  expect_done(result);
  EXPECT_EQ(nlohmann::json::parse(result.out).at("device"), "cpu");
}

TEST_F(Libtorch, WithoutADriverSaysSo) {
  if (std::system("ldconfig -p | grep -q libcuda.so.1") == 0) GTEST_SKIP() << "this machine has a driver";
  add_fake_torch_cuda();
  expect_refused(plan("cuda:0", environment(false, 1)), 2,
                 {"--device cuda:0", "driver is not there", "libcuda.so.1", "Install the driver"});
  expect_done(plan("auto", environment(false, 1)));
}

TEST_F(Libtorch, WhosePartForCudaCannotBeLoadedSaysWhy) {
  write_bytes(torch / "lib/libtorch_cuda.so", "no library\n");
  expect_refused(
      plan("cuda", environment(true, 1)), 2,
      {"--device cuda", (torch / "lib/libtorch_cuda.so").string(), "cannot be loaded", "file too short"});
  expect_done(plan("auto", environment(true, 1)));
}

TEST_F(Libtorch, WithTooOldADriverSaysWhichIsThere) {
  add_fake_torch_cuda();
  auto variables = environment(true, 1);
  variables.emplace_back("T2V_FAKE_CUDA", "11080");
  expect_refused(
      plan("cuda", variables), 2,
      {"--device cuda", "driver is too old", "for CUDA 11.8", "this libtorch for CUDA", "--device cpu"});
  expect_done(plan("auto", variables));
}

TEST_F(Libtorch, WhoseDriverFindsNoCardSaysSo) {
  add_fake_torch_cuda();
  expect_refused(plan("cuda", environment(true, 0)), 2, {"--device cuda", "finds no card", "nvidia-smi"});
}

TEST_F(Libtorch, HasItsPartForCudaLoadedWhereTheDriverIs) {
  add_fake_torch_cuda();
  for (const auto& [asked, planned] :
       {std::pair("auto", "cuda:0"), {"cuda", "cuda:0"}, {"cuda:1", "cuda:1"}}) {
    const auto result = plan(asked, environment(true, 2));
    expect_done(result);
    EXPECT_EQ(nlohmann::json::parse(result.out).at("device"), planned) << asked;
  }
  expect_refused(plan("cuda:2", environment(true, 2)), 2, {"--device cuda:2", "only 2 CUDA devices"});
}

TEST_F(Libtorch, IsTakenFromTheNamedFolder) {
  expect_done(run_program({"info"}, environment(false)));
  fs::remove(torch / "lib/libc10.so");  // now the dynamic linker shows where it looks
  write_bytes(torch / "lib/libc10.so", "no library\n");
  const auto result = run_program({"info"}, environment(false));
  EXPECT_EQ(result.code, 127);
  EXPECT_NE(result.err.find((torch / "lib/libc10.so").string()), std::string::npos) << result.err;
  for (const std::string& folder : {(torch / "nowhere").string(), std::string("/")})
    expect_refused(run_program({"info"}, {{"T2V_TORCH", folder}}), 2,
                   {"T2V_TORCH='" + folder + "'", "lib/libtorch_cpu.so"});
}

TEST_F(Libtorch, AndItsDevicesAreDescribed) {
  const auto described = [](const Environment& variables) {
    const auto result = run_program({"info", "--devices", "--json"}, variables);
    expect_done(result);
    return nlohmann::json::parse(result.out);
  };
  const auto without = described(environment(false));
  EXPECT_EQ(without.at("libtorch_folder"), (torch / "lib").string());
  EXPECT_GE(without.at("cpu").at("threads"), 1);
  EXPECT_TRUE(without.at("cpu").at("instructions").is_array());
  EXPECT_EQ(without.at("cpu").at("attention"), "flash");
  EXPECT_EQ(without.at("attention_order").at(0), "cudnn");
  EXPECT_EQ(without.at("attention_order").at(1), "flash");
  EXPECT_EQ(without.at("attention_order").at(2), "efficient");
  EXPECT_EQ(without.at("cuda").at("devices"), 0);
  EXPECT_NE(without.at("cuda").at("why").get<std::string>().find("no libtorch_cuda.so"), std::string::npos);
  add_fake_torch_cuda();
  const auto with = described(environment(true, 2));
  EXPECT_EQ(with.at("cuda").at("devices"), 2);
  EXPECT_EQ(
      with.at("cuda").at("cuda:1"),
      nlohmann::json({{"name", "Fake card 1"}, {"memory_bytes", int64_t{80} << 30}, {"bfloat16", true}}));
  expect_refused(run_program({"info", "--devices", "clip.mp4"}), 2, {"--devices", "clip.mp4"});
}

TEST_F(Libtorch, OfAnotherMinorVersionIsRefused) {
  expect_refused(
      run_program({"info"}, {{"LD_PRELOAD", (fakes / "torch_version/libtorch_version.so").string()}}), 2,
      {"built for libtorch " + this_minor, "is 2.3", "torch==" + this_minor});
}

TEST_F(Libtorch, IsLookedForByTheLauncher) {
  const auto launched = [](const Environment& variables) {
    // The program's own name comes last: it is no video, which `t2v info` says.
    return run_program({}, variables, {},
                       {.wrapper = {(binary().parent_path() / "t2v-launcher").string(), "info"}});
  };
  expect_refused(launched({}), 3, {binary().string()});
  expect_refused(launched(environment(false)), 2,
                 {"T2V_TORCH='" + torch.path().string(), "no known version"});
  write_bytes(torch / "version.py", "from typing import Optional\n__version__ = '2.3.1+cu121'\n");
  expect_refused(launched(environment(false)), 2,
                 {"built for libtorch " + this_minor, "T2V_TORCH='" + torch.path().string(), "is 2.3"});
  write_bytes(torch / "version.py", "__version__ = '" + this_minor + ".9'\n");
  expect_refused(launched(environment(false)), 3, {binary().string()});
  expect_refused(launched({{"T2V_TORCH", "/"}}), 2, {"T2V_TORCH='/'", "lib/libtorch_cpu.so"});
}

}  // namespace t2v::test
