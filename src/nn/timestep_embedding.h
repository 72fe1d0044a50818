// Sinusoidal embedding of a diffusion timestep.
#pragma once

#include <ATen/core/Tensor.h>

namespace t2v {

// timesteps float32 [K] → float32 [K, dim]: cosines first, frequencies exp(-ln(10000) · i / (dim / 2)).
// Source: Ho et al. 2020; diffusers embeddings.py, get_timestep_embedding with flip_sin_to_cos=True,
// downscale_freq_shift=0.
at::Tensor timestep_embedding(const at::Tensor& timesteps, int64_t dim);

}  // namespace t2v
