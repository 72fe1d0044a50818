#include "pipeline/benchmark.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <c10/core/CachingDeviceAllocator.h>
#include <c10/util/accumulate.h>

#include <algorithm>
#include <fstream>
#include <functional>
#include <map>

#include "pipeline/flop_counter.h"
#include "pipeline/run/sampling.h"
#include "pipeline/run/stopwatch.h"
#include "t2v/error.h"

namespace t2v {

namespace {

// A line of the kernel's files, "VmHWM:   1234 kB", in bytes; 0 when there is none.
int64_t kernel_bytes(const char* path, const std::string& name) {
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);)
    if (line.starts_with(name)) return 1024 * std::stoll(line.substr(name.size()));
  return 0;
}

// Of small random numbers: what a network makes of them stays finite. A block that is repeated, so that
// billions are there at once.
Weights random_weights(const TensorShapes& shapes, at::Device device, at::ScalarType dtype) {
  constexpr int64_t block_size = 1 << 20;
  const auto options = at::TensorOptions(device).dtype(dtype);
  const auto block = at::randn({block_size}, at::TensorOptions(device)).mul_(0.02).to(dtype);
  std::map<std::string, at::Tensor> tensors;
  for (const auto& [name, shape] : shapes) {
    auto tensor = at::empty(shape, options);
    auto flat = tensor.view({-1});
    for (int64_t begin = 0; begin < flat.size(0); begin += block_size) {
      const int64_t count = std::min(block_size, flat.size(0) - begin);
      flat.narrow(0, begin, count).copy_(block.narrow(0, 0, count));
    }
    tensors[name] = tensor;
  }
  return Weights::from_tensors(std::move(tensors), {dtype, dtype});
}

int64_t numbers_in(const TensorShapes& shapes) {
  int64_t sum = 0;
  for (const auto& [name, shape] : shapes) sum += c10::multiply_integers(shape);
  return sum;
}

std::string gigabytes(double bytes) {
  char text[32];
  std::snprintf(text, sizeof text, "%.1f GB", bytes / (1 << 30));
  return text;
}

class Run {
 public:
  Run(const ModelConfigs& configs, const BenchmarkOptions& options, Observer& observer)
      : configs_(configs), model_(*configs.model), options_(options), observer_(observer) {}

  Benchmark run() {
    const at::NoGradGuard no_grad;
    check();
    const auto& device = options_.device;
    found_.product_rate = product_rate(device, options_.dtype, 5);
    const auto length = model_.defaults().max_text_tokens.value_or(options_.text_tokens);
    texts_ = {{{at::zeros({std::min(length, options_.text_tokens), model_.text_width()}, floats())}, length},
              {{at::zeros({1, model_.text_width()}, floats())}, length}};
    part("text", text_encoder_shapes(model_), options_.dtype, [&](BenchmarkPart& part, Weights& weights) {
      const auto encoder = model_.make_text_encoder(weights.root());
      for (auto& text : texts_) {
        const auto ids = at::ones({text.states[0].size(0)}, at::TensorOptions(device).dtype(at::kLong));
        timed(part, [&] { text.states[0] = encoder->forward(ids); });
      }
    });
    part("step", denoiser_shapes(model_), options_.dtype, [&](BenchmarkPart& part, Weights& weights) {
      denoise(part, *model_.make_denoiser(weights.root(), device));
    });
    part("decode", vae_shapes(model_), parse_vae_dtype("auto", device, options_.dtype),
         [&](BenchmarkPart& part, Weights& weights) {
           const auto vae = model_.make_vae(weights.root());
           timed(part, [&] { vae->decode(latents(), [](const at::Tensor&) {}); });
         });
    if (device.is_cpu()) found_.peak_bytes = kernel_bytes("/proc/self/status", "VmHWM:");
    return std::move(found_);
  }

 private:
  void check() const {
    if (model_.picture_inputs() || model_.reads_control())
      throw Error(ErrorKind::usage, "models that read pictures or videos are not measured");
    const auto multiple = size_multiple(model_);
    if (options_.width < 1 || options_.height < 1 || options_.width % multiple != 0 ||
        options_.height % multiple != 0)
      throw Error(ErrorKind::usage, "--size should be multiples of " + std::to_string(multiple) + ", found " +
                                        std::to_string(options_.width) + "x" +
                                        std::to_string(options_.height));
    const auto step = model_.vae().frame_step();
    if (options_.frames < 1 || (options_.frames - 1) % step != 0)
      throw Error(ErrorKind::usage, "--frames should be 1 + " + std::to_string(step) + "·k, found " +
                                        std::to_string(options_.frames));
  }

  at::TensorOptions floats() const { return at::TensorOptions(options_.device).dtype(at::kFloat); }
  at::Tensor latents() const {
    return at::randn(model_.vae().latent_shape(options_.frames, options_.width, options_.height), floats());
  }

  void part(const char* name, const TensorShapes& shapes, at::ScalarType dtype,
            const std::function<void(BenchmarkPart&, Weights&)>& measure) {
    observer_.check_cancelled();
    observer_.progress({std::string("measure ") + name, 0, 1});
    BenchmarkPart part;
    part.name = name;
    part.numbers = numbers_in(shapes);
    const auto& device = options_.device;
    const auto needed = static_cast<double>(part.numbers) * static_cast<double>(at::elementSize(dtype));
    const auto free = static_cast<double>(kernel_bytes("/proc/meminfo", "MemAvailable:"));
    if (device.is_cpu() && free > 0 && needed > 0.9 * free) {
      part.left_out = "its weights take " + gigabytes(needed) + ", " + gigabytes(free) + " are free";
    } else {
      try {
        auto* memory = device.is_cpu() ? nullptr : c10::getDeviceAllocator(device.type());
        if (memory) memory->resetPeakStats(device.index());
        auto weights = random_weights(shapes, device, dtype);
        measure(part, weights);
        if (memory) part.peak_bytes = memory->getDeviceStats(device.index()).allocated_bytes[0].peak;
      } catch (const c10::OutOfMemoryError&) {
        part.left_out = "the device's memory does not hold it";
      }
    }
    if (dtype == options_.dtype && part.seconds > 0)
      part.share = part.flops / part.seconds / found_.product_rate;
    found_.parts.push_back(part);
  }

  // What it costs is counted in a pass of its own before.
  void timed(BenchmarkPart& part, const std::function<void()>& action) const {
    {
      const FlopCounter counter;
      action();
      part.flops += counter.flops();
      part.attention = counter.attention();
    }
    wait_for_device(options_.device);
    const Stopwatch watch;
    action();
    wait_for_device(options_.device);
    part.seconds += watch.seconds();
  }

  void denoise(BenchmarkPart& part, const Denoiser& network) {
    const bool guided = options_.guidance_scale > 1;
    const Guidance guidance{.scale = options_.guidance_scale, .scale_2 = options_.guidance_scale};
    const auto tokens = pack({{latents(), {}}}, network.patch_size(), guided ? 2 : 1);
    found_.tokens = tokens.values.size(0);
    auto texts = texts_;
    if (!guided) texts.pop_back();
    const auto passes = prepare_passes(network, tokens, texts, {guidance});
    const auto scheduler = make_scheduler(default_scheduler(configs_), configs_.scheduler,
                                          {.steps = options_.steps + 1});
    {
      auto once = tokens;
      set_timestep(once, 500);
      const FlopCounter counter;
      for (const auto& pass : passes) network.predict(once, *pass.conditioning);
      part.flops = counter.flops();
      part.attention = counter.attention();
    }
    // The first step is not counted: kernels are chosen in it.
    std::vector<double> seconds;
    wait_for_device(options_.device);
    Stopwatch watch;
    SamplingHooks hooks;
    hooks.noise = [&](int64_t) {
      return at::randn({tokens.values.size(0) / (guided ? 2 : 1), tokens.values.size(1)}, floats());
    };
    hooks.after_step = [&](int64_t step, double, const at::Tensor&) {
      observer_.check_cancelled();
      wait_for_device(options_.device);
      if (step > 0) seconds.push_back(watch.seconds());
      observer_.progress({"measure step", step + 1, options_.steps + 1});
      watch = {};
    };
    sample(network, passes, *scheduler, tokens, {guidance}, hooks, observer_);
    if (seconds.empty()) return;
    std::nth_element(seconds.begin(), seconds.begin() + static_cast<std::ptrdiff_t>(seconds.size() / 2),
                     seconds.end());
    part.seconds = seconds[seconds.size() / 2];
  }

  const ModelConfigs& configs_;
  const Model& model_;
  const BenchmarkOptions& options_;
  Observer& observer_;
  Benchmark found_;
  std::vector<TextStates> texts_;
};

}  // namespace

Benchmark run_benchmark(const ModelConfigs& configs, const BenchmarkOptions& options, Observer& observer) {
  return Run(configs, options, observer).run();
}

}  // namespace t2v
