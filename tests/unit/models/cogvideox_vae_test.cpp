#include "models/cogvideox/cogvideox_vae.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "errors.h"
#include "golden.h"

namespace t2v {
namespace {

Json vae_config(const std::string& kind) {
  return read_json(test::golden("cogvideox-" + kind) / "vae" / "config.json");
}

class CogVideoXVaeTest : public testing::Test {
 protected:
  CogVideoXVae make(const std::string& kind, int64_t leading) {
    auto config = parse_cogvideox_vae_config(vae_config(kind), "config.json");
    config.leading = leading;
    auto weights = Weights::open(test::golden("cogvideox-2b") / "vae", "diffusion_pytorch_model", at::kCPU,
                                 at::kFloat);
    return {config, weights.root()};
  }

  CogVideoXVae vae = make("2b", 0);
};

// The tensors that a stream gives for a clip in pieces of `piece` along dimension 1.
at::Tensor decode_in_pieces(const CogVideoXVae& vae, const at::Tensor& latents, int64_t piece) {
  const auto stream = vae.decode_stream();
  std::vector<at::Tensor> parts;
  for (const auto& part : latents.split(piece, 1)) parts.push_back(stream->push(part));
  parts.push_back(stream->finish());
  std::erase_if(parts, [](const at::Tensor& part) { return !part.defined(); });
  return at::cat(parts, 1);
}

at::Tensor encode_in_pieces(const CogVideoXVae& vae, const at::Tensor& frames, int64_t piece) {
  const auto stream = vae.encode_stream();
  std::vector<at::Tensor> parts;
  for (const auto& part : frames.split(piece, 1)) parts.push_back(stream->push(part).mean);
  parts.push_back(stream->finish().mean);
  std::erase_if(parts, [](const at::Tensor& part) { return !part.defined(); });
  return at::cat(parts, 1);
}

TEST_F(CogVideoXVaeTest, GivesTheBitsOfOnePieceWhateverThePieces) {
  for (const int64_t count : {1, 2, 3, 4, 5, 7}) {
    const auto latents = test::random_normal({4, count, 2, 3}, count);
    const auto expected = vae.decode(latents);
    for (const int64_t piece : {1, 2, 3, 7})
      EXPECT_TRUE(at::equal(decode_in_pieces(vae, latents, piece), expected)) << count << " by " << piece;
  }
  for (const int64_t count : {1, 5, 9, 13, 17, 25}) {
    const auto frames = test::random_normal({3, count, 16, 24}, count).clamp(-1, 1);
    const auto expected = vae.encode(frames).mean;
    EXPECT_EQ(expected.size(1), (count - 1) / 4 + 1);
    for (const int64_t piece : {1, 4, 25})
      EXPECT_TRUE(at::equal(encode_in_pieces(vae, frames, piece), expected)) << count << " by " << piece;
  }
}

TEST_F(CogVideoXVaeTest, HoldsBackAChunkAndNoMore) {
  const auto stream = vae.decode_stream();
  std::vector<int64_t> frames;
  for (int64_t i = 0; i < 9; ++i) {
    const auto part = stream->push(test::random_normal({4, 1, 2, 2}, i));
    frames.push_back(part.defined() ? part.size(1) : 0);
  }
  EXPECT_EQ(frames, (std::vector<int64_t>{0, 0, 0, 0, 17, 0, 8, 0, 8}));
  EXPECT_FALSE(stream->finish().defined());
}

TEST_F(CogVideoXVaeTest, RefusesALongEvenNumberOfLatentFrames) {
  test::expect_error(ErrorKind::usage, {"odd number of latent frames", "8·k + 1 frames"}, [&] {
    vae.decode(test::random_normal({4, 6, 2, 2}, 1));
  });
}

TEST_F(CogVideoXVaeTest, DropsFramesBeyondAWholeChunk) {
  const auto frames = test::random_normal({3, 23, 16, 16}, 1).clamp(-1, 1);
  EXPECT_TRUE(at::equal(encode_in_pieces(vae, frames, 23), vae.encode(frames.narrow(1, 0, 17)).mean));
  EXPECT_TRUE(
      at::equal(encode_in_pieces(vae, frames.narrow(1, 0, 16), 3), vae.encode(frames.narrow(1, 0, 13)).mean));
}

TEST_F(CogVideoXVaeTest, LeadingLatentsAreCopiesOfTheFirstAndDroppedAgain) {
  const auto padded = make("1.5", 1);
  EXPECT_EQ(padded.spec().latent_frames(17), 6);
  EXPECT_EQ(padded.spec().frames(6), 17);
  const auto frames = test::random_normal({3, 17, 16, 16}, 1).clamp(-1, 1);
  const auto expected = vae.encode(frames), found = padded.encode(frames);
  EXPECT_TRUE(at::equal(found.mean, at::cat({expected.mean.narrow(1, 0, 1), expected.mean}, 1)));
  EXPECT_TRUE(at::equal(found.logvar, at::cat({expected.logvar.narrow(1, 0, 1), expected.logvar}, 1)));
  for (const int64_t piece : {1, 4, 6})
    EXPECT_TRUE(at::equal(decode_in_pieces(padded, found.mean, piece), vae.decode(expected.mean))) << piece;
}

TEST_F(CogVideoXVaeTest, ScalesLatents) {
  const auto latents = test::random_normal({4, 3, 2, 2}, 1);
  EXPECT_LE(test::relative_error(vae.normalise(latents), latents * 1.15258426), 1e-6);
  EXPECT_LE(test::relative_error(vae.denormalise(latents), latents / 1.15258426), 1e-6);
  const auto inverted = make("1.5", 1);
  EXPECT_LE(test::relative_error(inverted.normalise(latents), latents / 0.7), 1e-6);
  EXPECT_LE(test::relative_error(inverted.denormalise(latents), latents / 0.7), 1e-6);
}

TEST_F(CogVideoXVaeTest, RefusesFramesThatDoNotFitAndTraining) {
  for (const auto& shape :
       {std::vector<int64_t>{3, 4, 16, 16}, {3, 5, 12, 16}, {3, 5, 16, 20}, {4, 5, 16, 16}})
    test::expect_error(ErrorKind::usage, {"1 + 4·k frames", "multiples of 8"},
                       [&] { vae.encode(at::zeros(shape)); });
  test::expect_error(ErrorKind::usage, {"cannot be trained"}, [&] { vae.encode_clips({}); });
  test::expect_error(ErrorKind::usage, {"cannot be trained"}, [&] { vae.decode_clips({}); });
}

TEST(CogVideoXVaeMeta, GivesShapesAndAsksForExactlyTheCheckpointsTensors) {
  auto weights = Weights::meta();
  const CogVideoXVae vae(parse_cogvideox_vae_config(vae_config("2b"), "config.json"), weights.root());
  const auto frames = vae.decode(vae.denormalise(at::empty({4, 5, 6, 10}, at::kMeta)));
  EXPECT_TRUE(frames.is_meta());
  EXPECT_EQ(frames.sizes(), (std::vector<int64_t>{3, 17, 48, 80}));
  EXPECT_EQ(vae.encode(at::empty({3, 9, 48, 80}, at::kMeta)).mean.sizes(),
            (std::vector<int64_t>{4, 3, 6, 10}));
  const auto file = SafetensorsFile::open(test::golden("cogvideox-2b") / "vae" /
                                          "diffusion_pytorch_model.safetensors");
  EXPECT_EQ(weights.asked().size(), file->entries().size());
  for (const auto& [name, shape] : weights.asked()) {
    ASSERT_TRUE(file->entries().contains(name)) << name;
    EXPECT_EQ(file->entries().at(name).shape, shape) << name;
  }
}

TEST(ParseCogVideoXVaeConfig, RefusesWhatIsNotSupportedOrContradictsItself) {
  const std::vector<std::pair<Json, std::vector<std::string>>> cases = {
      {{{"in_channels", 4}}, {"'in_channels' 4"}},
      {{{"act_fn", "relu"}}, {"'act_fn'", "relu"}},
      {{{"use_quant_conv", true}}, {"'use_quant_conv'"}},
      {{{"use_post_quant_conv", true}}, {"'use_post_quant_conv'"}},
      {{{"temporal_compression_ratio", 8}}, {"'temporal_compression_ratio' 8"}},
      {{{"block_out_channels", {4, 8}}}, {"block_out_channels"}},
      {{{"block_out_channels", {4, 6, 7, 8}}}, {"block_out_channels", "norm_num_groups (2)"}},
      {{{"down_block_types", {"DownEncoderBlock2D"}}}, {"down_block_types", "CogVideoXDownBlock3D"}},
      {{{"up_block_types", "CogVideoXUpBlock3D"}}, {"up_block_types"}},
      {{{"scaling_factor", 0.0}}, {"scaling_factor"}},
      {{{"latent_channels", 0}}, {"'latent_channels'"}},
  };
  for (const auto& [change, parts] : cases) {
    SCOPED_TRACE(change.dump());
    auto config = vae_config("2b");
    config.update(change);
    auto named = parts;
    named.push_back("vae/config.json");
    test::expect_error(ErrorKind::bad_input, named,
                       [&] { parse_cogvideox_vae_config(config, "vae/config.json"); });
  }
}

}  // namespace
}  // namespace t2v
