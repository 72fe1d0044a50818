// Pictures in other sizes have Pillow's bytes (tools/oracle/picture_sizes.py).
#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "base/json.h"
#include "golden.h"
#include "nn/picture_resampling.h"

namespace t2v {
namespace {

// As the script makes them: noise, in which every pixel counts, as rows of RGB.
at::Tensor scrambled(int64_t width, int64_t height) {
  const auto bytes = at::empty({height, width, 3}, at::kByte);
  auto* out = bytes.mutable_data_ptr<uint8_t>();
  for (int64_t i = 0; i < bytes.numel(); ++i) {
    auto x = static_cast<uint32_t>(i) * 2654435761u;
    x = (x ^ x >> 15) * 2246822519u;
    out[i] = static_cast<uint8_t>(x >> 24);
  }
  return bytes.permute({2, 0, 1});
}

uint64_t checksum(const at::Tensor& picture) {
  const auto rows = picture.permute({1, 2, 0}).contiguous();
  const auto* bytes = rows.const_data_ptr<uint8_t>();
  uint64_t sum = 0;
  for (int64_t i = 0; i < rows.numel(); ++i)
    sum += static_cast<uint64_t>(static_cast<uint32_t>(i + 1) * 2654435761u) * bytes[i];
  return sum % (uint64_t{1} << 53);
}

TEST(Pictures, AreResampledToTheLastBitAsPillowDoesFrom400SizesToOthers) {
  const auto golden = read_json(test::golden("picture_sizes.json"));
  int height_first = 0, width_first = 0;
  for (const auto& entry : golden.at("cases")) {
    const auto number = [&](int i) { return entry.at(static_cast<std::size_t>(i)).get<int64_t>(); };
    const auto width = number(1), height = number(2), new_width = number(3), new_height = number(4);
    const auto filter = entry.at(0) == "bicubic" ? ResamplingFilter::bicubic : ResamplingFilter::lanczos;
    const auto resampled = resample_picture(scrambled(width, height), new_width, new_height, filter);
    ASSERT_EQ(resampled.sizes(), at::IntArrayRef({3, new_height, new_width}));
    EXPECT_EQ(checksum(resampled), entry.at(5).get<uint64_t>()) << entry.dump();
    const bool turned = height > new_height && height - new_height > 2 * (width - new_width);
    ++(turned ? height_first : width_first);
  }
  EXPECT_GE(height_first, 100);
  EXPECT_GE(width_first, 100);
}

}  // namespace
}  // namespace t2v
