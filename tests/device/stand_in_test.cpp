// What the stand-in for a card refuses (stand_in.cpp).
#include <ATen/ATen.h>
#include <gtest/gtest.h>
#include <signal.h>

#include "golden.h"
#include "sanitizer.h"
#include "stand_in.h"

namespace t2v {
namespace {

TEST(StandIn, ComputesWhatTheCpuDoes) {
  const auto x = test::random_normal({3, 4}, 1), y = test::random_normal({4, 5}, 2);
  EXPECT_TRUE(at::equal(at::matmul(x.to(test::stand_in), y.to(test::stand_in)).cpu(), at::matmul(x, y)));
  EXPECT_EQ(x.to(test::stand_in).sum().item<float>(), x.sum().item<float>());
}

TEST(StandIn, WritesIntoPartsOfTensors) {
  const auto change = [](at::Tensor x) {
    x.slice(1, 1).add_(1);
    auto part = x.slice(1, 0, -1);
    at::maximum_out(part, part, part * 2);
    return x.cpu();
  };
  const auto x = test::random_normal({3, 4, 2}, 1);
  EXPECT_TRUE(at::equal(change(x.to(test::stand_in)), change(x.clone())));
}

TEST(StandIn, RefusesTensorsOfTwoDevicesAndTakesNumbers) {
  const auto x = test::random_normal({3, 4}, 1);
  EXPECT_THROW(x.to(test::stand_in) + x, c10::Error);
  EXPECT_THROW(at::cat({x.to(test::stand_in), x}), c10::Error);
  EXPECT_THROW(at::conv2d(x.view({1, 1, 3, 4}).to(test::stand_in), x.view({1, 1, 3, 4})), c10::Error);
  EXPECT_TRUE(at::equal((x.to(test::stand_in) + at::scalar_tensor(2.0)).cpu(), x + 2));
}

TEST(StandIn, SaysWhatTheHostWouldWaitFor) {
  const auto waits_in = [](const std::function<void()>& action) {
    test::waits_of_stand_in();
    action();
    return test::waits_of_stand_in().size();
  };
  const auto x = test::random_normal({3, 4}, 1);
  auto there = x.to(test::stand_in);
  EXPECT_EQ(waits_in([&] { there = (there * 2).add_(there.sum()); }), 0U);
  EXPECT_EQ(waits_in([&] { x.to(test::stand_in); }), 1U);
  EXPECT_EQ(waits_in([&] { there.cpu(); }), 1U);
  EXPECT_EQ(waits_in([&] { there.sum().item<float>(); }), 1U);
  EXPECT_EQ(waits_in([&] { there.nonzero(); }), 1U);
  EXPECT_GE(waits_in([&] { there.index({there > 0}); }), 1U);
  const auto pinned = x.pin_memory();
  EXPECT_EQ(waits_in([&] { pinned.to(test::stand_in, /*non_blocking=*/true); }), 0U);
  EXPECT_EQ(waits_in([&] { pinned.to(test::stand_in); }), 1U);
  EXPECT_EQ(waits_in([&] { x.to(test::stand_in, /*non_blocking=*/true); }), 1U);
}

TEST(StandInDeathTest, HasMemoryThatTheHostCannotRead) {
  if (test::has_sanitizer) GTEST_SKIP() << "a sanitizer ends the program in its own way";
  const auto x = test::random_normal({3, 4}, 1).to(test::stand_in);
  EXPECT_EXIT(static_cast<void>(*static_cast<volatile const float*>(x.const_data_ptr<float>())),
              testing::KilledBySignal(SIGSEGV), "");
}

}  // namespace
}  // namespace t2v
