// What --dtype bfloat16 does to the latents of whole runs, beside what it does in the reference.
#include <algorithm>
#include <array>
#include <cmath>

#include "expect.h"
#include "model_copy.h"

namespace t2v::test {

namespace {

using nlohmann::json;

struct Runs {
  std::string model, prompt = {};
  json settings = {};
  int64_t seeds = 0;  // 1 ... seeds
};

using Latents = std::vector<std::vector<float>>;  // of each seed

// After the first step and after the last one.
std::array<Latents, 2> latents_of(const Runs& runs, const std::string& dtype) {
  const TemporaryFolder folder;
  Arguments arguments = {"generate",
                         "--prompt=" + runs.prompt,
                         "--model=" + runs.model,
                         "--dtype=" + dtype,
                         "--seed=1",
                         "--count=" + std::to_string(runs.seeds),
                         "--scheduler=unipc",
                         "--guidance-rescale=0",
                         "--trace=" + (folder / "{seed}").string(),
                         "--output=" + (folder / "{seed}.y4m").string()};
  for (const auto& [key, value] : runs.settings.items()) {
    auto flag = "--" + key;
    std::replace(flag.begin(), flag.end(), '_', '-');
    arguments.push_back(flag + "=" + (value.is_string() ? value.get<std::string>() : value.dump()));
  }
  expect_done(run_program(arguments));
  std::array<Latents, 2> latents;
  const std::array<int64_t, 2> steps = {0, runs.settings.at("steps").get<int64_t>() - 1};
  for (std::size_t i = 0; i < 2; ++i)
    for (int64_t seed = 1; seed <= runs.seeds; ++seed) {
      const auto file = "step_000" + std::to_string(steps[i]) + ".safetensors";
      latents[i].push_back(floats_of(read_raw_tensors(folder / std::to_string(seed) / file), "latents"));
    }
  return latents;
}

// The logarithm of the root mean square of their difference, summed over the seeds.
double log_difference(const Latents& one, const Latents& other) {
  double logs = 0;
  for (std::size_t run = 0; run < one.size(); ++run) {
    EXPECT_EQ(one[run].size(), other[run].size());
    double sum = 0;
    for (std::size_t i = 0; i < one[run].size(); ++i)
      sum += std::pow(static_cast<double>(one[run][i]) - other[run][i], 2);
    logs += std::log(sum / static_cast<double>(one[run].size())) / 2;
  }
  return logs;
}

}  // namespace

// tests/golden/bfloat16.json of tools/oracle/bfloat16.py: the geometric mean over prompts and seeds.
TEST(CliPrecision, Bfloat16IsAsGoodAsTheReferences) {
  const auto expected = json::parse(bytes_of(golden("bfloat16.json")));
  const auto prompts = expected.at("prompts").get<std::vector<std::string>>();
  for (const auto& [name, model] : expected.at("models").items()) {
    Runs runs{.model = name == "wan-tiny" ? golden(name).string() : name,
              .settings = model.at("settings"),
              .seeds = expected.at("seeds").get<int64_t>()};
    std::array<double, 2> logs = {0, 0};
    for (const auto& prompt : prompts) {
      runs.prompt = prompt;
      const auto exact = latents_of(runs, "float32"), low = latents_of(runs, "bfloat16");
      for (std::size_t i = 0; i < 2; ++i) logs[i] += log_difference(low[i], exact[i]);
    }
    const std::array<double, 2> errors = {model.at("errors").front(), model.at("errors").back()};
    for (std::size_t i = 0; i < 2; ++i) {
      const auto count = static_cast<double>(prompts.size()) * static_cast<double>(runs.seeds);
      const double ratio = std::exp(logs[i] / count) / errors[i];
      std::printf("%s, %s step: %.2f times the reference's error\n", name.c_str(), i == 0 ? "first" : "last",
                  ratio);
      EXPECT_GT(ratio, 0.5) << name;  // it is bfloat16
      EXPECT_LT(ratio, 1.2) << name;
    }
  }
}

}  // namespace t2v::test
