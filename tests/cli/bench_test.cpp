// t2v bench, as a user runs it.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "expect.h"

namespace t2v::test {
namespace {

using Json = nlohmann::json;

TEST(CliBench, MeasuresEveryPartOfAModelOfRandomWeights) {
  const std::vector<std::string> common = {"bench",   "--size", "64x64",      "--frames", "9",
                                           "--steps", "2",      "--progress", "none"};
  auto arguments = common;
  arguments.emplace_back("--json");
  const auto guided = run_program(arguments);
  expect_done(guided);
  const auto json = Json::parse(guided.out);
  EXPECT_GT(json["product_flops_per_second"].get<double>(), 1e8);
  for (const char* name : {"text", "step", "decode"}) {
    const auto& part = json["parts"][name];
    EXPECT_GT(part["numbers"].get<int64_t>(), 10000) << name;
    EXPECT_GT(part["seconds"].get<double>(), 0) << name;
    EXPECT_GT(part["flops"].get<double>(), 1e5) << name;
    const double share = part["share_of_product_rate"].get<double>();
    EXPECT_TRUE(share > 0 && share < 2) << name << " " << share;
  }
  EXPECT_EQ(json["parts"]["step"]["attention"], Json({"flash_attention_for_cpu"}));
  EXPECT_EQ(json["tokens"], 2 * 3 * 2 * 2);  // two branches of 3 latent frames, 2x2 patches each
  arguments.insert(arguments.end(), {"--guidance-scale", "1"});
  const auto single = Json::parse(run_program(arguments).out);
  EXPECT_EQ(single["tokens"], 3 * 2 * 2);
  EXPECT_NEAR(single["parts"]["step"]["flops"].get<double>() / json["parts"]["step"]["flops"].get<double>(),
              0.5, 0.01);

  const auto table = run_program(common);
  expect_done(table);
  for (const char* word : {"text", "step", "decode", "a clip of 2 steps", "of product", "attention: ", "step flash_attention_for_cpu"})
    EXPECT_NE(table.out.find(word), std::string::npos) << word;
}

TEST(CliBench, WhatAModelDoesNotMakeIsRefused) {
  const auto expect_refused = [](const std::vector<std::string>& flags, const std::string& part) {
    std::vector<std::string> arguments = {"bench"};
    arguments.insert(arguments.end(), flags.begin(), flags.end());
    const auto result = run_program(arguments);
    EXPECT_EQ(result.code, 2) << result.err;
    EXPECT_NE(result.err.find(part), std::string::npos) << result.err;
  };
  expect_refused({"--size", "70x64"}, "multiples of 32");
  expect_refused({"--frames", "10"}, "1 + 4·k");
  expect_refused({"--steps", "0"}, "between 1 and 1000");
}

}  // namespace
}  // namespace t2v::test
