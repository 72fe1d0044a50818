// What Wan's original checkpoints call their tensors.
// Source: diffusers loaders/single_file_utils.py, convert_wan_transformer_to_diffusers and
// convert_wan_vae_to_diffusers, read the other way round.
#pragma once

#include <cstdint>
#include <string>

namespace t2v {

std::string original_wan_transformer_name(std::string name);
// resnets: of each level of the decoder, num_res_blocks + 1.
std::string original_wan_vae_name(const std::string& name, int64_t resnets);

}  // namespace t2v
