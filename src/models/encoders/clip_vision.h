// CLIP's vision encoder: what Wan 2.1 reads the pictures with that a clip begins and ends with.
// Source: Radford et al. 2021; transformers modeling_clip.py, CLIPVisionModel, and image_processing_clip.py.
#pragma once

#include <array>
#include <vector>

#include "base/json.h"
#include "models/image_encoder.h"
#include "nn/linear.h"
#include "weights/weights.h"

namespace t2v {

struct ClipVisionConfig {
  int64_t hidden_size = 0, intermediate_size = 0, num_hidden_layers = 0, num_attention_heads = 0;
  int64_t image_size = 0, patch_size = 0;
  double layer_norm_eps = 1e-5;
  int64_t shortest_edge = 0;  // of a picture before its middle is taken
  std::array<double, 3> image_mean = {}, image_std = {};
  int64_t tokens() const { return 1 + (image_size / patch_size) * (image_size / patch_size); }
};

// processor: preprocessor_config.json. Throws Error{bad_input} for values out of range and for what is not
// supported.
ClipVisionConfig parse_clip_vision_config(const Json& config, const std::string& where, const Json& processor,
                                          const std::string& processor_where);

class ClipVisionEncoder : public ImageEncoder {
 public:
  ClipVisionEncoder(const ClipVisionConfig& config, const WeightScope& weights);

  // The hidden states before the last layer, [1 + patches, hidden_size]. Source: pipeline_wan_i2v.py,
  // encode_image.
  at::Tensor forward(const at::Tensor& picture) const override;
  // Resampled to shortest_edge (bicubic), cut to the middle, normalised: float32 [3, image_size, image_size].
  at::Tensor preprocess(const at::Tensor& picture) const;

 private:
  struct Norm {
    at::Tensor weight, bias;
  };
  struct Layer {
    Norm norm1, norm2;
    Linear q, k, v, out, feed_in, feed_out;
  };
  static Norm load_norm(const WeightScope& weights, int64_t width);
  at::Tensor normed(const at::Tensor& x, const Norm& norm) const;
  at::Tensor attention(const Layer& layer, const at::Tensor& x) const;

  ClipVisionConfig config_;
  at::Tensor class_embedding_, patch_embedding_, position_embedding_;  // [D], [D, 3·p·p], [tokens, D]
  Norm pre_norm_;
  std::vector<Layer> layers_;  // all but the last
};

}  // namespace t2v
