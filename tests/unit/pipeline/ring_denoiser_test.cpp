#include "pipeline/run/ring_denoiser.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "pipeline/plan/windows.h"

namespace t2v {
namespace {

// Predicts where in its window each token is.
class PlaceInWindow : public Denoiser {
 public:
  PatchSize patch_size() const override { return {}; }
  int64_t in_channels() const override { return 1; }
  std::shared_ptr<const Conditioning> prepare(const PackedTokens& tokens,
                                              const std::vector<TextStates>&) const override {
    segments = tokens.segments;
    texts = tokens.texts;
    return std::make_shared<Conditioning>();
  }
  at::Tensor predict(const PackedTokens& tokens, const Conditioning&, at::Tensor*) const override {
    return tokens.positions.slice(1, 0, 1).to(at::kFloat);
  }
  mutable std::vector<int64_t> segments, texts;
};

GenerationPlan loop_of(int64_t frames, int64_t window) {
  GenerationPlan plan;
  plan.settings.loop = true;
  plan.frames = frames;
  plan.windows = windows_of_loop(frames, window, 4);
  plan.latent_shape = {1, 1, static_cast<int64_t>(plan.windows.size()) + frames / 4, 1, 2};
  plan.tokens = plan.latent_shape[2] * 2;
  return plan;
}

TEST(RingDenoiser, EachWindowHasAFirstLatentOfItsOwnAndRunsRoundTheRing) {
  EXPECT_EQ(latent_frames_of_loop(loop_of(16, 17)),
            (std::vector<std::vector<int64_t>>{{0, 4, 5, 2, 3}, {1, 2, 3, 4, 5}}));
  EXPECT_EQ(latent_frames_of_loop(loop_of(20, 17)),
            (std::vector<std::vector<int64_t>>{{0, 6, 7, 3, 4}, {1, 3, 4, 5, 6}, {2, 4, 5, 6, 7}}));
  EXPECT_EQ(latent_frames_of_loop(loop_of(8, 17)), (std::vector<std::vector<int64_t>>{{0, 3, 2}, {1, 2, 3}}));
}

TEST(RingDenoiser, APredictionIsTheMeanOverTheWindowsThatHoldTheLatent) {
  const auto plan = loop_of(16, 17);
  const PlaceInWindow inner;
  const RingDenoiser ring(inner, latent_frames_of_loop(plan));
  const Clip clip{at::zeros({1, 6, 1, 2}), {}}, padding{at::zeros({1, 1, 1, 3}), {}};
  auto tokens = pack({clip, padding, clip}, {});
  tokens.texts = {5, 6, 7};
  const auto conditioning = ring.prepare(tokens, {});
  EXPECT_EQ(inner.segments, (std::vector<int64_t>{0, 10, 20, 23, 33, 43}));
  EXPECT_EQ(inner.texts, (std::vector<int64_t>{5, 5, 6, 7, 7}));
  EXPECT_EQ(tokens_of_pass(plan), 20);
  const auto found = ring.predict(tokens, *conditioning);
  // Of the ring's first latent: third of one window with a weight of 2, first of the other with 1.
  const float early = 7.0F / 3, late = 8.0F / 3;
  const auto of_clip = at::tensor({0.0F, 0.0F, early, late, early, late}).repeat_interleave(2);
  const auto expected = at::cat({of_clip, at::zeros({3}), of_clip}).unsqueeze(1);
  EXPECT_TRUE(at::allclose(found, expected)) << found;
}

}  // namespace
}  // namespace t2v
