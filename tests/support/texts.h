// Texts and noise levels for tests of denoisers.
#pragma once

#include <ATen/ATen.h>

#include <vector>

#include "models/denoiser.h"

namespace t2v::test {

// embeddings [texts, L, dim], without padding.
inline std::vector<TextStates> text_states(const at::Tensor& embeddings) {
  std::vector<TextStates> texts;
  for (const auto& states : embeddings.unbind(0)) texts.push_back({{states}, states.size(0)});
  return texts;
}

// The noise level of every token, [N].
inline at::Tensor timestep_of_tokens(const PackedTokens& tokens) {
  return tokens.level_of_token.defined() ? tokens.timesteps.index_select(0, tokens.level_of_token)
                                         : tokens.timesteps.expand({tokens.values.size(0)});
}

// The denoiser's prediction for segments that read these texts.
inline at::Tensor predict_with(const Denoiser& denoiser, PackedTokens tokens, const at::Tensor& embeddings,
                               std::vector<int64_t> text_of_segment) {
  tokens.texts = std::move(text_of_segment);
  return denoiser.predict(tokens, *denoiser.prepare(tokens, text_states(embeddings)));
}

}  // namespace t2v::test
