#include "world/asked_clips.h"

#include <ATen/ATen.h>

#include <array>
#include <cstdio>

#include "base/json.h"
#include "pipeline/frames.h"
#include "t2v/error.h"
#include "video/write/encoder.h"
#include "world/world.h"

namespace t2v {

void require_world_fps(const ModelFolder& folder) {
  const auto fps = folder_settings(folder).fps;
  if (fps && *fps != kWorldFps)
    throw Error(ErrorKind::bad_input,
                (folder.root / "t2v.json").string() + ": fps is " + Json(*fps).dump() +
                    "; clips of the procedural world have 8 frames per second, and only such can be judged");
}

GenerationRequest request_for(GenerationRequest common, const AskedClip& clip) {
  auto request = std::move(common);
  request.prompt = clip.prompt;
  request.width = clip.size.width;
  request.height = clip.size.height;
  request.frames = clip.frames;
  request.fps = kWorldFps;
  request.seed = static_cast<int64_t>(clip.seed);
  request.to_receiver = true;
  return request;
}

GenerationPlan plan_asked_clip(Planner& planner, const GenerationRequest& request, const AskedClip& clip) {
  auto plan = planner.plan(request);
  if (PixelSize{plan.width, plan.height} != clip.size || plan.written_frames != clip.frames)
    throw Error(ErrorKind::usage, plan.notes.front() + "; ask for that, to be judged");
  plan.notes.clear();
  return plan;
}

void generate_asked_clips(const std::vector<GenerationPlan>& plans, Observer& observer,
                          const ClipReceiver& made) {
  std::vector<std::vector<at::Tensor>> parts(plans.size());
  const auto keep = [&](std::size_t plan, std::size_t, const FrameBlock& block) {
    if (block.first == 0) parts[plan].clear();
    const std::array<int64_t, 4> shape = {3, block.frames, block.height, block.width};
    parts[plan].push_back(at::from_blob(const_cast<float*>(block.values), shape).clone());
  };
  generate_all(
      plans, {}, observer,
      [&](const ClipOutcome& outcome) {
        if (outcome.error) throw Error(*outcome.error);
        made(outcome.plan, at::cat(parts[outcome.plan], 1));
        parts[outcome.plan].clear();
      },
      keep);
}

std::string clip_file_name(std::size_t index, int64_t frames) {
  char name[32];
  std::snprintf(name, sizeof name, "%05zu%s", index, frames == 1 ? ".png" : ".mp4");
  return name;
}

void keep_clip(const at::Tensor& clip, const std::string& caption, const std::filesystem::path& path) {
  const auto sink = open_encoder({.path = path.string(),
                                  .width = static_cast<int>(clip.size(3)),
                                  .height = static_cast<int>(clip.size(2)),
                                  .fps = to_rational(kWorldFps),
                                  .metadata = {{"title", caption}}});
  for (const auto& frame : to_frames(clip)) sink->write(frame);
  sink->finish();
}

}  // namespace t2v
