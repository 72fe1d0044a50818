// The whole chain: text, noise, denoising, decoding, file.
#include "t2v/generate.h"

#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>
#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>

#include <chrono>
#include <filesystem>

#include "base/atomic_file.h"
#include "pipeline/components.h"
#include "pipeline/frames.h"
#include "pipeline/latents_file.h"
#include "pipeline/provenance.h"
#include "pipeline/sampling.h"
#include "pipeline/transcode.h"
#include "video/encoder.h"
#include "weights/safetensors.h"

namespace t2v {

namespace fs = std::filesystem;

namespace {

class Stopwatch {
 public:
  double seconds() const { return std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count(); }

 private:
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

// The last hidden states of one text, zeros beyond its tokens: [max_text_tokens, d_model] float32. Source: pipeline_wan.py,
// _get_t5_prompt_embeds.
at::Tensor embed_text(const Tokenizer& tokenizer, const Umt5Encoder& encoder, const std::string& text, int64_t max_tokens,
                      at::Device device) {
  const auto tokens = tokenizer.encode(text, static_cast<std::size_t>(max_tokens));
  const auto states = encoder.forward(at::tensor(tokens.ids, at::TensorOptions(at::kLong)).to(device)).to(at::kFloat);
  if (!at::isfinite(states).all().item<bool>())
    throw Error(ErrorKind::non_finite,
                "encoding the text: the embedding holds NaN or infinity. Nothing was written. Try --dtype float32 or bfloat16, or check "
                "the weights.");
  return at::constant_pad_nd(states, {0, 0, 0, max_tokens - states.size(0)});
}

// All texts of a plan: the prompt, and the negative prompt when there is guidance. [branches, L, d_model]. The encoder is freed on return.
at::Tensor embed_texts(const GenerationPlan& plan, const ModelFolder& model, const ModelConfigs& configs, at::Device device,
                       at::ScalarType dtype) {
  const auto tokenizer = load_tokenizer(model, configs);
  const auto encoder = load_text_encoder(model, configs, device, dtype);
  std::vector<at::Tensor> texts;
  texts.push_back(embed_text(*tokenizer, encoder, plan.prompt, plan.max_text_tokens, device));
  if (plan.branches == 2) texts.push_back(embed_text(*tokenizer, encoder, plan.negative_prompt, plan.max_text_tokens, device));
  return at::stack(texts);
}

// One generator per clip, on the CPU whatever the device, drawn in the order and shape of the reference pipeline ([1, C, T, H, W]).
class ClipNoise {
 public:
  ClipNoise(int64_t seed, std::vector<int64_t> shape)
      : generator_(at::detail::createCPUGenerator(static_cast<uint64_t>(seed))), shape_(std::move(shape)) {}
  at::Tensor next() { return at::randn(shape_, generator_, at::TensorOptions(at::kFloat))[0]; }  // [C, T, H, W]

 private:
  at::Generator generator_;
  std::vector<int64_t> shape_;
};

std::string step_file(int64_t step) {
  char name[40];
  std::snprintf(name, sizeof name, "step_%04lld.safetensors", static_cast<long long>(step));
  return name;
}

void trace_text(const fs::path& folder, const at::Tensor& texts) {
  std::error_code failed;
  fs::create_directories(folder, failed);
  if (failed) throw Error(ErrorKind::output, folder.string() + ": cannot be created (" + failed.message() + ")");
  std::vector<std::pair<std::string, at::Tensor>> tensors = {{"prompt_embeds", texts[0]}};
  if (texts.size(0) > 1) tensors.emplace_back("negative_prompt_embeds", texts[1]);
  save_safetensors(folder / "text.safetensors", tensors);
}

// Several threads have to be woken for each of a step's hundreds of operations, which costs a small network more than they save it: below
// about 4 GFLOP a step one thread is quicker (docs/performance.md), and its result is the same however many cores there are.
bool one_thread_is_quicker(const GenerationPlan& plan, const WanTransformerConfig& config) {
  const auto width = static_cast<double>(config.width());
  const double flops_a_token =
      2 * static_cast<double>(config.num_layers) * (6 * width * width + 2 * width * static_cast<double>(config.ffn_dim));
  return flops_a_token * static_cast<double>(plan.tokens * plan.branches) < 4e9;
}

// Sets libtorch's thread count while it lives.
class ThreadCount {
 public:
  explicit ThreadCount(int count) { at::set_num_threads(count); }
  ~ThreadCount() { at::set_num_threads(before_); }
  ThreadCount(const ThreadCount&) = delete;
  ThreadCount& operator=(const ThreadCount&) = delete;

 private:
  int before_ = at::get_num_threads();
};

class Generation {
 public:
  Generation(const GenerationPlan& plan, Observer& observer)
      : plan_(plan),
        observer_(observer),
        model_(open_model_folder(plan.model_folder)),
        configs_(read_model_configs(model_)),
        device_(parse_device(plan.device)),
        dtype_(parse_dtype(plan.dtype, device_)),
        patch_(configs_.transformer.patch_size) {
    if (plan.flow_shift) configs_.scheduler.flow_shift = *plan.flow_shift;
  }

  GenerationResult run(const std::function<void(const ClipResult&)>& finished) {
    GenerationResult result;
    // The small components come first, so that what is wrong with them is said early; the text encoder is freed before the transformer
    // comes.
    const Stopwatch loading;
    observer_.progress({"load", 0, 3});
    const auto vae = load_vae(model_, configs_, device_);
    observer_.progress({"load", 1, 3});
    observer_.check_cancelled();
    const Stopwatch encoding;
    const auto texts = embed_texts(plan_, model_, configs_, device_, dtype_);
    result.preparation.text_seconds = encoding.seconds();
    observer_.progress({"load", 2, 3});
    observer_.check_cancelled();
    const auto transformer = load_transformer(model_, configs_, device_, dtype_);
    hash_ = model_hash(model_);
    observer_.progress({"load", 3, 3});
    result.preparation.load_seconds = loading.seconds() - result.preparation.text_seconds;

    std::vector<int64_t> text_of_segment = {0};
    if (plan_.branches == 2) text_of_segment.push_back(1);
    const auto context = transformer.prepare_text(texts, text_of_segment);
    for (const auto& clip : plan_.clips) {
      result.clips.push_back(make_clip(clip, vae, transformer, texts, context));
      finished(result.clips.back());
    }
    return result;
  }

 private:
  ClipResult make_clip(const PlannedClip& clip, const WanVae& vae, const WanTransformer& transformer, const at::Tensor& texts,
                       const TextContext& context) {
    ClipResult result{.output = clip.output, .seed = clip.seed};
    if (clip.trace) trace_text(*clip.trace, texts);
    const Stopwatch denoising;
    const auto latents = denoise(clip, transformer, context);
    result.denoise_seconds = denoising.seconds();
    if (clip.save_latents) save_latents(*clip.save_latents, latents, {{"t2v", provenance_of_clip(plan_, clip, hash_).dump()}});
    const Stopwatch decoding;
    result.frames = write_clip(clip, vae, latents);
    result.decode_seconds = decoding.seconds();
    return result;
  }

  // [C, T, H, W] in the sampler's space.
  at::Tensor denoise(const PlannedClip& clip, const WanTransformer& transformer, const TextContext& context) {
    const bool alone = !plan_.threads && device_.is_cpu() && one_thread_is_quicker(plan_, configs_.transformer);
    const ThreadCount threads(alone ? 1 : at::get_num_threads());
    const auto scheduler = make_scheduler(parse_scheduler_kind(plan_.scheduler), configs_.scheduler, plan_.steps, plan_.eta);
    ClipNoise noise(clip.seed, plan_.latent_shape);
    const auto drawn = plan_.init_latents ? read_latents(*plan_.init_latents, plan_.latent_shape) : noise.next();
    const auto initial = (drawn * scheduler->init_noise_sigma()).to(device_);
    const auto grid = token_grid(initial.sizes(), patch_);
    SamplingHooks hooks;
    hooks.noise = [&](int64_t) { return patchify(noise.next(), patch_).to(device_); };
    if (clip.trace) {
      hooks.after_step = [&](int64_t step, int64_t timestep, const at::Tensor& values) {
        save_safetensors(fs::path(*clip.trace) / step_file(step), {{"latents", unpatchify(values, grid, patch_).unsqueeze(0)},
                                                                   {"timestep", at::tensor({timestep}, at::TensorOptions(at::kLong))}});
      };
    }
    const auto values =
        sample(transformer, context, *scheduler, pack({{initial, {}}}, patch_, plan_.branches), plan_.guidance_scale, hooks, observer_);
    return unpatchify(values, grid, patch_);
  }

  // Decodes a few frames at a time while the encoder's thread compresses the ones before.
  int64_t write_clip(const PlannedClip& clip, const WanVae& vae, const at::Tensor& latents) {
    EncoderOptions options{.path = clip.output,
                           .width = static_cast<int>(plan_.width),
                           .height = static_cast<int>(plan_.height),
                           .fps = to_rational(plan_.fps)};
    options.crf = static_cast<int>(plan_.crf);
    options.resize = planned_resize(plan_.resize, plan_.resize_filter);
    options.metadata = container_metadata(plan_, clip, hash_);
    const auto frames = decode_to_file(vae, latents, options, observer_);
    if (plan_.sidecar) write_file_atomically(clip.output + ".json", provenance_of_clip(plan_, clip, hash_).dump(2) + "\n");
    return frames;
  }

  const GenerationPlan& plan_;
  Observer& observer_;
  ModelFolder model_;
  ModelConfigs configs_;
  at::Device device_;
  at::ScalarType dtype_;
  PatchSize patch_;
  std::string hash_;
};

}  // namespace

PreparationTimes generate_all(const std::vector<GenerationPlan>& plans, const BatchLimits&, Observer& observer,
                              const std::function<void(const ClipOutcome&)>& finished) {
  const at::NoGradGuard no_grad;
  PreparationTimes times;
  for (std::size_t index = 0; index < plans.size(); ++index) {
    const auto& plan = plans[index];
    std::size_t clip = 0;
    try {
      if (plan.threads) at::set_num_threads(static_cast<int>(*plan.threads));
      for (const auto& note : plan.notes) observer.note(note);
      const auto made = Generation(plan, observer).run([&](const ClipResult& result) { finished({index, clip++, result, std::nullopt}); });
      times.load_seconds += made.preparation.load_seconds;
      times.text_seconds += made.preparation.text_seconds;
    } catch (const Error& error) {
      if (error.kind() == ErrorKind::interrupted || error.kind() == ErrorKind::terminated) throw;
      while (clip < plan.clips.size()) finished({index, clip++, std::nullopt, error});
    }
  }
  return times;
}

GenerationResult generate(const GenerationPlan& plan, Observer& observer, const std::function<void(const ClipResult&)>& finished) {
  GenerationResult result;
  result.preparation = generate_all({plan}, {}, observer, [&](const ClipOutcome& outcome) {
    if (outcome.error) throw *outcome.error;
    result.clips.push_back(*outcome.result);
    finished(*outcome.result);
  });
  return result;
}

}  // namespace t2v
