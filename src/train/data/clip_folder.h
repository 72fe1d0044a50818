// A folder of clips with captions, to train on.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "pipeline/plan/sizes.h"

namespace t2v {

struct CaptionedClip {
  std::filesystem::path file;
  std::string caption;  // UTF-8, not empty
  PixelSize size;
  int64_t frames = 0;
  double fps = 0;                       // 0: a still image, or a video that does not say
  std::vector<std::string> notes = {};  // of VideoInfo
};

// Videos and images of the folder and of those within it, in the order of their names; hidden files are
// passed over. The captions stand in metadata.jsonl (lines of {"file_name": "a.mp4", "text": "…"}, as Hugging
// Face's video folders have them), or else each beside its clip under the same name with .txt. Every clip is
// decoded once, to the end. Throws Error{bad_input} with everything that is wrong, each with its file: clips
// that are damaged or have no caption, captions that are empty, no UTF-8 or have no clip.
std::vector<CaptionedClip> list_clip_folder(const std::filesystem::path& folder);

// `frames` frames at `fps`, float32 [3, T, H, W] in [-1, 1]: cut to the ratio width:height about the centre,
// then resampled to that size. Frame i is the one that is nearest to start + i / fps seconds; after the end
// of the clip its last frame stays. Throws Error{bad_input}.
at::Tensor read_clip(const CaptionedClip& clip, int64_t width, int64_t height, int64_t frames, double fps,
                     double start = 0);

struct ClipBucket {
  PixelSize size;
  int64_t frames = 1;
};

// The one of `sizes` whose ratio is nearest to the clip's, and the longest 1 + temporal_ratio·k frames at
// `fps` that the clip holds, at most `most_frames`. Throws Error{usage} when there are no sizes.
ClipBucket choose_bucket(const CaptionedClip& clip, const std::vector<PixelSize>& sizes, int64_t most_frames,
                         int64_t temporal_ratio, double fps);

}  // namespace t2v
