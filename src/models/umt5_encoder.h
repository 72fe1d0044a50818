// UMT5's encoder: T5 v1.1 with a relative position bias of its own in every layer.
// Source: Raffel et al. 2020, Chung et al. 2023; transformers modeling_umt5.py, UMT5EncoderModel.
#pragma once

#include <ATen/core/Tensor.h>

#include <string>
#include <vector>

#include "base/json.h"
#include "models/text_encoder.h"
#include "weights/weights.h"

namespace t2v {

struct Umt5Config {
  int64_t d_model = 0, d_kv = 0, d_ff = 0, num_layers = 0, num_heads = 0, vocab_size = 0;
  int64_t relative_attention_num_buckets = 32, relative_attention_max_distance = 128;
  double layer_norm_epsilon = 1e-6;
};

// Throws Error{bad_input} for a value out of range or an activation other than gated-gelu.
Umt5Config parse_umt5_config(const Json& config, const std::string& where);

class Umt5Encoder : public TextEncoder {
 public:
  Umt5Encoder(const Umt5Config& config, const WeightScope& weights);

  at::Tensor forward(const at::Tensor& ids) const override;

 private:
  struct Layer {
    at::Tensor attention_norm, q, k, v, o, position_bias;  // [D], [h·d, D] ×3, [D, h·d], [buckets, h]
    at::Tensor feed_norm, wi_0, wi_1, wo;                  // [D], [F, D] ×2, [D, F]
  };
  at::Tensor self_attention(const Layer& layer, const at::Tensor& x, const at::Tensor& buckets) const;

  Umt5Config config_;
  at::Tensor embedding_;  // [vocab, D]
  std::vector<Layer> layers_;
  at::Tensor final_norm_;
};

// Relative position buckets [L, L]: entry (q, k) is the bucket of k - q. Half the buckets for each direction;
// the first half of those are exact, the rest logarithmic up to max_distance. Source: transformers
// modeling_umt5.py, UMT5Attention._relative_position_bucket.
at::Tensor relative_position_buckets(int64_t length, int64_t num_buckets, int64_t max_distance,
                                     at::Device device);

}  // namespace t2v
