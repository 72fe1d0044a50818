// How long a plan's clips will take.
#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <optional>

#include "pipeline/components.h"
#include "pipeline/flop_counter.h"
#include "pipeline/plan/memory.h"
#include "pipeline/plan/windows.h"
#include "pipeline/run/thread_count.h"
#include "t2v/generate.h"
#include "tokens/packed_tokens.h"

namespace t2v {

namespace {

// What is reached of a large product's rate, by measurement on the CPU (docs/performance.md): by the blocks
// of a transformer, of a small one on one thread, and by an autoencoder's convolutions.
constexpr double step_share = 0.7, small_step_share = 0.5, convolution_share = 0.4;

double text_flops(const Model& model, int64_t tokens) {
  auto meta = Weights::meta();
  const auto encoder = model.make_text_encoder(meta.root());
  const FlopCounter counter;
  encoder->forward(at::ones({tokens}, at::TensorOptions(at::kLong).device(at::kMeta)));
  return counter.flops();
}

double decoding_flops(const Model& model, at::IntArrayRef latents) {
  auto meta = Weights::meta();
  const auto vae = model.make_vae(meta.root());
  const FlopCounter counter;
  vae->decode(at::empty(latents, at::kMeta), [](const at::Tensor&) {});
  return counter.flops();
}

}  // namespace

std::optional<TimeEstimate> estimate_time(const GenerationPlan& plan) {
  const at::NoGradGuard no_grad;
  const auto configs = read_model_configs(open_planned_folder(plan));
  const auto& model = *configs.model;
  const auto device = parse_device(plan.device);
  const bool small = device.is_cpu() && is_small_step(model, plan.tokens * plan.branches);
  const ThreadCount threads(small ? std::optional<int64_t>(1) : plan.settings.threads);
  const auto clips = static_cast<double>(plan.clips.size());
  const auto windows = static_cast<double>(plan.windows.size()) * clips;

  TimeEstimate found;
  try {
    found.rate = product_rate(device, parse_dtype(plan.dtype, device), 1);
  } catch (const c10::Error&) {  // a card in use by others, or one that only seems to be there
    return std::nullopt;
  }
  const auto length = [&](const std::string& text) {  // about four characters a token
    return std::min<int64_t>(plan.max_text_tokens, 1 + static_cast<int64_t>(text.size()) / 4);
  };
  double text = plan.branches > 1 ? text_flops(model, length(plan.cleaned_negative_prompt)) : 0;
  for (const auto& shot : plan.shots) text += text_flops(model, length(shot.cleaned_prompt));
  const auto passes = static_cast<double>((plan.steps - plan.first_step) * plan.branches) * windows;
  const auto tokens = tokens_of_pass(plan) * windows_in_turn(plan) /
                      static_cast<int64_t>(plan.windows.size());
  const double denoising = passes * (model.costs().flops(tokens) +
                                     model.costs().attention_flops(tokens, plan.max_text_tokens));
  auto shape = plan.latent_shape;
  if (plan.settings.loop.value_or(false)) shape[2] = model.vae().latent_frames(plan.windows.front().frames);
  if (plan.hands_on_latents) shape[2] = model.vae().latent_frames(plan.frames);
  const double decoding = (plan.hands_on_latents ? clips : windows) *
                          decoding_flops(model, at::IntArrayRef(shape).slice(1));
  const double share = small ? small_step_share : step_share;
  found.flops = text + denoising + decoding;
  found.text = text / (share * found.rate);
  found.denoising = denoising / (share * found.rate);
  found.decoding = decoding / (convolution_share * found.rate);
  found.total = found.text + found.denoising + found.decoding;
  return found;
}

}  // namespace t2v
