// The encoders of T5 v1.1, whose first layer's relative position bias serves all layers, and of UMT5, where
// every layer has its own.
// Source: Raffel et al. 2020, Chung et al. 2023; transformers modeling_t5.py, T5EncoderModel, and
// modeling_umt5.py, UMT5EncoderModel.
#pragma once

#include <ATen/core/Tensor.h>

#include <memory>
#include <string>
#include <vector>

#include "base/json.h"
#include "models/text_encoder.h"
#include "nn/block_list.h"
#include "nn/linear.h"
#include "text/tokenizer.h"
#include "weights/model_folder.h"
#include "weights/weights.h"

namespace t2v {

struct T5Config {
  int64_t d_model = 0, d_kv = 0, d_ff = 0, num_layers = 0, num_heads = 0, vocab_size = 0;
  int64_t relative_attention_num_buckets = 32, relative_attention_max_distance = 128;
  double layer_norm_epsilon = 1e-6;
  bool bias_in_every_layer = false;
};

// Throws Error{bad_input} for a value out of range or an activation other than gated-gelu.
T5Config parse_t5_config(const Json& config, const std::string& where);
T5Config parse_umt5_config(const Json& config, const std::string& where);

// What single files call the bytes of spiece.model, a tensor of their own.
constexpr const char* embedded_tokenizer = "spiece_model";

// The tokenizer in a file of weights; none where it has none. Throws Error{bad_input} for a damaged one.
std::unique_ptr<Tokenizer> load_tokenizer_in(const std::filesystem::path& weights);
// A text encoder's tokenizer: the one that is given, else of the file in place of its weights where that has
// one, else of the folder. Throws Error{bad_input}, also for one with more tokens than the encoder knows.
std::unique_ptr<Tokenizer> load_tokenizer_of(const T5Config& encoder, const ModelFolder& model);

class T5Encoder : public TextEncoder {
 public:
  T5Encoder(const T5Config& config, const WeightScope& weights);

  at::Tensor forward(const at::Tensor& ids) const override;

 private:
  struct Layer {
    at::Tensor attention_norm;  // [D]
    Linear q, k, v, o;          // [h·d, D] ×3, [D, h·d]
    at::Tensor position_bias;   // [buckets, h], undefined where the first layer's serves
    at::Tensor feed_norm;       // [D]
    Linear wi_0, wi_1, wo;      // [F, D] ×2, [D, F]
  };
  // bias: [h, L, L], added to the scores.
  at::Tensor self_attention(const Layer& layer, const at::Tensor& x, const at::Tensor& bias) const;

  T5Config config_;
  Linear embedding_;  // [vocab, D]
  BlockList<Layer> layers_;
  at::Tensor final_norm_;
};

// Relative position buckets [L, L]: entry (q, k) is the bucket of k - q. Half the buckets for each direction;
// the first half of those are exact, the rest logarithmic up to max_distance. Source: transformers
// modeling_t5.py, T5Attention._relative_position_bucket.
at::Tensor relative_position_buckets(int64_t length, int64_t num_buckets, int64_t max_distance,
                                     at::Device device);

}  // namespace t2v
