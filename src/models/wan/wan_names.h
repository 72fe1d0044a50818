// What Wan's original checkpoints call their tensors.
// Source: diffusers loaders/single_file_utils.py, convert_wan_transformer_to_diffusers and
// convert_wan_vae_to_diffusers, read the other way round; Wan's own wan/modules/vae2_2.py and t5.py.
#pragma once

#include <cstdint>
#include <string>

namespace t2v {

std::string original_wan_transformer_name(std::string name);
// resnets: of each level of the decoder, num_res_blocks + 1.
std::string original_wan_vae_name(const std::string& name, int64_t resnets);
// Of Wan 2.2's autoencoder, whose levels are residual. resnets: of each level of the encoder,
// num_res_blocks; the decoder has one more.
std::string original_wan_residual_vae_name(const std::string& name, int64_t resnets);
// "encoder.block.0.layer.0.SelfAttention.q.weight" → "blocks.0.attn.q.weight"
std::string original_wan_t5_name(const std::string& name);

}  // namespace t2v
