#include "train/data/scene_helper.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <cmath>

#include "paths.h"
#include "train/loop/parameters.h"
#include "train/run/tokenizer_trainer.h"

namespace t2v {
namespace {

TrainingClip clip_of(const WorldScene& scene, int64_t frames, int64_t width, int64_t height) {
  return {render_world(scene, frames, width, height), "", world_tracks(scene, frames, width, height),
          scene.objects};
}

// How much of a pixel is the object's colour, by the scene's two colours: 0 is background.
double share_of_object(const at::Tensor& pixel, const WorldScene& scene) {
  const auto object = world_colour_rgb(scene.objects[0].colour),
             background = world_background_rgb(scene.background);
  double along = 0, length = 0;
  for (std::size_t c = 0; c < 3; ++c) {
    const double step = (object[c] - background[c]) / 127.5;
    along += (pixel[static_cast<int64_t>(c)].item<double>() - (background[c] / 127.5 - 1)) * step;
    length += step * step;
  }
  return along / length;
}

TEST(SceneLabels, NameWhatThePictureShows) {
  int64_t named = 0, shown = 0;
  for (uint64_t seed = 0; seed < 20; ++seed) {
    WorldRandom random(seed);
    auto scene = sample_world_scene(random, WorldSide::any, {0});
    scene.objects[0].shape = world_index(world_shapes(), "circle");  // the others do not fill their circle
    scene.objects[0].motion = world_index(world_motions(), "standing still");
    const auto clip = clip_of(scene, 9, 80, 48);
    const auto labels = scene_labels(clip, {8, 3, 6, 10}, 4);
    ASSERT_EQ(labels.sizes(), (std::vector<int64_t>{kSceneLabels, 3, 6, 10}));
    for (int64_t i = 0; i < 6; ++i)
      for (int64_t j = 0; j < 10; ++j) {
        const auto shape = labels[0][2][i][j].item<int64_t>(), colour = labels[1][2][i][j].item<int64_t>();
        const auto pixel = clip.frames.select(1, 8)
                               .slice(1, 8 * i + 3, 8 * i + 5)
                               .slice(2, 8 * j + 3, 8 * j + 5)
                               .mean({1, 2});
        const double share = share_of_object(pixel, scene);  // at the outline the middle of a cell is a
                                                             // mixture
        named += shape != 0;
        EXPECT_EQ(shape, shape == 0 ? 0 : scene.objects[0].shape + 1);
        EXPECT_EQ(colour, shape == 0 ? 0 : scene.objects[0].colour + 1);
        EXPECT_EQ(labels[2][2][i][j].item<int64_t>(), shape == 0 ? 0 : scene.objects[0].motion + 1);
        EXPECT_EQ(labels[3][2][i][j].item<int64_t>(), 0);  // stands still
        EXPECT_EQ(labels[4][2][i][j].item<int64_t>(), j < 5 ? 1 : 2);
        shown += share > 0.5;
        if (shape != 0) {
          EXPECT_GT(share, 0.3) << seed << " " << i << " " << j;
        }
      }
  }
  EXPECT_GT(static_cast<double>(named), 0.6 * static_cast<double>(shown));  // not the outline's cells
}

TEST(SceneLabels, NameWhatIsTooSmallToHoldTheMiddleOfACell) {
  WorldScene scene{{{}}, 0};
  auto& object = scene.objects[0];
  object.motion = world_index(world_motions(), "pulsing");
  object.size = world_index(world_sizes(), "small");
  for (const double phase : {0.0, 0.25, 0.5, 0.75}) {  // at the origin four cells meet
    object.phase = phase;
    const auto labels = scene_labels(clip_of(scene, 17, 48, 80), {8, 5, 10, 6}, 4)[0].flatten(1).amax(1);
    EXPECT_TRUE(labels.eq(object.shape + 1).all().item<bool>()) << phase;
  }
}

TEST(SceneLabels, FollowTheObject) {
  WorldScene scene{{{}}, 0};
  scene.objects[0].motion = world_index(world_motions(), "moving right");
  const auto labels = scene_labels(clip_of(scene, 17, 64, 64), {8, 5, 8, 8}, 4)[0].gt(0).to(at::kFloat);
  const auto columns = at::arange(8, at::kFloat);
  double before = -1;
  for (int64_t t = 1; t < 4; ++t) {  // 0.3 units, 2.4 columns, from one latent frame to the next; in the last
                                     // it wraps around
    const double column = ((labels[t].sum(0) * columns).sum() / labels[t].sum()).item<double>();
    EXPECT_GT(column, before + (t > 1 ? 1 : 0)) << t;
    before = column;
  }
}

TEST(SceneLabels, AreOfTheMiddleOfTheFramesThatALatentFrameStandsFor) {
  WorldScene scene{{{}}, 0};
  scene.objects[0].motion = world_index(world_motions(), "moving right");
  const auto clip = clip_of(scene, 17, 64, 64);
  const auto of_frame = scene_labels(clip, {8, 17, 8, 8}, 1);
  struct Case {
    int64_t ratio, latent_frames, frame;  // frame: of the clip, for latent frame 2
  };
  for (const auto& [ratio, latent_frames, frame] : {Case{2, 9, 4}, Case{4, 5, 7}, Case{8, 3, 13}}) {
    const auto labels = scene_labels(clip, {8, latent_frames, 8, 8}, ratio);
    EXPECT_TRUE(labels.select(1, 0).equal(of_frame.select(1, 0))) << ratio;
    EXPECT_TRUE(labels.select(1, 2).equal(of_frame.select(1, frame))) << ratio;
    EXPECT_FALSE(labels.select(1, 2).equal(of_frame.select(1, 0))) << ratio;
  }
}

TEST(SceneLabels, TellHowFarAShapeHasTurned) {
  WorldScene scene{{{}}, 0};
  auto& object = scene.objects[0];
  object.motion = world_index(world_motions(), "spinning");
  const auto turns = [&](const std::string& shape, double phase) {
    object.shape = world_index(world_shapes(), shape);
    object.phase = phase;
    const auto labels = scene_labels(clip_of(scene, 17, 64, 64), {8, 5, 8, 8}, 4)[3];
    std::vector<int64_t> found;
    for (int64_t t = 0; t < 5; ++t) found.push_back(labels[t].max().item<int64_t>());
    return found;
  };
  // Half a turn a second, seen at frames 0, 3, 7, 11 and 15: 0, 67.5, 157.5, 247.5 and 337.5 degrees and what
  // the phase adds.
  EXPECT_EQ(turns("heart", 0.01), (std::vector<int64_t>{1, 2, 4, 6, 8}));
  EXPECT_EQ(turns("square", 0.01), (std::vector<int64_t>{1, 7, 7, 7, 7}));  // looks the same after 90
  EXPECT_EQ(turns("star", 0.01), (std::vector<int64_t>{1, 8, 2, 4, 6}));    // after 72
}

TEST(SceneLabels, NameTheHalfOfTheLongerSide) {
  WorldScene scene{{{}}, 0};
  const auto tall = scene_labels(clip_of(scene, 1, 48, 80), {8, 1, 10, 6}, 4)[4][0];
  EXPECT_TRUE(tall.slice(0, 0, 5).eq(1).all().item<bool>() && tall.slice(0, 5, 10).eq(2).all().item<bool>());
}

TEST(WordLabels, StandAtTheWordForTheColour) {
  const test::TemporaryFolder folder;
  const auto captions = make_world_source({{64, 64}}, {})->training_captions(3);
  write_tokenizer(folder / "words",
                  train_tokenizer({captions.begin(), captions.begin() + 2000}, std::nullopt, ""));
  write_tokenizer(folder / "characters", train_tokenizer({"acdeghilnorsuvyt bq"}, std::nullopt, ""));
  WorldObject star, ring;
  star.shape = world_index(world_shapes(), "star"), star.colour = world_index(world_colours(), "red");
  star.motion = world_index(world_motions(), "spinning"), star.size = 0;
  ring.shape = world_index(world_shapes(), "ring"), ring.colour = world_index(world_colours(), "cyan");
  ring.motion = world_index(world_motions(), "standing still"), ring.size = 1;
  const auto expected = [](const WorldObject& object, int order) {
    return at::tensor({object.shape + 1, object.motion + 1, object.size + 1, order},
                      at::TensorOptions(at::kByte));
  };
  const std::string caption = "a small red star spinning and a cyan ring standing still";
  for (const std::string name : {"words", "characters"}) {
    const auto tokenizer = load_t5_tokenizer(folder / name);
    const auto ids = tokenizer->encode(caption, 100).ids;
    const auto labels = word_labels({star, ring}, ids, *tokenizer);
    ASSERT_EQ(labels.sizes(), (std::vector<int64_t>{static_cast<int64_t>(ids.size()), kWordLabels})) << name;
    EXPECT_EQ(labels.select(1, 0).count_nonzero().item<int64_t>(), 2) << name;
    const auto places = labels.select(1, 0).nonzero().flatten();
    EXPECT_TRUE(labels[places[0].item<int64_t>()].equal(expected(star, 2))) << name;
    EXPECT_TRUE(labels[places[1].item<int64_t>()].equal(expected(ring, 3))) << name;
    if (name != "words") continue;
    EXPECT_EQ(places[0].item<int64_t>(), 2);
    EXPECT_EQ(places[1].item<int64_t>(), 7);
  }
  const auto tokenizer = load_t5_tokenizer(folder / "words");
  const auto alone = tokenizer->encode("a small red star spinning", 100).ids;
  EXPECT_TRUE(word_labels({star}, alone, *tokenizer)[2].equal(expected(star, 1)));
  const auto cut = tokenizer->encode(caption, 6).ids;  // ends before the second colour
  EXPECT_EQ(word_labels({star, ring}, cut, *tokenizer).select(1, 0).count_nonzero().item<int64_t>(), 1);
}

TEST(SceneHelper, LearnsLabelsThatTheTokensHold) {
  const auto kind = at::arange(64, at::kLong).remainder(9).view({-1, 1});
  const auto labels = at::cat({kind.repeat({1, kSceneLabels - 1}), kind.remainder(3)}, 1);
  const auto tokens = at::one_hot(kind.squeeze(1), 16).to(at::kFloat);
  const auto set = ParameterSet::initialise(scene_helper_parameters(16, 8), 1);
  const auto loss = [&] {
    return scene_helper_loss(tokens, set.list()[0].value, set.list()[1].value, labels);
  };
  EXPECT_NEAR(loss().item<double>(), 64 * (3 * std::log(9) + std::log(11) + std::log(3)),
              64 * kSceneLabels * 0.5);
  for (int step = 0; step < 200; ++step) {
    (loss() / 64).backward();
    for (int64_t i = 0; i < 2; ++i) {
      auto parameter = set.values()[static_cast<std::size_t>(i)];
      parameter.detach().sub_(parameter.grad(), 0.5);
      parameter.mutable_grad() = at::Tensor();
    }
  }
  EXPECT_LT(loss().item<double>(), 64 * kSceneLabels * 0.03);
}

}  // namespace
}  // namespace t2v
