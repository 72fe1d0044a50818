#include "train/tasks/reader_task.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>

#include "world/book/evaluate.h"

namespace t2v {

namespace {

// As what an autoencoder gives back: less detail, and brightness that is off by a little here and there.
at::Tensor soften(const at::Tensor& frames, WorldRandom& random) {
  const auto each = frames.transpose(0, 1);  // [T, 3, H, W]
  const double smaller = random.uniform(0.4, 0.9);
  const auto side = [&](int64_t n) {
    return std::max<int64_t>(8, std::llround(smaller * static_cast<double>(n)));
  };
  const std::array<int64_t, 2> small = {side(each.size(2)), side(each.size(3))},
                               full = {each.size(2), each.size(3)};
  auto y = at::upsample_bilinear2d(at::upsample_bilinear2d(each, small, false), full, false);
  auto spots = at::empty({each.size(0), 3, 4, 4}, at::TensorOptions(at::kFloat));
  auto* values = spots.data_ptr<float>();
  const double most = random.uniform(0, 0.12);
  for (int64_t i = 0; i < spots.numel(); ++i) values[i] = static_cast<float>(random.uniform(-most, most));
  y = y + at::upsample_bilinear2d(spots, full, false);
  return y.clamp(-1, 1).transpose(0, 1).contiguous();
}

}  // namespace

at::Tensor reader_labels(const BookShot& shot, int64_t width, int64_t height) {
  const int64_t step = reader_frame_step(shot.frames), frames = (shot.frames + step - 1) / step;
  const int64_t rows = height / kReaderCell, columns = width / kReaderCell;
  auto labels = at::zeros({frames, rows, columns}, at::TensorOptions(at::kLong));
  auto* out = labels.data_ptr<int64_t>();
  const auto poses = book_poses(shot, width, height);
  for (std::size_t k = 0; k < shot.things.size(); ++k)
    for (int64_t t = 0; t < frames; ++t) {
      const auto& pose = poses[k][static_cast<std::size_t>(t * step)];
      for (int64_t row = 0; row < rows; ++row)
        for (int64_t column = 0; column < columns; ++column) {
          const double dx = (static_cast<double>(column) + 0.5) * kReaderCell - pose.x,
                       dy = (static_cast<double>(row) + 0.5) * kReaderCell - pose.y;
          const double distance = std::sqrt(dx * dx + dy * dy) / pose.size;
          auto& label = out[(t * rows + row) * columns + column];
          if (distance < 0.34)
            label = 1 + shot.things[k].noun;
          else if (distance < 0.62 && label == 0)
            label = -1;
        }
    }
  return labels;
}

TensorShapes reader_shapes(const BookReaderConfig& config) {
  auto meta = Weights::meta();
  const BookReader reader(config, meta.root());
  return meta.asked();
}

ReaderTask::ReaderTask(const ReaderTaskConfig& config)
    : config_(config), batches_(config.drawing_threads, [this](int64_t step, int64_t lane) {
        return make_batch(step, lane);
      }) {}

void ReaderTask::begin_step(int64_t step, double, Workers&) { step_ = step; }

ReaderTask::Batch ReaderTask::make_batch(int64_t step, int64_t lane) const {
  WorldRandom random(config_.seed, static_cast<uint64_t>(step * config_.lanes + lane) + (uint64_t{1} << 41));
  const auto [width, height] = config_.sizes[random.index(config_.sizes.size())];
  const int64_t length = config_.frames[random.index(config_.frames.size())];
  const int64_t clips = std::max<int64_t>(1, config_.pixels_per_lane / (width * height * length));
  std::vector<at::Tensor> frames, cells;
  std::vector<int64_t> nouns, motions, places, cameras;
  for (int64_t i = 0; i < clips; ++i) {
    const auto scene = sample_book_scene(random, WorldSide::training, length,
                                         {.two_things = config_.two_things, .cuts = 0});
    const auto& shot = scene.shots.front();
    auto clip = render_book(scene, width, height);
    if (random.uniform() < config_.softened_share) clip = soften(clip, random);
    frames.push_back(clip);
    cells.push_back(reader_labels(shot, width, height));
    for (const auto* thing : {&shot.things.front(), &shot.things.back()}) {
      nouns.push_back(thing->noun);
      motions.push_back(thing->motion);
    }
    places.push_back(shot.place);
    cameras.push_back(static_cast<int64_t>(shot.camera));
  }
  const auto numbers = [](const std::vector<int64_t>& values) {
    return at::tensor(values, at::TensorOptions(at::kLong));
  };
  return {
      at::stack(frames), at::stack(cells), numbers(nouns).view({clips, 2}), numbers(motions).view({clips, 2}),
      numbers(places),   numbers(cameras)};
}

LaneLoss ReaderTask::lane_loss(int64_t lane, const ParameterSet& replica) {
  const auto batch = batches_.take(step_, lane);
  const auto device = replica.device();
  auto weights = replica.weights();
  const BookReader reader(config_.network, weights.root());
  const auto sight = reader.look(batch.frames.to(device));

  const auto labels = batch.cells.to(device).unsqueeze(2);  // [B, T', 1, h, w]
  const auto loss_of_cells = -sight.nouns.gather(2, labels.clamp_min(0));
  const auto thing = labels.gt(0).to(at::kFloat), scenery = labels.eq(0).to(at::kFloat);
  const auto things = (loss_of_cells * thing).sum() / thing.sum().clamp_min(1);
  const auto rest = (loss_of_cells * scenery).sum() / scenery.sum().clamp_min(1);

  const auto entropy = [](const at::Tensor& logits, const at::Tensor& index) {
    return -at::log_softmax(logits, -1).gather(-1, index.unsqueeze(-1)).mean();
  };
  const auto right = [](const at::Tensor& logits, const at::Tensor& index) {
    return logits.detach().argmax(-1).eq(index).to(at::kFloat).mean();
  };
  const auto nouns = batch.nouns.to(device), motions = batch.motions.to(device);
  const auto place = batch.place.to(device), camera = batch.camera.to(device);
  const auto motion_logits = reader.motions(sight, nouns);
  const auto loss = things + rest + entropy(motion_logits, motions) + entropy(sight.place, place) +
                    entropy(sight.camera, camera);
  return {loss / static_cast<double>(config_.lanes),
          {{"loss", loss.detach()},
           {"weight", at::scalar_tensor(1)},
           {"things_loss", things.detach()},
           {"scenery_loss", rest.detach()},
           {"motions_right", right(motion_logits, motions)},
           {"places_right", right(sight.place, place)},
           {"cameras_right", right(sight.camera, camera)},
           {"clips", at::scalar_tensor(batch.frames.size(0))}}};
}

Metrics ReaderTask::evaluate(const ParameterSet& average) {
  auto weights = average.weights();
  const BookReader reader(config_.network, weights.root());
  BookEvaluation options;
  options.prompts = config_.evaluation_clips;
  options.seed = config_.seed;
  options.frames = config_.frames.back();
  options.sizes = config_.sizes;
  options.two_things = config_.two_things;
  const auto report = evaluate_book(reader, average.device(), options, [](int64_t) {});
  return {{"things", report.share(report.things)},
          {"motions", report.share(report.motions)},
          {"place", report.share(report.place)},
          {"camera", report.share(report.camera)},
          {"all", report.share(report.all)}};
}

}  // namespace t2v
