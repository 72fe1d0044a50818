// Schedulers as a model's files name them, and networks that predict a variance.
#include <algorithm>
#include <cmath>

#include "expect.h"
#include "model_copy.h"

namespace t2v::test {

namespace {

using json = nlohmann::json;
using Floats = std::vector<float>;

// The shipped model, with the scheduler's file that diffusers would have written for it.
class Sampled {
 public:
  Sampled() : model_(folder_ / "model") {
    auto defaults = json::parse(bytes_of(shipped_model() / "t2v.json"));
    defaults.erase("scheduler");
    model_.replace("t2v.json", defaults.dump());
  }

  ModelCopy& model() { return model_; }

  // changes: with "infinite", a number that only Python writes.
  void set_scheduler(const json& changes, const std::string& infinite = {}) {
    auto config = json::parse(bytes_of(shipped_model() / "scheduler/scheduler_config.json"));
    config.update(changes);
    auto text = config.dump();
    if (!infinite.empty()) text.insert(1, "\"" + infinite + "\": -Infinity, ");
    model_.replace("scheduler/scheduler_config.json", text);
  }

  ProgramResult run(const Arguments& more) {
    Arguments arguments = {"--model", model_.path(), "--size", "64x64", "--save-latents", latents()};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return run_program(quick_clip(folder_ / "clip.y4m", arguments));
  }
  Floats latents_of(const Arguments& more) {
    expect_done(run(more));
    return floats_of(read_raw_tensors(latents()), "latents");
  }

 private:
  std::string latents() const { return (folder_ / "latents.safetensors").string(); }

  TemporaryFolder folder_;
  ModelCopy model_;
};

double largest_difference(const Floats& one, const Floats& other) {
  EXPECT_EQ(one.size(), other.size());
  double largest = 0;
  for (std::size_t i = 0; i < one.size(); ++i)
    largest = std::max<double>(largest, std::fabs(one[i] - other[i]));
  return largest;
}

// A parameter of the output layer with rows for twice the channels: at each place of a patch those that it
// has, then as many of `value`.
Floats with_variance(const Floats& given, std::size_t numbers, float value) {
  Floats wide;
  for (auto at = given.begin(); at != given.end(); at += static_cast<std::ptrdiff_t>(numbers)) {
    wide.insert(wide.end(), at, at + static_cast<std::ptrdiff_t>(numbers));
    wide.insert(wide.end(), numbers, value);
  }
  return wide;
}

// The network predicts, beside what it predicts, `variance` for every number.
void predict_variance(ModelCopy& model, float variance) {
  auto config = json::parse(bytes_of(shipped_model() / "transformer/config.json"));
  const auto channels = config.at("out_channels").get<std::size_t>();
  config["out_channels"] = 2 * channels;
  model.replace("transformer/config.json", config.dump());
  model.change_tensors(transformer_file, [&](RawTensors& tensors) {
    RawTensors wide;
    for (const auto& [name, tensor] : tensors.header.items()) {
      wide.header[name] = tensor;
      if (name == "__metadata__") continue;
      auto values = floats_of(tensors, name);
      if (name == "proj_out.weight" || name == "proj_out.bias") {
        const bool is_bias = name == "proj_out.bias";
        const auto row = is_bias ? 1 : tensor.at("shape")[1].get<std::size_t>();
        values = with_variance(values, channels * row, is_bias ? variance : 0);
        wide.header[name]["shape"][0] = values.size() / row;
      }
      const auto begin = wide.data.size();
      wide.data.append(reinterpret_cast<const char*>(values.data()), values.size() * sizeof(float));
      wide.header[name]["data_offsets"] = {begin, wide.data.size()};
    }
    tensors = wide;
  });
}

}  // namespace

TEST(CliSchedulers, AreTakenFromTheModelsFile) {
  Sampled sampled;
  const Arguments steps = {"--steps", "4"};  // two are of order 1 with either
  const auto euler = sampled.latents_of({"--steps", "4", "--scheduler", "euler"});
  const auto solver = sampled.latents_of({"--steps", "4", "--scheduler", "dpm++"});
  EXPECT_GT(largest_difference(euler, solver), 0.01);
  sampled.set_scheduler({{"_class_name", "EulerDiscreteScheduler"}});
  EXPECT_EQ(sampled.latents_of(steps), euler);
  // As diffusers writes it for this class.
  sampled.set_scheduler({{"_class_name", "DPMSolverMultistepScheduler"}, {"solver_type", "midpoint"}},
                        "lambda_min_clipped");
  EXPECT_EQ(sampled.latents_of(steps), solver);
}

TEST(CliSchedulers, SpaceSigmasAsTheFileOrTheFlagSays) {
  Sampled sampled;
  for (const std::string spacing : {"karras", "exponential", "beta"}) {
    sampled.set_scheduler({{"sigma_max", 80}});
    const auto plain = sampled.latents_of({"--steps", "4"});
    const auto by_flag = sampled.latents_of({"--steps", "4", "--sigma-schedule", spacing});
    sampled.set_scheduler({{"sigma_max", 80}, {"use_" + spacing + "_sigmas", true}});
    EXPECT_EQ(sampled.latents_of({"--steps", "4"}), by_flag);
    EXPECT_GT(largest_difference(plain, by_flag), 0.01) << spacing;
    // The flag is in place of the file's.
    sampled.set_scheduler(
        {{"sigma_max", 80}, {spacing == "beta" ? "use_karras_sigmas" : "use_beta_sigmas", true}});
    EXPECT_EQ(sampled.latents_of({"--steps", "4", "--sigma-schedule", spacing}), by_flag);
  }
  expect_refused(sampled.run({"--sigma-schedule", "karas"}), 2, {"--sigma-schedule", "karras", "karas"});
  expect_refused(sampled.run({"--sigma-schedule", "karras", "--scheduler", "ddim"}), 2,
                 {"--sigma-schedule", "ddim", "unipc"});
}

TEST(CliSchedulers, AVarianceBesideThePredictionIsReadWhereItIsLearned) {
  Sampled sampled;
  const auto plain = sampled.latents_of({"--scheduler", "ddim"});
  sampled.set_scheduler({{"variance_type", "learned_range"}});
  expect_refused(sampled.run({"--scheduler", "ddpm"}), 2, {"variance_type", "predicts no variance", "ddim"});
  predict_variance(sampled.model(), -1);
  EXPECT_LT(largest_difference(sampled.latents_of({"--scheduler", "ddim"}), plain), 1e-4);
  // The least variance is that of the posterior, fixed_small.
  const auto least = sampled.latents_of({"--scheduler", "ddpm", "--steps", "4"});
  predict_variance(sampled.model(), 1);
  EXPECT_GT(largest_difference(sampled.latents_of({"--scheduler", "ddpm", "--steps", "4"}), least), 0.01);
  sampled.set_scheduler({{"variance_type", "fixed_small"}});
  EXPECT_LT(largest_difference(sampled.latents_of({"--scheduler", "ddpm", "--steps", "4"}), least), 1e-3);
}

}  // namespace t2v::test
