#include <algorithm>
#include <array>

#include "pipeline/components.h"
#include "schedulers/scheduler.h"
#include "t2v/error.h"
#include "train/run/setup.h"

namespace t2v {

namespace {

[[noreturn]] void refuse(const RunSetup& setup, const std::string& what) {
  throw Error(ErrorKind::usage, setup.path + ": " + what);
}

void check_frames(const RunSetup& setup, int64_t frames, const char* key) {
  const int64_t ratio = setup.model().vae().temporal_ratio;
  if ((frames - 1) % ratio != 0)
    refuse(setup, std::string(key) + " should be 1 + " + std::to_string(ratio) + "·k frames, found " +
                      std::to_string(frames));
}

void check_kind(const RunSetup& setup, const VaeClipKind& kind, const std::array<int64_t, 2>& smallest) {
  check_frames(setup, kind.frames, "'frames' of 'clips'");
  const auto ratio = setup.model().vae().spatial_ratio;
  const auto size = std::to_string(kind.width) + "x" + std::to_string(kind.height);
  if (kind.crop && (kind.width > smallest[0] || kind.height > smallest[1] || kind.width % ratio != 0 ||
                    kind.height % ratio != 0))
    refuse(setup, "crops of " + size + " should be multiples of " + std::to_string(ratio) +
                      " and fit into clips of every size, so at most " + std::to_string(smallest[0]) + "x" +
                      std::to_string(smallest[1]));
  const std::array<int64_t, 2> whole = {kind.width, kind.height};
  if (!kind.crop &&
      std::find(setup.config.sizes.begin(), setup.config.sizes.end(), whole) == setup.config.sizes.end())
    refuse(setup, "clips of " + size + " that are no crops should have a size listed in 'sizes'");
}

void check_reader(const RunSetup& setup) {
  if (setup.config.data || setup.config.world_number != 2)
    refuse(setup, "a reader's stage needs 'world' 2 and no 'data': it reads its renderings");
  for (const auto& [width, height] : setup.config.sizes)
    if (width % kReaderCell != 0 || height % kReaderCell != 0)
      refuse(setup, "a reader's 'sizes' should be multiples of " + std::to_string(kReaderCell));
}

void check_sizes(const RunSetup& setup) {
  const auto multiple = size_multiple(setup.model());
  auto smallest = setup.config.sizes.front();
  for (const auto& [width, height] : setup.config.sizes) {
    if (width < multiple || height < multiple || width % multiple != 0 || height % multiple != 0)
      refuse(setup, "size " + std::to_string(width) + "x" + std::to_string(height) +
                        " should be multiples of " + std::to_string(multiple));
    smallest = {std::min(smallest[0], width), std::min(smallest[1], height)};
  }
  for (const auto& stage : setup.config.stages) {
    if (stage.kind == StageKind::reader) check_reader(setup);
    if (!trains_vae(stage)) continue;
    for (const auto& kind : stage.vae.kinds) check_kind(setup, kind, smallest);
    if (stage.vae.evaluation_frames > 0)
      check_frames(setup, stage.vae.evaluation_frames, "'evaluation_frames'");
  }
}

void check_fits_lane(const RunSetup& setup, int64_t width, int64_t height, int64_t frames,
                     int64_t tokens_per_lane) {
  const int64_t tokens = token_grid(setup.model().vae().latent_shape(frames, width, height),
                                    setup.model().patch_size())
                             .count();
  if (tokens > tokens_per_lane)
    refuse(setup, std::to_string(frames) + " frames of " + std::to_string(width) + "x" +
                      std::to_string(height) + " are " + std::to_string(tokens) +
                      " tokens; 'tokens_per_lane' is " + std::to_string(tokens_per_lane) +
                      " and should be at least as many");
}

void check_judging(const RunSetup& setup, const StageConfig& stage) {
  const auto options = judging_of(setup, stage);
  check_adherence(options);
  make_scheduler(default_scheduler(setup.configs), setup.configs.scheduler,
                 {.steps = *setup.configs.defaults.steps});
  if (setup.settings.fps.value_or(kWorldFps) != kWorldFps)
    refuse(setup,
           "'adherence_prompts' judges clips of the procedural world, which have 8 frames per second; "
           "the model's fps is another");
}

void check_stages(const RunSetup& setup, int64_t processes) {
  const bool draws_world_1 = !setup.config.data && setup.config.world_number == 1;
  for (const auto& stage : setup.config.stages) {
    const bool denoiser = stage.kind == StageKind::denoiser;
    const auto lanes = denoiser            ? stage.denoiser.lanes
                       : trains_vae(stage) ? stage.vae.lanes
                                           : stage.reader.lanes;
    if (lanes < processes)
      refuse(setup, std::to_string(processes) + " processes share " + std::to_string(lanes) +
                        " lanes; 'lanes' should be at least as many in every stage");
    if (!denoiser) continue;
    if (setup.model().predicts_variance())
      refuse(setup,
             "the model's network predicts a variance beside its prediction, which t2v does not train");
    if (!draws_world_1 && stage.denoiser.helper_weight > 0)
      refuse(setup,
             "'helper_weight' needs scenes of world 1; with 'data' or 'world' 2 "
             "it should be 0");
    if (!setup.config.data && setup.config.world_number == 2 && stage.adherence_prompts > 0)
      refuse(setup,
             "'adherence_prompts' judges clips of world 1; with 'world' 2 it "
             "should be 0");
    check_frames(setup, stage.cached_frames, "'cached_frames'");
    for (const auto& length : stage.denoiser.lengths)
      check_frames(setup, length.frames, "'frames' of 'lengths'");
    if (!setup.config.data && setup.config.book.cuts > 0)
      refuse(setup,
             "'cuts_share' should be 0 with a denoiser's stage: clips are cut "
             "from longer ones, whose captions would tell of shots that are gone");
    for (const auto& [width, height] : setup.config.sizes)
      for (const auto& length : stage.denoiser.lengths)
        check_fits_lane(setup, width, height, length.frames, stage.denoiser.tokens_per_lane);
    if (judges(setup, stage)) check_judging(setup, stage);
  }
}

}  // namespace

void check_run(const RunSetup& setup, int64_t processes) {
  check_sizes(setup);
  check_stages(setup, processes);
}

}  // namespace t2v
