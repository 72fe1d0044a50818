// Where CogVideoX's tokens are: as what is added to the patches (2B), or as angles that turn queries and keys
// (5B and 1.5). Source: diffusers embeddings.py, get_3d_sincos_pos_embed and get_3d_rotary_pos_embed;
// pipeline_cogvideox.py, _prepare_rotary_positional_embeddings.
#pragma once

#include <ATen/core/Tensor.h>

#include "models/cogvideox/cogvideox_transformer.h"
#include "tokens/packed_tokens.h"

namespace t2v {

// float32 [N, D] on the device of the tokens.
at::Tensor sincos_positions(const CogVideoXTransformerConfig& config, const PackedTokens& tokens);

// complex64 [N, head_dim / 2]. Every segment is a grid that begins at 0, 0, 0. Throws Error{usage} for one
// beyond the table of 1.5.
at::Tensor rotary_positions(const CogVideoXTransformerConfig& config, const PackedTokens& tokens);

}  // namespace t2v
