// The stages of one clip, each by itself, on the shipped model or any other (--model=DIR): what bench/compare
// runs beside the reference library. Sizes: --width=64 --height=64 --frames=17. Threads: --threads=1.
// Counters: flops, and their share of the machine's own GEMM rate measured in this run.
#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>
#include <benchmark/benchmark.h>

#include <ctime>
#include <map>
#include <string>

#include "models/wan/wan_transformer.h"
#include "pipeline/components.h"

namespace {

using namespace t2v;

struct Options {
  std::string model = T2V_SOURCE_DIR "/models/world-128";
  int64_t width = 64, height = 64, frames = 17, threads = 1;
};

double processor_seconds() {
  timespec time{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) / 1e9;
}

// By this thread's time, as of_GEMM is.
double gemm_flops_per_second() {
  const auto a = at::randn({768, 768});
  const auto b = at::randn({768, 768});
  double best = 0;
  for (int i = 0; i < 20; ++i) {
    const double start = processor_seconds();
    benchmark::DoNotOptimize(at::mm(a, b));
    best = std::max(best, 2.0 * 768 * 768 * 768 / (processor_seconds() - start));
  }
  return best;
}

// FLOPs of one denoising step: linear layers and attention, as multiply and add. Norms and activations are
// not counted.
double transformer_flops(const WanTransformerConfig& config, double tokens, double branches,
                         double text_tokens) {
  const auto d = static_cast<double>(config.width());
  const auto f = static_cast<double>(config.ffn_dim);
  const double self = 2 * tokens * 4 * d * d + 4 * tokens * tokens * d;
  const double cross = 2 * tokens * 2 * d * d +
                       4 * tokens * text_tokens * d;  // keys and values are made once per prompt
  const double feed = 2 * tokens * 2 * d * f;
  const double ends = 2 * 2 * tokens * d *
                      static_cast<double>(config.in_channels * config.patch_size.volume());
  return branches * (static_cast<double>(config.num_layers) * (self + cross + feed) + ends);
}

void report(benchmark::State& state, double flops, double gemm) {
  state.counters["GFLOP"] = flops / 1e9;
  state.counters["GEMM_GFLOP/s"] = gemm / 1e9;
  state.counters["of_GEMM"] = benchmark::Counter(flops / gemm, benchmark::Counter::kIsIterationInvariantRate);
}

}  // namespace

int main(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  Options options;
  const std::map<std::string, int64_t*> numbers = {{"--width=", &options.width},
                                                   {"--height=", &options.height},
                                                   {"--frames=", &options.frames},
                                                   {"--threads=", &options.threads}};
  for (int i = 1; i < argc; ++i) {
    const std::string argument = argv[i];
    for (const auto& [name, value] : numbers)
      if (argument.starts_with(name)) *value = std::stoll(argument.substr(name.size()));
    if (argument.starts_with("--model=")) options.model = argument.substr(8);
  }
  at::set_num_threads(static_cast<int>(options.threads));
  const at::NoGradGuard no_grad;
  const auto folder = open_model_folder(options.model);
  const auto model = open_model(folder);
  const auto config = parse_wan_transformer_config(folder.config("transformer"), "config.json");
  const auto transformer = load_denoiser(*model, {});
  const auto vae = load_vae(*model, {});
  auto text_weights = Weights::open(folder.component("text_encoder"), "model", at::kCPU, at::kFloat);
  const auto encoder = model->make_text_encoder(text_weights.root());
  const double gemm = gemm_flops_per_second();

  const auto latents = at::randn(model->vae().latent_shape(options.frames, options.width, options.height));
  const int64_t text_tokens = *model->defaults().max_text_tokens;
  auto tokens = pack({{latents, {}}}, model->patch_size(), 2);
  set_timestep(tokens, 500);
  std::vector<TextStates> texts;
  for (int i = 0; i < 2; ++i) texts.push_back({{at::randn({text_tokens, model->text_width()})}, text_tokens});
  const auto conditioning = transformer->prepare(tokens, texts);

  benchmark::RegisterBenchmark("dit_step", [&](benchmark::State& state) {
    for (auto _ : state) benchmark::DoNotOptimize(transformer->predict(tokens, *conditioning));
    report(state,
           transformer_flops(config, static_cast<double>(tokens.values.size(0)) / 2, 2,
                             static_cast<double>(text_tokens)),
           gemm);
  })->Unit(benchmark::kMillisecond);
  benchmark::RegisterBenchmark("vae_decode", [&](benchmark::State& state) {
    for (auto _ : state) benchmark::DoNotOptimize(vae->decode(latents));
  })->Unit(benchmark::kMillisecond);
  const auto frames = at::rand({3, options.frames, options.height, options.width}) * 2 - 1;
  benchmark::RegisterBenchmark("vae_encode", [&](benchmark::State& state) {
    for (auto _ : state) benchmark::DoNotOptimize(vae->encode(frames).mean);
  })->Unit(benchmark::kMillisecond);
  const auto ids = at::arange(3, 23, at::kLong);
  benchmark::RegisterBenchmark("text_encode", [&](benchmark::State& state) {
    for (auto _ : state) benchmark::DoNotOptimize(encoder->forward(ids));
  })->Unit(benchmark::kMillisecond);
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}
