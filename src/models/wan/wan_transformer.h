// The diffusion transformer of Wan (text to video, and with pictures that it reads), and SkyReels-V2's, which
// is the same. Source: Wan 2.1 technical report, section 4; diffusers transformer_wan.py,
// WanTransformer3DModel, transformer_skyreels_v2.py, SkyReelsV2Transformer3DModel.
#pragma once

#include <vector>

#include "base/json.h"
#include "models/denoiser.h"
#include "nn/attention.h"
#include "nn/block_list.h"
#include "nn/linear.h"
#include "nn/modulation.h"
#include "nn/rotary.h"
#include "weights/weights.h"

namespace t2v {

struct WanTransformerConfig {
  PatchSize patch_size;
  int64_t num_attention_heads = 0, attention_head_dim = 0, num_layers = 0, ffn_dim = 0;
  int64_t in_channels = 0, out_channels = 0, text_dim = 0, freq_dim = 0, rope_max_seq_len = 1024;
  int64_t image_dim = 0;             // of the states of pictures; 0: it reads none
  int64_t pos_embed_seq_len = 0;     // of the states of a first and a last picture; 0: they have no positions
  std::vector<int64_t> vace_layers;  // blocks that the control branch adds to; none: it has no such branch
  int64_t vace_in_channels = 0;
  bool cross_attn_norm = true;
  bool reads_frame_rate = false;  // "inject_sample_info"
  double eps = 1e-6;
  bool recompute = false;  // not of the file: gradients keep a block's inputs alone and run it again
                           // (gradient checkpointing)
  int64_t width() const { return num_attention_heads * attention_head_dim; }
};

// Throws Error{bad_input} for values out of range and for variants that are not supported.
WanTransformerConfig parse_wan_transformer_config(const Json& config, const std::string& where);

// Cumulative offsets of the tokens that attend to each other, and of those that read one text.
struct WanSegments {
  std::vector<int64_t> own, text;
};

class WanBlock {
 public:
  WanBlock(const WanTransformerConfig& config, const WeightScope& weights);

  // x [N, D]; time float32 [K, 6, D] with K distinct noise levels; level_of_token int64 [N], or undefined
  // when K = 1; rotary [N, head_dim / 2]; texts, and images where it reads pictures: one for each text
  // segment.
  at::Tensor forward(at::Tensor x, const at::Tensor& time, const at::Tensor& level_of_token,
                     const at::Tensor& rotary, const KeyValues& texts, const KeyValues& images,
                     const WanSegments& segments) const;

  // rows [R, D] of text, at row_of_position [texts, L] → this block's cross-attention keys and values.
  KeyValues text_key_values(const at::Tensor& rows, const at::Tensor& row_of_position) const;
  // The same of pictures; undefined where it reads none.
  KeyValues image_key_values(const at::Tensor& rows, const at::Tensor& row_of_position) const;

 private:
  at::Tensor self_attention(const at::Tensor& x, const at::Tensor& rotary,
                            const std::vector<int64_t>& segments) const;
  at::Tensor cross_attention(const at::Tensor& x, const KeyValues& texts, const KeyValues& images,
                             const std::vector<int64_t>& segments) const;
  at::Tensor split_heads(const at::Tensor& rows, const at::Tensor& row_of_position) const;

  int64_t heads_, head_dim_;
  double eps_;
  at::Tensor scale_shift_table_;          // float32 [1, 6, D]
  Linear to_qkv_, attention_out_;         // self-attention
  at::Tensor norm_qk_;                    // [2, D]
  at::Tensor norm2_weight_, norm2_bias_;  // undefined without cross_attn_norm
  Linear to_q_, to_k_, to_v_, text_out_;  // cross-attention
  at::Tensor norm_q_, norm_k_;            // [D]
  Linear add_k_, add_v_;                  // of pictures, where it reads them
  at::Tensor norm_added_k_;               // [D], undefined where it reads none
  Linear feed_in_, feed_out_;
};

// A block of VACE's control branch, and what it adds to a block of the network. Source: Jiang et al. 2025
// (VACE); diffusers transformer_wan_vace.py, WanVACETransformerBlock.
struct WanVaceBlock {
  Linear proj_in;  // of the first one
  WanBlock block;
  Linear proj_out;
};

class WanTransformer : public Denoiser {
 public:
  WanTransformer(const WanTransformerConfig& config, const WeightScope& weights, at::Device device);

  PatchSize patch_size() const override { return config_.patch_size; }
  int64_t in_channels() const override { return config_.in_channels; }
  // Texts are padded with zeros to their length. Source: pipeline_wan.py, _get_t5_prompt_embeds.
  std::shared_ptr<const Conditioning> prepare(const PackedTokens& tokens,
                                              const std::vector<TextStates>& texts) const override;
  at::Tensor predict(const PackedTokens& tokens, const Conditioning& conditioning,
                     at::Tensor* middle = nullptr) const override;

 private:
  // timesteps float32 [K] → {[K, D], [K, 6, D]}, float32.
  std::pair<at::Tensor, at::Tensor> embed_time(const at::Tensor& timesteps) const;

  at::Tensor run_block(const WanBlock& block, const at::Tensor& x, const at::Tensor& time,
                       const at::Tensor& level_of_token, const at::Tensor& rotary, const KeyValues& texts,
                       const KeyValues& images, const WanSegments& segments) const;
  // What the control branch adds behind each of vace_layers: [N, D] each.
  std::vector<at::Tensor> control_hints(const at::Tensor& x, const PackedTokens& tokens,
                                        const at::Tensor& time, const at::Tensor& rotary,
                                        const std::vector<KeyValues>& texts) const;
  // The states of pictures [P·L, image_dim], as the blocks read them: [P·L, D].
  at::Tensor embed_images(const at::Tensor& states) const;
  // What is added to the embeddings of all noise levels: float32 [6, D], or undefined.
  at::Tensor embed_frame_rate(double frame_rate) const;

  WanTransformerConfig config_;
  Linear patch_embedding_;  // [D, C·pt·ph·pw]
  Linear time_in_, time_out_, time_proj_;
  at::Tensor fps_embedding_;  // [2, D]: of 16 frames per second, and of all other rates; or undefined
  Linear fps_in_, fps_out_;
  Linear text_in_, text_out_;
  // Of pictures, where it reads them. Source: WanImageEmbedding.
  struct ImageEmbedder {
    at::Tensor positions;  // [pos_embed_seq_len, image_dim], or undefined
    at::Tensor norm1_weight, norm1_bias, norm2_weight, norm2_bias;  // float32
    Linear in, out;
  };
  ImageEmbedder image_;
  Rotary rotary_;
  BlockList<WanBlock> blocks_;
  Linear vace_patch_embedding_;
  BlockList<WanVaceBlock> vace_blocks_;
  at::Tensor scale_shift_table_;  // float32 [1, 2, D]
  Linear proj_out_;               // rows reordered from (pt, ph, pw, C) to (C, pt, ph, pw)
};

}  // namespace t2v
