// The diffusion transformer of CogVideoX (text to video: 2B, 5B and 1.5).
// Source: Yang et al. 2024 (CogVideoX), section 2; diffusers cogvideox_transformer_3d.py,
// CogVideoXTransformer3DModel.
#pragma once

#include <string>
#include <vector>

#include "base/json.h"
#include "models/denoiser.h"
#include "nn/block_list.h"
#include "nn/linear.h"
#include "nn/modulation.h"
#include "weights/weights.h"

namespace t2v {

struct CogVideoXTransformerConfig {
  PatchSize patch_size;
  int64_t num_attention_heads = 0, attention_head_dim = 0, num_layers = 0;
  int64_t in_channels = 0, text_embed_dim = 0, time_embed_dim = 0;
  int64_t sample_width = 0, sample_height = 0;  // latents of the size that the positions are made for
  bool rotary = false;  // rotary positions in every block; else sines and cosines added to the patches
  bool patches_of_time = false;  // 1.5: patch_size_t is set
  bool patch_bias = true;
  double norm_eps = 1e-5, spatial_interpolation_scale = 1.875, temporal_interpolation_scale = 1.0;
  int64_t width() const { return num_attention_heads * attention_head_dim; }
  // Patches that a rotary table of 1.5 reaches on the height and width; there is no limit elsewhere.
  int64_t longest_axis() const;
};

// Throws Error{bad_input} for values out of range and for variants that are not supported (image
// conditioning).
CogVideoXTransformerConfig parse_cogvideox_transformer_config(const Json& config, const std::string& where);

// One clip's text and video tokens side by side, in the order of the segments.
struct JointTokens {
  std::vector<int64_t> segments;  // [S + 1] cumulative offsets: text tokens, then video tokens
  at::Tensor row_of_modulation;  // int64 [M]: of the K rows of the video's modulation and the K of the text's
  at::Tensor rotary;  // complex64 [M, head_dim / 2], 1 for text; undefined without rotary positions
};

class CogVideoXBlock {
 public:
  CogVideoXBlock(const CogVideoXTransformerConfig& config, const WeightScope& weights);

  // x [M, D]; time: silu of the noise levels' embeddings [K, time_embed_dim]
  at::Tensor forward(at::Tensor x, const at::Tensor& time, const JointTokens& joint) const;

 private:
  // A layer norm for both streams, and what each stream's noise level makes of it.
  struct Norm {
    Linear linear;            // → video's shift, scale, gate, then the text's
    at::Tensor weight, bias;  // float32 [D]
  };
  static Norm load_norm(const CogVideoXTransformerConfig& config, const WeightScope& weights);
  static Modulation modulation(const Norm& norm, const at::Tensor& time, const JointTokens& joint);
  at::Tensor attention(const at::Tensor& x, const JointTokens& joint) const;

  Norm norm1_, norm2_;
  Linear to_qkv_, attention_out_, feed_in_, feed_out_;
  at::Tensor norm_q_, norm_q_bias_, norm_k_, norm_k_bias_;  // [head_dim]
  int64_t heads_, head_dim_;
  double eps_;
};

class CogVideoXTransformer : public Denoiser {
 public:
  CogVideoXTransformer(const CogVideoXTransformerConfig& config, const WeightScope& weights);

  PatchSize patch_size() const override { return config_.patch_size; }
  int64_t in_channels() const override { return config_.in_channels; }
  // A segment reads one text, whose states hold its padding: Error{usage} otherwise.
  std::shared_ptr<const Conditioning> prepare(const PackedTokens& tokens,
                                              const std::vector<TextStates>& texts) const override;
  // A segment's text has the noise level of its noisiest token.
  at::Tensor predict(const PackedTokens& tokens, const Conditioning& conditioning,
                     at::Tensor* middle = nullptr) const override;

 private:
  CogVideoXTransformerConfig config_;
  Linear patch_embedding_, text_projection_;
  Linear time_in_, time_out_;
  BlockList<CogVideoXBlock> blocks_;
  at::Tensor norm_final_weight_, norm_final_bias_;  // float32 [D]
  Linear norm_out_linear_;
  at::Tensor norm_out_weight_, norm_out_bias_;
  Linear proj_out_;
};

}  // namespace t2v
