// What a finished file says about how it was made: a JSON object in the sidecar, in a video's metadata under
// "comment", in a latents file's under "t2v".
//
//   {"t2v": version, "libtorch", "model_hash", "vae_hash",
//    "digital_source_type",                    the IPTC's mark of synthetic media
//    "settings": {"model", "prompt", …},       as --config takes them
//    "sources": {file: hash},                  XXH3-64 of the RGB bytes of the frames it was made from
//    "resampling",                             where the frames were resized
//    "encoded": {"source", "model", "vae_hash", "fps", "frames", "width", "height"}}
//
// "encoded" is there after t2v encode: which file the latents are of, by which autoencoder. All the rest then
// is what that file said, and absent where t2v had not made it.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/json.h"
#include "t2v/request.h"

namespace t2v {

struct ModelHashes {
  std::string model, vae;
};

// The shots of a storyboard, in frames.
Json shots_to_json(const GenerationPlan& plan);

// The settings that make one clip of a plan again, as --config takes them.
Json settings_of_clip(const GenerationPlan& plan, const PlannedClip& clip);

Json provenance_of_clip(const GenerationPlan& plan, const PlannedClip& clip, const ModelHashes& hashes);

// A text out of a file as provenance; an empty object where it is none.
Json parse_provenance(const std::string& text);

// How latents become the video that they were made for; what their provenance does not say is absent.
struct DecodeSettings {
  std::optional<std::string> model, vae_hash, vae_dtype, vae_tiling, resize, resize_filter, codec, bitrate;
  std::optional<double> fps;
  std::optional<int64_t> crf, quality;
};
// Throws Error{bad_input} naming `where` for values of another type.
DecodeSettings decode_settings(const Json& provenance, const std::string& where);

// Puts what was decoded with, of which fps is present, in the place of what a clip's settings say. width,
// height: of the frames before they are resized.
void set_decode_settings(Json& provenance, const DecodeSettings& used, int64_t width, int64_t height);

// What the metadata of a file say; an empty object where it is not t2v's.
Json provenance_in(const std::map<std::string, std::string>& metadata);

// For the container's own metadata: title (the prompt), comment (all of it) and digital_source_type.
std::vector<std::pair<std::string, std::string>> container_metadata(const Json& provenance);

}  // namespace t2v
