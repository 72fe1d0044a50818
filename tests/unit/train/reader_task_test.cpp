// A step of the picture book's reader.
#include "train/tasks/reader_task.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <gtest/gtest.h>

#include "parameters.h"
#include "train/loop/optimizer.h"

namespace t2v {
namespace {

class ReaderTaskTest : public testing::Test {
 protected:
  ReaderTaskTest() {
    at::set_num_threads(1);  // as in training
    config.lanes = 2;
    config.pixels_per_lane = 3 * 64 * 64 * 9;
    config.frames = {9};
    config.sizes = {{64, 64}, {96, 48}};
    config.network.width = 8;
    config.evaluation_clips = 3;
  }

  ReaderTaskConfig config;
  Workers workers{1};
};

TEST_F(ReaderTaskTest, ItsLabelsSayWhatIsWhere) {
  BookShot shot;
  shot.frames = 9;
  shot.things.resize(2);
  shot.things[0].noun = 12;
  shot.things[1].noun = 70;
  for (auto& thing : shot.things) thing.motion = world_index(book_motion_names(), "standing still");
  const auto poses = book_poses(shot, 128, 128);
  const auto labels = reader_labels(shot, 128, 128);
  ASSERT_EQ(labels.sizes(), at::IntArrayRef({5, 16, 16}));  // every second frame
  for (std::size_t k = 0; k < 2; ++k)
    for (int64_t t = 0; t < 5; ++t) {
      const auto& pose = poses[k][static_cast<std::size_t>(2 * t)];
      const auto row = static_cast<int64_t>(pose.y / 8), column = static_cast<int64_t>(pose.x / 8);
      EXPECT_EQ(labels[t][row][column].item<int64_t>(), 1 + shot.things[k].noun);
    }
  EXPECT_EQ(labels[0][0][0].item<int64_t>(), 0);
  EXPECT_GT(labels.eq(-1).sum().item<int64_t>(), 0);
  EXPECT_GT(labels.eq(0).sum().item<int64_t>(), labels.gt(0).sum().item<int64_t>());
}

TEST_F(ReaderTaskTest, EveryParameterHasAGradientInFloat32AndInMixedPrecision) {
  const auto parameters = ParameterSet::initialise(reader_shapes(config.network), 3);
  ReaderTask task(config);
  task.begin_step(0, 0, workers);
  const auto wide = parameters.replica();
  auto mixed = parameters.replica();
  mixed.compute_in({at::kFloat, at::kBFloat16});
  const auto expected = run_lane(task, 0, wide);
  const auto found = run_lane(task, 0, mixed);
  EXPECT_EQ(expected.at("clips"), 3);
  EXPECT_NE(found.at("loss"), expected.at("loss"));
  EXPECT_NEAR(found.at("loss") / expected.at("loss"), 1, 0.02);
  for (const auto& set : {wide, mixed})
    for (const auto& parameter : set.list()) {
      ASSERT_TRUE(parameter.value.grad().defined()) << parameter.name;
      EXPECT_GT(parameter.value.grad().abs().max().item<float>(), 0) << parameter.name;
    }
}

TEST_F(ReaderTaskTest, TheSameStepIsTheSameWhateverRanBefore) {
  const auto parameters = ParameterSet::initialise(reader_shapes(config.network), 3);
  ReaderTask one(config), other(config);
  one.begin_step(0, 0, workers);
  run_lane(one, 1, parameters.replica());
  const auto loss = [&](ReaderTask& task) {
    task.begin_step(4, 0, workers);
    return run_lane(task, 1, parameters.replica()).at("loss");
  };
  EXPECT_EQ(loss(one), loss(other));
}

TEST_F(ReaderTaskTest, LearnsWhatItIsShownAgainAndAgain) {
  auto parameters = ParameterSet::initialise(reader_shapes(config.network), 3);
  ReaderTask task(config);
  Optimizer optimizer(parameters, {.adam_learning_rate = 0.01});
  std::vector<double> losses;
  for (int step = 0; step < 12; ++step) {
    task.begin_step(0, 0, workers);
    const auto replica = parameters.replica();
    losses.push_back(run_lane(task, 0, replica).at("loss"));
    std::vector<at::Tensor> gradients;
    for (const auto& parameter : replica.list()) gradients.push_back(parameter.value.grad());
    optimizer.step(gradients, gradient_norm(gradients), 1, workers);
  }
  EXPECT_LT(losses.back(), 0.8 * losses.front());
}

TEST_F(ReaderTaskTest, ItsEvaluationCountsShares) {
  const auto parameters = ParameterSet::initialise(reader_shapes(config.network), 3);
  ReaderTask task(config);
  for (const auto& [name, share] : task.evaluate(parameters)) {
    EXPECT_GE(share, 0) << name;
    EXPECT_LE(share, 1) << name;
  }
}

// Finds tensors that are left on the CPU when the parameters are elsewhere. Only forwards: the meta device's
// layers hold no graph.
TEST_F(ReaderTaskTest, ItsLossIsWhereItsParametersAre) {
  auto parameters = ParameterSet::initialise(reader_shapes(config.network), 3);
  parameters.move_to(at::kMeta);
  ReaderTask task(config);
  task.begin_step(0, 0, workers);
  const auto found = task.lane_loss(1, parameters.replica());
  EXPECT_TRUE(found.loss.is_meta());
  EXPECT_TRUE(found.metrics.at("motions_right").is_meta());
}

}  // namespace
}  // namespace t2v
