// Packing as DenoiserTask does it, on the procedural world with tiny networks.
#include "train/tasks/denoiser_task.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <gtest/gtest.h>

#include "golden.h"
#include "models.h"
#include "models/wan/wan_vae.h"
#include "parameters.h"
#include "train/data/scene_helper.h"
#include "train/loop/initial_weights.h"
#include "weights.h"

namespace t2v {
namespace {

TensorShapes shapes_of(const WanVaeConfig& config) {
  auto meta = Weights::meta();
  const WanVae network(config, meta.root());
  return meta.asked();
}

class DenoiserTaskTest : public testing::Test {
 protected:
  DenoiserTaskTest() {
    at::set_num_threads(1);  // as in training
    parameters.add("transformer.", test::tiny_parameters("transformer", [&](const WeightScope& scope) {
                     model->make_denoiser(scope, at::kMeta);
                   }));
    parameters.add("text_encoder.", test::tiny_parameters("text_encoder", [&](const WeightScope& scope) {
                     model->make_text_encoder(scope);
                   }));
    config.tokens_per_lane = 40;
    config.lanes = 3;
    config.lengths = {{1, 1, 1}, {9, 1, 1}};
    config.objective.scheduler.prediction_type = PredictionType::flow_prediction;
    config.first_shards = 1;
    config.caption_dropout = 0.3;
    config.empty_caption = {1};
  }

  DenoiserTask task() { return task(vae, {{32, 32}, {48, 16}}); }
  DenoiserTask task(const VideoVae& network, std::vector<std::array<int64_t, 2>> sizes) {
    LatentCacheConfig cache;
    cache.folder = folder.path();
    cache.clips_per_shard = 12;
    cache.frames = 9;
    return {model,
            config,
            std::make_shared<LatentCache>(cache, network, *tokenizer, make_world_source(std::move(sizes), {}),
                                          alone),
            {}};
  }

  test::TemporaryFolder folder;
  Processes alone;
  Weights weights = test::tiny_weights("vae");
  WanVae vae{parse_wan_vae_config(test::tiny_config("vae"), "config.json"), weights.root()};
  std::unique_ptr<Tokenizer> tokenizer = load_t5_tokenizer(test::shipped_model() / "tokenizer");
  std::shared_ptr<const Model> model = test::tiny_model();
  ParameterSet parameters;
  DenoiserTaskConfig config;
  Workers workers{2};
};

TEST_F(DenoiserTaskTest, FillsEveryLaneWithinItsBudgetAndPadsNothing) {
  auto packed = task();
  constexpr double longest_clip = 3 * 2 * 2;  // tokens of 9 frames of 32x32, the most that a clip has
  for (int64_t step = 0; step < 4; ++step) {
    packed.begin_step(step, 0.5, workers);
    for (int64_t lane = 0; lane < config.lanes; ++lane) {
      const auto metrics = run_lane(packed, lane, parameters.replica());
      EXPECT_EQ(metrics.at("padding"), 0);
      EXPECT_LE(metrics.at("tokens"), static_cast<double>(config.tokens_per_lane));
      EXPECT_GT(metrics.at("tokens"), static_cast<double>(config.tokens_per_lane) -
                                          longest_clip);  // the step ends when a clip has no room
      EXPECT_GT(metrics.at("clips"), 3);
    }
  }
}

TEST_F(DenoiserTaskTest, CutsClipsByTheTemporalRatioOfTheAutoencoder) {
  auto twice = vae.config();
  twice.temporal_downsample = {false, false, true};
  auto twice_weights = ParameterSet::initialise(shapes_of(twice), 1).weights();
  const WanVae network(twice, twice_weights.root());
  config.lengths = {{5, 1, 1}};
  config.helper_weight = 0.1;  // its labels are cut with the latents
  parameters.add("helper.",
                 ParameterSet::initialise(scene_helper_parameters(model->width(), model->text_width()), 4));
  auto packed = task(network, {{32, 32}});
  packed.begin_step(0, 0, workers);
  const auto metrics = run_lane(packed, 0, parameters.replica());
  EXPECT_EQ(metrics.at("tokens"), metrics.at("clips") * 3 * 2 * 2);  // 3 latent frames
  EXPECT_GT(metrics.at("loss_5_weight"), 0);
}

// As a card has it: clips are drawn on threads of the cache's own, encoded many at once, beside the steps.
TEST_F(DenoiserTaskTest, ShardsThatAreMadeBesideAreThoseOfTheOtherWay) {
  LatentCacheConfig settings;
  settings.clips_per_shard = 12;
  settings.frames = 9;
  const std::shared_ptr<const ClipSource> source = make_world_source({{32, 32}, {48, 16}}, {});
  const test::TemporaryFolder other;
  settings.folder = folder.path();
  LatentCache plain(settings, vae, *tokenizer, source, alone);
  settings.folder = other.path();
  settings.drawing_threads = 2;
  LatentCache beside(settings, vae, *tokenizer, source, alone);
  plain.begin_next(3);
  EXPECT_EQ(plain.shards(), 0);
  plain.grow(3, workers);
  beside.grow(1, workers);
  beside.begin_next(3);
  beside.grow(2, workers);
  beside.begin_next(2);  // as many as there may be
  beside.begin_next(3);
  beside.begin_next(3);
  beside.grow(3, workers);
  ASSERT_EQ(beside.shards(), 3);
  for (std::size_t i = 0; i < plain.clips_in(3); ++i) {
    EXPECT_EQ(plain[i].tokens, beside[i].tokens) << i;
    ASSERT_EQ(plain[i].latents.sizes(), beside[i].latents.sizes()) << i;
    EXPECT_LT((plain[i].latents.to(at::kFloat) - beside[i].latents.to(at::kFloat)).abs().max().item<float>(),
              2e-3F * plain[i].latents.to(at::kFloat).abs().max().item<float>())
        << i;
  }
}

TEST_F(DenoiserTaskTest, AStepIsTheSameWhateverRanBefore) {
  auto fresh = task(), used = task();
  used.begin_step(0, 0, workers);
  used.begin_step(7, 0.5, workers);
  fresh.begin_step(7, 0.5, workers);
  for (int64_t lane = 0; lane < config.lanes; ++lane)
    EXPECT_EQ(run_lane(used, lane, parameters.replica()), run_lane(fresh, lane, parameters.replica()));
}

TEST_F(DenoiserTaskTest, BFloat16AndItsProductsAloneAreNearFloat32WithFloat32Gradients) {
  config.helper_weight = 0.1;
  parameters.add("helper.",
                 ParameterSet::initialise(scene_helper_parameters(model->width(), model->text_width()), 4));
  auto packed = task();
  packed.begin_step(0, 0, workers);
  auto wide = parameters.replica();
  const double expected = run_lane(packed, 0, wide).at("loss");
  for (const auto dtypes : {RunDtypes{at::kBFloat16, at::kBFloat16}, RunDtypes{at::kFloat, at::kBFloat16}}) {
    auto narrow = parameters.replica();
    narrow.compute_in(dtypes);
    const double found = run_lane(packed, 0, narrow).at("loss");
    EXPECT_NE(found, expected);
    EXPECT_NEAR(found / expected, 1, dtypes.model == at::kFloat ? 0.002 : 0.02);
    test::expect_gradients_near(narrow, wide, 0.15);
  }
}

TEST_F(DenoiserTaskTest, TheGradientsOfItsLanesAreThoseOfTheMeanLoss) {
  auto packed = task();
  packed.begin_step(0, 0, workers);
  double loss = 0, weight = 0;
  const auto replica = parameters.replica();  // adds up over the lanes
  for (int64_t lane = 0; lane < config.lanes; ++lane) {
    const auto metrics = run_lane(packed, lane, replica);
    loss += metrics.at("loss"), weight += metrics.at("weight");
  }
  // d(mean loss) / d(scale of the output) at a prediction of scale·proj_out: 2·(|p|² - p·target) / weight is
  // the inner product of proj_out's parameters and their gradients.
  double inner = 0;
  for (const auto& parameter : replica.list())
    if (parameter.name.find("transformer.proj_out.") == 0)
      inner += (parameter.value.detach() * parameter.value.grad()).sum(at::kDouble).item<double>();
  constexpr double step = 0.01;
  const auto loss_at = [&](double scale) {
    auto scaled = parameters.clone();
    for (const auto& parameter : scaled.list())
      if (parameter.name.find("transformer.proj_out.") == 0) parameter.value.detach().mul_(scale);
    double sum = 0;
    for (int64_t lane = 0; lane < config.lanes; ++lane) sum += run_lane(packed, lane, scaled).at("loss");
    return sum / weight;
  };
  EXPECT_NEAR((loss_at(1 + step) - loss_at(1 - step)) / (2 * step), inner, 0.01 * std::abs(inner));
  EXPECT_GT(loss, 0);
}

TEST_F(DenoiserTaskTest, TheHelperReadsTokensAndWords) {
  config.helper_weight = 0.1;
  config.caption_dropout = 0;
  parameters.add("helper.",
                 ParameterSet::initialise(scene_helper_parameters(model->width(), model->text_width()), 4));
  auto packed = task();
  packed.begin_step(0, 0, workers);
  const auto replica = parameters.replica();
  const auto metrics = run_lane(packed, 0, replica);
  EXPECT_GE(metrics.at("word_loss_weight"), metrics.at("clips"));  // each caption names at least one colour
  EXPECT_LE(metrics.at("word_loss_weight"), 2 * metrics.at("clips"));
  EXPECT_GT(metrics.at("word_loss"), 0);
  const auto helper = replica.part("helper.");
  for (const auto& parameter : helper.list())
    EXPECT_GT(parameter.value.grad().abs().max().item<double>(), 0) << parameter.name;
}

// Finds tensors that are left on the CPU when the parameters are elsewhere. Only forwards: the meta device's
// layers hold no graph.
TEST_F(DenoiserTaskTest, ItsLossIsWhereItsParametersAre) {
  config.helper_weight = 0.1;
  config.objective.first_clean_share = 0.5;
  parameters.add("helper.",
                 ParameterSet::initialise(scene_helper_parameters(model->width(), model->text_width()), 4));
  parameters.move_to(at::kMeta);
  auto packed = task();
  packed.begin_step(0, 0, workers);
  const auto found = packed.lane_loss(0, parameters.replica());
  EXPECT_TRUE(found.loss.is_meta());
  EXPECT_TRUE(found.metrics.at("loss").is_meta());
}

}  // namespace
}  // namespace t2v
