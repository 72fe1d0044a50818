// How much memory a run takes, estimated from the configs alone, and what to do with less. docs/memory.md
// compares it with measurements.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "pipeline/components.h"
#include "t2v/request.h"

namespace t2v {

// About what a step costs: below 4 GFLOP one thread is quicker (docs/performance.md). Several threads have to
// be woken for each of a step's hundreds of operations, which costs a small network more than they save it;
// clips side by side keep the cores busy without that.
bool is_small_step(const Model& model, int64_t tokens);

// What becomes of a network's weights between its uses. All ways make the same clips.
enum class Offload {
  none,   // those of the transformer and the autoencoder stay; the text encoder's go when it is done
  stage,  // the transformer's go before decoding
  block,  // the blocks of the text encoder and the transformer are read each time their turn comes
};
const std::vector<std::string>& offload_names();

// What a run is held to. What is absent is chosen.
struct RunLimits {
  std::optional<int64_t> threads = {}, token_budget = {}, memory = {};  // memory: bytes
  std::optional<Offload> offload = {};
  std::optional<bool> tiles = {};  // of the autoencoder
  at::ScalarType vae_dtype = at::kFloat;
};

// "auto" → none. Throws Error{usage}.
std::optional<Offload> parse_offload(const std::string& name);

// How a run uses its cores and memory.
struct RunShape {
  std::size_t workers = 1;   // packs denoised at once
  int64_t token_budget = 1;  // of one pack
  int64_t pack_tokens = 0;   // of the largest pack that comes of it
  int64_t pack_clips = 1;    // in the pack of most clips
  int64_t decode_chunk = 0;  // latent frames at once; 0: as many as are quickest
  bool overlap = false;      // clips are decoded while others are denoised
  Offload offload = Offload::none;
  bool tiles = false;                     // clips are decoded in tiles
  at::ScalarType vae_dtype = at::kFloat;  // that the autoencoder computes in
};

// What the estimate needs to know of a clip.
struct ClipSize {
  int64_t width = 0, height = 0, frames = 0;  // as the model makes it
  int64_t written_width = 0, written_height = 0;
  int64_t tokens = 0;       // of all guidance branches
  int64_t text_tokens = 0;  // that each text is padded to
  bool in_windows = false;  // it is decoded while it is denoised
  int64_t decoded = 0;      // frames, where windows that are denoised by themselves are decoded as one clip
};
ClipSize clip_size(const GenerationPlan& plan);

// The peak of a run over these clips (at least one) in that shape. On CUDA: of the device's memory.
MemoryEstimate estimate_memory(const Model& model, const ComponentSizes& components, at::Device device,
                               at::ScalarType dtype, const std::vector<ClipSize>& clips,
                               const RunShape& shape);

// The quickest shape for these clips, or, where that would take more memory than the limit, the quickest
// found that does not: smaller decoding chunks, smaller packs, fewer at once, one thing after the other,
// weights that are offloaded, and at last tiles, which make other frames. Throws Error{out_of_memory} when
// none does: with the estimate for the largest clip, and flags for it that would fit. Without a limit that is
// done where it would be more than the device or the machine has.
RunShape shape_run(const Model& model, const ComponentSizes& components, at::Device device,
                   at::ScalarType dtype, const std::vector<ClipSize>& clips, const RunLimits& limits);

// Flags under which a clip would need at most `limit` bytes, as "--frames 17 or --size 128x128"; empty when
// there are none. way: how the clip is decoded.
std::string fitting_flags(const Model& model, const ComponentSizes& components, at::Device device,
                          at::ScalarType dtype, const ClipSize& clip, const RunShape& way, int64_t limit);

// At the peak of decoding a clip that way; encoding takes about as much.
double decoding_bytes(const Model& model, at::Device device, const ClipSize& clip, const RunShape& way);
// Whether the device's memory, or the machine's, would hold that only in tiles.
bool needs_tiles(const Model& model, at::Device device, const ClipSize& clip, const RunShape& way);

// "2GB", "1.5 GiB", "800M", "1000000": bytes; K, M, G, T are powers of 1024 with or without an i. Throws
// Error{usage}, naming `flag`.
int64_t parse_bytes(const std::string& text, const std::string& flag);
// "1.4 GB", of 1024³ bytes.
std::string bytes_text(int64_t bytes);

// Gives memory that was freed back to the system, so that the next stage's peak does not stand on the last
// one's.
void release_free_memory();

}  // namespace t2v
