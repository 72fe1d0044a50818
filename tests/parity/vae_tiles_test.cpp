// Autoencoders in tiles and in bfloat16 against the reference (tools/oracle/tiles.py).
#include <ATen/core/grad_mode.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>

#include "golden.h"
#include "models/model.h"

namespace t2v {
namespace {

constexpr double tiles_limit = 1e-4;  // of the reference's scale

struct VaeCase {
  std::string model;
  std::map<int64_t, std::pair<int64_t, int64_t>> sizes;  // latent frames → latent rows and columns
  int64_t pixels = 8;                                    // to a latent
};

// Names of golden tensors begin with the model's.
class VaeTiles : public testing::TestWithParam<VaeCase> {
 protected:
  std::unique_ptr<VideoVae> vae_in(at::ScalarType dtype) const {
    return load_vae(*open_model(open_model_folder(test::golden(model))), {at::kCPU, dtype});
  }
  at::Tensor latents(int64_t count) const {
    const auto [rows, columns] = GetParam().sizes.at(count);
    return test::random_normal({vae->spec().channels, count, rows, columns}, count);
  }
  void expect_close(const at::Tensor& found, const std::string& tensor) const {
    const double error = test::relative_error(found, golden->tensor(tensor));
    std::printf("%-24s %.1e of %.0e\n", tensor.c_str(), error, tiles_limit);
    EXPECT_LE(error, tiles_limit) << tensor;
  }

  const at::NoGradGuard no_grad;
  std::string model = GetParam().model;
  std::shared_ptr<const SafetensorsFile> golden = test::open_golden("vae_tiles.safetensors");
  std::unique_ptr<VideoVae> vae = vae_in(at::kFloat);
};

// What of the frames is in the golden file.
at::Tensor part_of_frames(const at::Tensor& frames) {
  const auto last = frames.size(1) - 1;
  const auto chosen = last == 0 ? at::tensor({0}) : at::tensor({int64_t{0}, frames.size(1) / 2, last});
  return frames.index_select(1, chosen.to(at::kLong)).slice(2, 0, {}, 14).slice(3, 0, {}, 15);
}

std::string name_of_case(const testing::TestParamInfo<VaeCase>& value) {
  auto name = value.param.model;
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
}

double mean_error(const at::Tensor& found, const at::Tensor& reference) {
  return (found - reference).square().mean().sqrt().item<double>();
}

INSTANTIATE_TEST_SUITE_P(
    Models, VaeTiles,
    testing::Values(VaeCase{"wan-tiny", {{1, {33, 35}}, {3, {26, 58}}, {6, {34, 20}}}},
                    VaeCase{"wan22-ti2v", {{1, {33, 37}}, {3, {14, 29}}, {6, {36, 10}}}, 16},
                    VaeCase{"cogvideox-2b", {{1, {31, 47}}, {3, {31, 40}}, {5, {20, 49}}}}),
    name_of_case);

TEST_P(VaeTiles, AreDecodedAndEncodedAndJoinedAsInTheReference) {
  for (const auto& [count, size] : GetParam().sizes) {
    const auto prefix = model + "." + std::to_string(count) + ".";
    vae->set_tiling(false);
    const auto whole = vae->decode(latents(count));
    vae->set_tiling(true);
    const auto tiled = vae->decode(latents(count));
    EXPECT_GT(test::relative_error(tiled, whole), 10 * tiles_limit) << "tiles should make other frames";
    expect_close(part_of_frames(tiled), prefix + "frames");
    const auto frames = test::random_normal(tiled.sizes(), 10 + count).clamp(-1, 1);
    const auto [mean, logvar] = vae->encode(frames);
    expect_close(mean.slice(2, 0, {}, 5).slice(3, 0, {}, 5), prefix + "mean");
    expect_close(logvar.slice(2, 0, {}, 5).slice(3, 0, {}, 5), prefix + "logvar");
  }
}

// A tile goes on where it was left: a clip that comes in pieces is what it is in one, and comes out in time.
TEST_P(VaeTiles, StreamInTime) {
  const auto count = GetParam().sizes.rbegin()->first;
  vae->set_tiling(true);
  vae->set_chunk(1);
  const auto z = latents(count);
  const auto expected = vae->decode(z);
  const auto stream = vae->decode_stream();
  std::vector<at::Tensor> parts;
  for (int64_t frame = 0; frame < count; ++frame)
    if (const auto part = stream->push(z.narrow(1, frame, 1)); part.defined()) parts.push_back(part);
  EXPECT_GE(parts.size(), 1U) << "some frames should come before the clip is over";
  if (const auto rest = stream->finish(); rest.defined()) parts.push_back(rest);
  EXPECT_TRUE(at::equal(at::cat(parts, 1), expected));

  const auto frames = expected.slice(1, 0, 1 + 4 * (count - 1));
  const auto mean = vae->encode(frames).mean;
  const auto encoding = vae->encode_stream();
  std::vector<at::Tensor> means;
  for (const auto& piece : frames.split(4, 1))
    if (const auto part = encoding->push(piece).mean; part.defined()) means.push_back(part);
  EXPECT_GE(means.size(), 1U);
  if (const auto rest = encoding->finish().mean; rest.defined()) means.push_back(rest);
  EXPECT_TRUE(at::equal(at::cat(means, 1), mean));
}

// What fits into a tile goes through whole.
TEST_P(VaeTiles, AreNotMadeOfWhatFitsIntoOne) {
  const auto z = test::random_normal({vae->spec().channels, 3, 6, 8}, 1);
  const auto whole = vae->decode(z);
  vae->set_tiling(true);
  EXPECT_TRUE(at::equal(vae->decode(z), whole));
}

TEST_P(VaeTiles, InBfloat16ItIsAsNearToFloat32AsTheReferenceIs) {
  const auto z = test::random_normal({vae->spec().channels, 3, 6, 8}, 20);
  const auto part = [](const at::Tensor& frames) { return frames.slice(2, 0, {}, 7).slice(3, 0, {}, 7); };
  const auto whole = golden->tensor(model + ".whole");
  expect_close(part(vae->decode(z)), model + ".whole");
  const auto found = mean_error(part(vae_in(at::kBFloat16)->decode(z)), whole);
  const auto reference = mean_error(golden->tensor(model + ".bfloat16"), whole);
  std::printf("%-24s %.2e, the reference's %.2e\n", (model + " in bfloat16").c_str(), found, reference);
  EXPECT_GT(found, 0.1 * reference) << "nothing was computed in bfloat16";
  EXPECT_LE(found, 1.2 * reference);
}

}  // namespace
}  // namespace t2v
