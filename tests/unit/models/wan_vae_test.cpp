#include "models/wan/wan_vae.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <gtest/gtest.h>

#include "device.h"
#include "errors.h"
#include "golden.h"
#include "weights.h"

namespace t2v {
namespace {

const double wan_vae_limit = test::limit(2e-5);  // of the expected tensor's scale: rounding makes 1.01e-5
                                                 // where the compiler uses no vectors (sanitizers)

class WanVaeTest : public testing::Test {
 protected:
  WanVaeTest() { weights.finish(); }

  // Frames in each call of the sink.
  std::vector<int64_t> frames_per_call(const at::Tensor& latents) const {
    std::vector<int64_t> counts;
    vae.decode(latents, [&](const at::Tensor& part) { counts.push_back(part.size(1)); });
    return counts;
  }

  Weights weights = test::tiny_weights("vae");
  WanVae vae{parse_wan_vae_config(test::tiny_config("vae"), "config.json"), weights.root()};
};

TEST_F(WanVaeTest, DecodesInChunksAsInOnePiece) {
  const auto latents = test::random_here({16, 6, 4, 6}, 1);
  const auto expected = vae.decode(latents);
  EXPECT_EQ(expected.sizes(), (std::vector<int64_t>{3, 21, 32, 48}));
  for (const int64_t chunk : {1, 2, 3, 6}) {
    vae.set_chunk(chunk);
    EXPECT_LE(test::relative_error(vae.decode(latents), expected), wan_vae_limit) << chunk;
  }
}

TEST_F(WanVaeTest, EncodesInChunksAsInOnePiece) {
  const auto frames = test::random_here({3, 21, 32, 48}, 1).clamp(-1, 1);
  const auto [mean, logvar] = vae.encode(frames);
  EXPECT_EQ(mean.sizes(), (std::vector<int64_t>{16, 6, 4, 6}));
  for (const int64_t chunk : {1, 2, 3, 6}) {
    vae.set_chunk(chunk);
    const auto part = vae.encode(frames);
    EXPECT_LE(test::relative_error(part.mean, mean), wan_vae_limit) << chunk;
    EXPECT_LE(test::relative_error(part.logvar, logvar), wan_vae_limit) << chunk;
  }
}

TEST_F(WanVaeTest, SeveralClipsAreTheClipsOneByOne) {
  const auto frames = test::random_here({3, 3, 9, 16, 24}, 1).clamp(-1, 1);
  const auto [mean, logvar] = vae.encode_clips(frames);
  const auto latents = test::random_here({3, 16, 3, 2, 3}, 2);
  const auto decoded = vae.decode_clips(latents);
  ASSERT_EQ(mean.sizes(), (std::vector<int64_t>{3, 16, 3, 2, 3}));
  ASSERT_EQ(decoded.sizes(), (std::vector<int64_t>{3, 3, 9, 16, 24}));
  for (int64_t clip = 0; clip < 3; ++clip) {
    const auto one = vae.encode(frames[clip]);
    EXPECT_LE(test::relative_error(mean[clip], one.mean), wan_vae_limit) << clip;
    EXPECT_LE(test::relative_error(logvar[clip], one.logvar), wan_vae_limit) << clip;
    EXPECT_LE(test::relative_error(decoded[clip].clamp(-1, 1), vae.decode(latents[clip])), wan_vae_limit)
        << clip;
  }
}

TEST_F(WanVaeTest, StreamsFramesInOrderOneAndThenFourToALatent) {
  const auto latents = test::random_here({16, 4, 4, 4}, 1);
  vae.set_chunk(1);
  EXPECT_EQ(frames_per_call(latents), (std::vector<int64_t>{1, 4, 4, 4}));
  vae.set_chunk(2);
  EXPECT_EQ(frames_per_call(latents), (std::vector<int64_t>{1, 8, 4}));
  const auto whole = vae.decode(latents);
  int64_t begin = 0;
  vae.decode(latents, [&](const at::Tensor& part) {
    EXPECT_TRUE(test::same(part, whole.narrow(1, begin, part.size(1))));
    begin += part.size(1);
  });
  EXPECT_EQ(begin, 13);
}

TEST(WanVaeStreams, GiveTheBitsOfOnePieceWhateverThePieces) {
  for (const auto& model :
       {test::model_named("tiny"), test::model_named("world-128"), test::golden("wan22-ti2v")}) {
    SCOPED_TRACE(model);
    const auto folder = model / "vae";
    auto weights = Weights::open(folder, "diffusion_pytorch_model", test::device(), at::kFloat);
    WanVae vae(parse_wan_vae_config(read_json(folder / "config.json"), "config.json"), weights.root());
    vae.set_chunk(3);  // which most of the pieces do not fit
    const at::NoGradGuard no_grad;
    const auto frames = test::random_here({3, 29, 64, 64}, 1).clamp(-1, 1);
    const auto [mean, logvar] = vae.encode(frames);
    const auto decoded = vae.decode(mean);
    for (const int64_t piece : {1, 3, 4, 11, 29}) {
      SCOPED_TRACE(piece);
      const auto encoding = vae.encode_stream();
      const auto decoding = vae.decode_stream();
      std::vector<at::Tensor> means, logvars, parts;
      const auto keep = [&](const Posterior& posterior) {
        if (!posterior.mean.defined()) return;
        means.push_back(posterior.mean);
        logvars.push_back(posterior.logvar);
      };
      for (int64_t begin = 0; begin < 29; begin += piece)
        keep(encoding->push(frames.narrow(1, begin, std::min(piece, 29 - begin))));
      keep(encoding->finish());
      EXPECT_TRUE(test::same(at::cat(means, 1), mean));
      EXPECT_TRUE(test::same(at::cat(logvars, 1), logvar));
      for (int64_t begin = 0; begin < mean.size(1); begin += piece)
        if (const auto part = decoding->push(mean.narrow(1, begin, std::min(piece, mean.size(1) - begin)));
            part.defined())
          parts.push_back(part);
      if (const auto rest = decoding->finish(); rest.defined()) parts.push_back(rest);
      EXPECT_TRUE(test::same(at::cat(parts, 1), decoded));
    }
  }
}

TEST_F(WanVaeTest, AStreamDropsFramesThatMakeNoWholeLatent) {
  const auto frames = test::random_here({3, 8, 16, 16}, 1).clamp(-1, 1);
  const auto stream = vae.encode_stream();
  EXPECT_EQ(stream->push(frames).mean.size(1), 1);
  EXPECT_TRUE(test::same(stream->finish().mean, vae.encode(frames.narrow(1, 0, 5)).mean.narrow(1, 1, 1)));
  EXPECT_FALSE(stream->finish().mean.defined());
  EXPECT_FALSE(vae.encode_stream()->finish().mean.defined());
}

// What is held at once does not grow with the clip.
TEST_F(WanVaeTest, HandsOutAsFewFramesAtATimeFromALongClipAsFromAShortOne) {
  const auto most = [&](int64_t latent_frames) {
    const auto counts = frames_per_call(test::random_here({16, latent_frames, 16, 16}, 1));
    return *std::max_element(counts.begin(), counts.end());
  };
  const auto few = most(6);
  EXPECT_EQ(most(12), few);
  EXPECT_EQ(few, 16);  // 1024 latent pixels: four latent frames of 16x16
}

TEST_F(WanVaeTest, LooksOnlyBackwardsInTime) {
  const auto latents = test::random_here({16, 4, 4, 4}, 1);
  EXPECT_LE(test::relative_error(vae.decode(latents.narrow(1, 0, 2)), vae.decode(latents).narrow(1, 0, 5)),
            wan_vae_limit);
  const auto frames = test::random_here({3, 13, 16, 16}, 2).clamp(-1, 1);
  EXPECT_LE(
      test::relative_error(vae.encode(frames.narrow(1, 0, 5)).mean, vae.encode(frames).mean.narrow(1, 0, 2)),
      wan_vae_limit);
}

TEST_F(WanVaeTest, KeepsNothingFromOneClipToTheNext) {
  const auto latents = test::random_here({16, 3, 4, 4}, 1);
  const auto first = vae.decode(latents);
  vae.decode(test::random_here({16, 2, 6, 4}, 2));
  EXPECT_TRUE(test::same(vae.decode(latents), first));
}

TEST_F(WanVaeTest, NormalisesAndBack) {
  const auto latents = test::random_here({16, 2, 3, 4}, 1);
  const auto normal = vae.normalise(latents);
  EXPECT_LE(test::relative_error(vae.denormalise(normal), latents), wan_vae_limit);
  const auto& config = vae.config();
  EXPECT_NEAR(normal[5][1][2][3].item<double>(),
              (latents[5][1][2][3].item<double>() - config.latents_mean[5]) / config.latents_std[5], 1e-5);
}

TEST_F(WanVaeTest, RefusesFramesThatDoNotFit) {
  for (const auto& shape :
       {std::vector<int64_t>{3, 4, 16, 16}, {3, 0, 16, 16}, {3, 5, 12, 16}, {3, 5, 16, 20}, {4, 5, 16, 16}})
    test::expect_error(ErrorKind::usage, {"1 + 4·k frames", "multiples of 8"},
                       [&] { vae.encode(test::here(at::zeros(shape))); });
}

TEST(WanVaeMeta, GivesShapesWithoutWeights) {
  for (const auto& model :
       {test::model_named("world-128"), test::model_named("tiny"), test::golden("wan22-ti2v")}) {
    const auto config_file = model / "vae" / "config.json";
    auto weights = Weights::meta();
    const WanVae vae(parse_wan_vae_config(read_json(config_file), "config.json"), weights.root());
    const auto channels = vae.spec().channels, ratio = vae.spec().spatial_ratio;
    const auto frames = vae.decode(vae.denormalise(at::empty({channels, 4, 6, 10}, at::kMeta)));
    EXPECT_TRUE(frames.is_meta());
    EXPECT_EQ(frames.sizes(), (std::vector<int64_t>{3, 13, 6 * ratio, 10 * ratio}));
    const auto [mean, logvar] = vae.encode(at::empty({3, 9, 6 * ratio, 10 * ratio}, at::kMeta));
    EXPECT_TRUE(mean.is_meta());
    EXPECT_EQ(mean.sizes(), (std::vector<int64_t>{channels, 3, 6, 10}));
    EXPECT_EQ(logvar.sizes(), mean.sizes());
  }
}

TEST(WanVaeMeta, AsksForExactlyTheCheckpointsTensors) {
  auto weights = Weights::meta();
  const WanVae vae(parse_wan_vae_config(test::tiny_config("vae"), "config.json"), weights.root());
  const auto file = SafetensorsFile::open(test::golden("wan-tiny") / "vae" /
                                          "diffusion_pytorch_model.safetensors");
  EXPECT_EQ(weights.asked().size(), file->entries().size());
  for (const auto& [name, shape] : weights.asked()) {
    ASSERT_TRUE(file->entries().contains(name)) << name;
    EXPECT_EQ(file->entries().at(name).shape, shape) << name;
  }
}

TEST(ParseWanVaeConfig, RefusesWhatIsNotSupportedOrContradictsItself) {
  const std::vector<std::pair<Json, std::vector<std::string>>> cases = {
      {{{"is_residual", true}, {"dim_mult", {1, 3, 5, 5}}}, {"dim_mult", "residual"}},
      {{{"attn_scales", {1.0}}}, {"'attn_scales'"}},
      {{{"dim_mult", Json::array()}}, {"dim_mult"}},
      {{{"dim_mult", {1, 2, 4, 100}}}, {"dim_mult"}},
      {{{"temperal_downsample", {true}}}, {"temperal_downsample"}},
      {{{"latents_mean", {0.0}}}, {"latents_mean", "z_dim (16)"}},
      {{{"latents_std", std::vector<double>(16, 0.0)}}, {"latents_std", "positive"}},
      {{{"z_dim", 0}}, {"'z_dim'"}},
      {{{"patch_size", 2}}, {"3·patch_size² = 12"}},
      {{{"in_channels", 4}}, {"in_channels"}},
      {{{"scale_factor_spatial", 16}}, {"'scale_factor_spatial' is 16", "8"}},
      {{{"scale_factor_temporal", 8}}, {"'scale_factor_temporal' is 8", "4"}},
  };
  for (const auto& [change, parts] : cases) {
    SCOPED_TRACE(change.dump());
    auto config = test::tiny_config("vae");
    config.update(change);
    auto named = parts;
    named.push_back("vae/config.json");
    test::expect_error(ErrorKind::bad_input, named, [&] { parse_wan_vae_config(config, "vae/config.json"); });
  }
}

}  // namespace
}  // namespace t2v
