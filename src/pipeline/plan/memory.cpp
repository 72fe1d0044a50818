#include "pipeline/plan/memory.h"

#include <ATen/Parallel.h>
#include <malloc.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <limits>

#include "base/cuda_library.h"
#include "base/machine_memory.h"
#include "pipeline/plan/sizes.h"
#include "pipeline/plan/windows.h"
#include "pipeline/run/packing.h"
#include "t2v/error.h"

namespace t2v {

namespace {

constexpr double mebi = 1024.0 * 1024.0;

// Measured, see docs/memory.md: the program with libtorch and libav before it has a model, and the code and
// pools that running touches.
constexpr double program_bytes = 138 * mebi;
constexpr double running_bytes = 18 * mebi;
constexpr double context_bytes = 600 * mebi;  // assumed: no card has been measured yet
constexpr double worker_bytes = 6 * mebi;     // a thread's own pools

// x264 keeps some sixty frames to look ahead over.
double encoding_bytes(const ClipSize& clip) {
  return 10 * mebi + 12.0 * static_cast<double>(clip.written_width * clip.written_height *
                                                std::min<int64_t>(clip.frames, 60));
}

// copies: of numbers that are not packed. Of those that are, one matrix at a time is expanded.
double bytes_of_weights(int64_t numbers, const PackedSize& packed, double element, double copies) {
  return static_cast<double>(numbers - packed.numbers) * element * copies +
         static_cast<double>(packed.bytes) + static_cast<double>(packed.largest) * element;
}

// The block that runs with its joined copies, and the next one, which is being read.
double bytes_by_block(const BlockShares& shares, double element) {
  const auto bytes = [&](const WeightShare& share) {
    return static_cast<double>(share.numbers) * element + static_cast<double>(share.packed_bytes);
  };
  return bytes(shares.outside) + 2.5 * bytes(shares.largest);
}

int64_t whole(double bytes) { return static_cast<int64_t>(std::llround(bytes)); }

bool all_small(const Model& model, const std::vector<ClipSize>& clips) {
  return std::all_of(clips.begin(), clips.end(),
                     [&](const ClipSize& clip) { return is_small_step(model, clip.tokens); });
}

// What comes of a budget: the largest pack, and whether there is more than one.
void count_packs(RunShape& shape, const Model& model, at::Device device, const std::vector<ClipSize>& clips,
                 bool may_overlap) {
  std::vector<PackItem> items;
  items.reserve(clips.size());
  for (const auto& clip : clips)
    items.push_back({clip.tokens, "", device.is_cpu() && !is_small_step(model, clip.tokens)});
  const auto packs = make_packs(items, shape.token_budget, shape.workers);
  shape.pack_tokens = shape.pack_clips = 0;
  for (const auto& pack : packs) {
    shape.pack_clips = std::max(shape.pack_clips, static_cast<int64_t>(pack.size()));
    int64_t tokens = 0;
    for (const auto index : pack) tokens += items[index].tokens;
    shape.pack_tokens = std::max(shape.pack_tokens, tokens);
  }
  shape.workers = std::min(shape.workers, packs.size());
  shape.overlap = may_overlap && packs.size() > 1;
}

}  // namespace

bool is_small_step(const Model& model, int64_t tokens) { return model.costs().flops(tokens) < 4e9; }

ClipSize clip_size(const GenerationPlan& plan) {
  ClipSize size{plan.width,
                plan.height,
                plan.windows.front().frames,
                plan.width,
                plan.height,
                tokens_of_pass(plan) * plan.branches,
                plan.max_text_tokens,
                plan.windows.size() > 1 && !plan.hands_on_latents,
                plan.hands_on_latents ? plan.frames : 0};
  if (plan.settings.resize) {
    const auto written = parse_size(*plan.settings.resize, "--resize");
    size.written_width = written.width;
    size.written_height = written.height;
  }
  return size;
}

double decoding_bytes(const Model& model, at::Device device, const ClipSize& clip, const RunShape& way) {
  const auto share = static_cast<double>(c10::elementSize(way.vae_dtype)) / sizeof(float);
  const auto vae = model.vae();
  const bool is_cut = clip.width > vae.tile_width || clip.height > vae.tile_height;
  if (!way.tiles || vae.tile_width == 0 || !is_cut)
    return share * model.decoding_bytes(clip.width, clip.height, clip.frames, way.decode_chunk);
  const auto width = std::min(clip.width, vae.tile_width), height = std::min(clip.height, vae.tile_height);
  // All frames are there before the first one goes on, those of one tile twice, and in the host's memory.
  const auto finished = 3.0 * sizeof(float) *
                        static_cast<double>(std::max(clip.frames, clip.decoded) *
                                            (clip.width * clip.height + 2 * width * height));
  return share * model.decoding_bytes(width, height, clip.frames, way.decode_chunk) +
         (device.is_cpu() ? finished : 0);
}

MemoryEstimate estimate_memory(const Model& model, const ComponentSizes& components, at::Device device,
                               at::ScalarType dtype, const std::vector<ClipSize>& clips,
                               const RunShape& shape) {
  const auto element = static_cast<double>(c10::elementSize(dtype));
  const bool by_block = shape.offload == Offload::block;
  const auto encoder = std::max(
      by_block ? bytes_by_block(components.text_encoder_blocks, element)
               : bytes_of_weights(components.text_encoder, components.packed_text_encoder, element, 1),
      static_cast<double>(components.image_encoder) * element);
  // Joined and reordered weights are copies, beside the mapped file or the cast.
  const auto transformer = by_block ? bytes_by_block(components.transformer_blocks, element)
                                    : bytes_of_weights(components.transformer, components.packed_transformer,
                                                       element, 1.25);
  const auto vae = static_cast<double>(components.vae) * 2 *
                   static_cast<double>(c10::elementSize(shape.vae_dtype));
  double decoding = 0;
  for (const auto& clip : clips)
    decoding = std::max(
        decoding, decoding_bytes(model, device, clip, shape) + (device.is_cpu() ? encoding_bytes(clip) : 0));
  const auto workers = static_cast<double>(shape.workers);
  MemoryEstimate estimate;
  // Of a card's memory: what CUDA's context and its libraries take there.
  estimate.program = device.is_cpu() ? whole(program_bytes + running_bytes + workers * worker_bytes)
                                     : whole(context_bytes);
  estimate.weights = whole(vae + std::max(encoder, transformer));
  int64_t text_tokens = 0;
  for (const auto& clip : clips) text_tokens = std::max(text_tokens, clip.text_tokens);
  // Each clip has a text in both branches, at most.
  const auto& costs = model.costs();
  estimate.denoising = whole(workers *
                             (costs.activation_bytes(shape.pack_tokens, element) +
                              costs.conditioning_bytes(2 * shape.pack_clips, text_tokens, element)));
  estimate.decoding = whole(decoding);
  estimate.peak = estimate.program + estimate.weights +
                  (shape.overlap ? estimate.denoising + estimate.decoding
                                 : std::max(estimate.denoising, estimate.decoding));
  const bool in_windows = std::any_of(clips.begin(), clips.end(),
                                      [](const ClipSize& clip) { return clip.in_windows; });
  if (shape.offload == Offload::stage && !in_windows)
    estimate.peak = estimate.program + whole(vae) +
                    std::max({whole(encoder), whole(transformer) + estimate.denoising, estimate.decoding});
  return estimate;
}

namespace {

// Bytes that a run may take at most where nobody says so: the card's, or what the machine or the process's
// group has.
int64_t device_memory(at::Device device) {
  if (device.is_cuda()) {
    const auto cards = cuda_cards();
    const auto index = static_cast<std::size_t>(std::max<int>(0, device.index()));
    return index < cards.size() ? cards[index].memory_bytes : std::numeric_limits<int64_t>::max();
  }
  static const int64_t machine = machine_memory();
  return machine;
}

RunShape shape_with(Offload offload, bool tiles, const Model& model, const ComponentSizes& components,
                    at::Device device, at::ScalarType dtype, const std::vector<ClipSize>& clips,
                    const RunLimits& limits) {
  const auto limit = limits.memory;
  constexpr int64_t budget_cpu = 1280;    // beyond it a pass leaves the cache and gains nothing
                                          // (docs/performance.md)
  constexpr int64_t budget_cuda = 32768;  // enough to fill the device with a small network
  RunShape shape{.offload = offload, .tiles = tiles, .vae_dtype = limits.vae_dtype};
  shape.token_budget = std::max<int64_t>(
      1, limits.token_budget.value_or(device.is_cpu() ? budget_cpu : budget_cuda));
  // Small clips on the CPU are denoised side by side, on one thread each. Otherwise one pack has all threads,
  // or the device, for itself.
  if (device.is_cpu() && all_small(model, clips))
    shape.workers = static_cast<std::size_t>(limits.threads.value_or(at::get_num_threads()));
  if (offload == Offload::block) shape.workers = 1;  // which would read every block each for itself
  bool may_overlap = offload != Offload::stage;
  const auto fits = [&] {
    count_packs(shape, model, device, clips, may_overlap);
    return !limit || estimate_memory(model, components, device, dtype, clips, shape).peak <= *limit;
  };
  if (fits()) return shape;
  shape.decode_chunk = 1;
  int64_t largest = 0;
  for (const auto& clip : clips) largest = std::max(largest, clip.tokens);
  while (!fits()) {
    if (shape.pack_tokens > largest) {
      shape.token_budget = std::max(largest, std::min(shape.token_budget, shape.pack_tokens) / 2);
    } else if (shape.workers > 1) {
      shape.workers /= 2;
    } else if (may_overlap) {
      may_overlap = false;
    } else {
      const RunShape way{.decode_chunk = 1, .tiles = tiles, .vae_dtype = limits.vae_dtype};
      const auto need = [&](const ClipSize& one) {
        auto alone = way;
        alone.pack_tokens = one.tokens;
        alone.offload = offload;
        return estimate_memory(model, components, device, dtype, {one}, alone).peak;
      };
      const auto& clip = *std::max_element(
          clips.begin(), clips.end(),
          [&](const ClipSize& a, const ClipSize& b) { return need(a) < need(b); });
      const auto flags = fitting_flags(model, components, device, dtype, clip, way, *limit);
      throw Error(ErrorKind::out_of_memory,
                  "a clip of " + std::to_string(clip.width) + "x" + std::to_string(clip.height) + ", " +
                      std::to_string(clip.frames) + " frames, needs about " + bytes_text(need(clip)) +
                      " of memory, more than the limit of " + bytes_text(*limit) + "; " +
                      (flags.empty() ? "nothing this model makes would fit" : flags + " would fit"));
    }
  }
  return shape;
}

}  // namespace

const std::vector<std::string>& offload_names() {
  static const std::vector<std::string> names = {"none", "stage", "block"};
  return names;
}

std::optional<Offload> parse_offload(const std::string& name) {
  const auto& names = offload_names();
  const auto found = std::find(names.begin(), names.end(), name);
  if (found != names.end()) return static_cast<Offload>(found - names.begin());
  if (name == "auto") return std::nullopt;
  throw Error(ErrorKind::usage, "--offload should be auto, none, stage or block, found '" + name + "'");
}

RunShape shape_run(const Model& model, const ComponentSizes& components, at::Device device,
                   at::ScalarType dtype, const std::vector<ClipSize>& clips, const RunLimits& limits) {
  const auto shape_of = [&](Offload offload, bool tiles) {
    return shape_with(offload, tiles, model, components, device, dtype, clips, limits);
  };
  if (limits.offload && limits.tiles) return shape_of(*limits.offload, *limits.tiles);
  auto offloads = std::vector<Offload>{Offload::none, Offload::stage, Offload::block};
  if (limits.offload) offloads = {*limits.offload};
  auto tilings = std::vector<bool>{false, true};
  if (limits.tiles) tilings = {*limits.tiles};
  const auto most = limits.memory.value_or(device_memory(device));
  for (const bool tiles : tilings)
    for (const auto offload : offloads) {
      try {
        const auto shape = shape_of(offload, tiles);
        if (estimate_memory(model, components, device, dtype, clips, shape).peak <= most) return shape;
      } catch (const Error& error) {
        if (error.kind() != ErrorKind::out_of_memory) throw;
      }
    }
  // Nothing fits. With a limit the message says what the clip would take as it is usually done.
  const bool has_tiles = tilings.back() && model.vae().tile_width > 0;
  return shape_of(limits.memory ? offloads.front() : offloads.back(), has_tiles);
}

bool needs_tiles(const Model& model, at::Device device, const ClipSize& clip, const RunShape& way) {
  auto in_tiles = way;
  in_tiles.tiles = true;
  const auto whole_clip = decoding_bytes(model, device, clip, way);
  return whole_clip > static_cast<double>(device_memory(device)) &&
         decoding_bytes(model, device, clip, in_tiles) < whole_clip;
}

std::string fitting_flags(const Model& model, const ComponentSizes& components, at::Device device,
                          at::ScalarType dtype, const ClipSize& clip, const RunShape& way, int64_t limit) {
  const auto vae = model.vae();
  // Patches or not: what counts is the share of the clip's own tokens.
  const auto latents = [&](int64_t width, int64_t height, int64_t frames) {
    return static_cast<double>((width / vae.spatial_ratio) * (height / vae.spatial_ratio) *
                               vae.latent_frames(frames));
  };
  const auto fits = [&](int64_t width, int64_t height, int64_t frames) {
    ClipSize other = clip;
    other.width = width;
    other.height = height;
    other.frames = frames;
    other.decoded = 0;
    other.tokens = whole(static_cast<double>(clip.tokens) * latents(width, height, frames) /
                         std::max(1.0, latents(clip.width, clip.height, clip.frames)));
    if (clip.written_width == clip.width) other.written_width = width;
    if (clip.written_height == clip.height) other.written_height = height;
    auto shape = way;
    shape.pack_tokens = other.tokens;
    return estimate_memory(model, components, device, dtype, {other}, shape).peak <= limit;
  };
  std::string flags;
  for (int64_t frames = clip.frames - vae.frame_step(); frames >= 1; frames -= vae.frame_step())
    if (fits(clip.width, clip.height, frames)) {
      flags = "--frames " + std::to_string(frames);
      break;
    }
  const auto multiple = size_multiple(model);
  for (int64_t width = clip.width - multiple; width >= multiple; width -= multiple) {
    const auto size = floor_to_multiple({width, std::max(multiple, clip.height * width / clip.width)},
                                        multiple);
    if (!fits(size.width, size.height, clip.frames)) continue;
    flags += (flags.empty() ? "--size " : " or --size ") + std::to_string(size.width) + "x" +
             std::to_string(size.height);
    break;
  }
  return flags;
}

int64_t parse_bytes(const std::string& text, const std::string& flag) {
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  std::string unit(static_cast<const char*>(end), text.data() + text.size());
  unit.erase(std::remove(unit.begin(), unit.end(), ' '), unit.end());
  std::transform(unit.begin(), unit.end(), unit.begin(),
                 [](char c) { return static_cast<char>(std::toupper(static_cast<unsigned char>(c))); });
  if (unit.size() > 1 && unit.back() == 'B') unit.pop_back();
  if (unit.size() > 1 && unit.back() == 'I') unit.pop_back();
  const std::string units = "KMGT";
  int power = 0;
  bool known = unit.empty() || unit == "B";
  if (unit.size() == 1 && units.find(unit[0]) != std::string::npos)
    known = true, power = static_cast<int>(units.find(unit[0])) + 1;
  const double bytes = value * std::pow(1024.0, power);
  if (error != std::errc() || !known || !(bytes >= 1) || bytes > 1e15)
    throw Error(ErrorKind::usage,
                flag + " should be a size as 2GB, 800MB or a number of bytes, found '" + text + "'");
  return whole(bytes);
}

std::string bytes_text(int64_t bytes) {
  char text[32];
  const auto value = static_cast<double>(bytes) / mebi;
  if (value >= 1000)
    std::snprintf(text, sizeof text, "%.1f GB", value / 1024);
  else
    std::snprintf(text, sizeof text, "%.0f MB", value);
  return text;
}

void release_free_memory() {
#ifdef __GLIBC__
  ::malloc_trim(0);
#endif
}

}  // namespace t2v
