// Batches that are made beside the step before.
#include "train/data/ahead.h"

#include <gtest/gtest.h>

#include <atomic>
#include <stdexcept>
#include <string>

namespace t2v {
namespace {

std::string name_of(int64_t step, int64_t lane) { return std::to_string(step) + "." + std::to_string(lane); }

TEST(Ahead, GivesEachLaneItsBatchWhateverTheNumberOfThreads) {
  for (const int64_t threads : {0, 1, 3}) {
    Ahead<std::string> ahead(threads, name_of);
    for (const int64_t step : {0, 1, 2, 7, 8, 3})  // goes on, skips and goes back
      for (int64_t lane = 0; lane < 4; ++lane) EXPECT_EQ(ahead.take(step, lane), name_of(step, lane));
  }
}

TEST(Ahead, MakesTheNextStepsBatchesBeforeTheyAreAskedFor) {
  std::atomic<int> of_next_step = 0;
  Ahead<std::string> ahead(2, [&](int64_t step, int64_t lane) {
    of_next_step += step == 1;
    return name_of(step, lane);
  });
  for (int64_t lane = 0; lane < 3; ++lane) ahead.take(0, lane);
  for (int i = 0; i < 3000 && of_next_step < 3; ++i)
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  EXPECT_EQ(of_next_step, 3);
  for (int64_t lane = 0; lane < 3; ++lane) EXPECT_EQ(ahead.take(1, lane), name_of(1, lane));
  EXPECT_EQ(of_next_step, 3);
}

TEST(Ahead, ThrowsWhatWentWrongWhereTheBatchIsAskedFor) {
  std::atomic<bool> failed = false;
  Ahead<std::string> ahead(1, [&](int64_t step, int64_t lane) -> std::string {
    if (step == 0) return name_of(step, lane);
    failed = true;
    throw std::runtime_error("no such clip");
  });
  EXPECT_EQ(ahead.take(0, 0), "0.0");
  for (int i = 0; i < 3000 && !failed; ++i) std::this_thread::sleep_for(std::chrono::milliseconds(10));
  EXPECT_TRUE(failed);
  EXPECT_THROW(ahead.take(1, 0), std::runtime_error);
}

}  // namespace
}  // namespace t2v
