#include "pipeline/plan/plan_parts.h"

#include <filesystem>
#include <limits>
#include <random>

#include "base/atomic_file.h"
#include "base/file_status.h"
#include "pipeline/frames.h"
#include "pipeline/latents_file.h"
#include "pipeline/plan/output_template.h"
#include "video/write/encoder.h"

namespace t2v {

namespace fs = std::filesystem;

namespace {

// 53 bits, which every reader of JSON keeps: many hold numbers as doubles.
int64_t random_seed() {
  std::random_device random;
  const auto high = uint64_t{random()} << 32;
  return static_cast<int64_t>((high | random()) >> 11);
}

// The folder is made when the clip begins, with those above it.
void check_trace_folder(const fs::path& folder) {
  if (is_there(folder, ErrorKind::output) && !is_folder(folder, ErrorKind::output))
    throw Error(ErrorKind::output, folder.string() + ": is a file; --trace takes a folder");
  auto nearest = folder;
  while (!nearest.empty() && !is_there(nearest, ErrorKind::output)) nearest = nearest.parent_path();
  check_writable_folder(nearest);
}

// Whether a clip's file could be written. check_folder: of a file's folder.
void check_output(const GenerationPlan& plan, const PlannedClip& clip,
                  const std::function<void(const std::string&)>& check_folder) {
  check_output_name(encoder_options_of(plan, clip), plan.written_frames);
  if (clip.output != "-") check_folder(clip.output);
  if (plan.settings.sidecar.value_or(false)) check_name_length(clip.output + ".json");
  check_name_length(kept_latents_path(clip.output));
}

}  // namespace

void plan_outputs(GenerationPlan& plan, const GenerationRequest& request, std::set<std::string>& writable) {
  const int64_t count = request.count.value_or(1);
  int64_t seed = request.seed ? *request.seed : random_seed();
  if (seed < 0) refuse("--seed should be 0 or more, found " + std::to_string(seed));
  if (seed > std::numeric_limits<int64_t>::max() - count)
    refuse("--seed " + std::to_string(seed) + " is too large to count up from");
  std::optional<std::string> output;
  if (!request.to_receiver) output = request.output.value_or("{prompt}-{seed}.mp4");
  for (const auto& [pattern, flag] :
       {std::pair{output, "--output"}, std::pair{request.save_latents, "--save-latents"},
        std::pair{request.trace, "--trace"}})
    if (count > 1 && pattern && !distinguishes_clips(*pattern))
      refuse(std::string(flag) + " '" + *pattern + "' would be written " + std::to_string(count) +
             " times; add {index} or {seed}");
  if (request.init_latents && count > 1)
    refuse("--init-latents fixes the noise of one clip; leave out --count");
  const auto check_folder = [&](const std::string& file) {
    const auto folder = resolve_link(file).parent_path();
    if (writable.contains(folder.string())) return;
    check_writable_folder(folder);
    writable.insert(folder.string());
  };
  for (int64_t index = 0; index < count; ++index) {
    const OutputFields fields{index, seed + index, plan.prompt};
    const auto expand = [&](const std::optional<std::string>& pattern) {
      return pattern ? std::optional(expand_output(*pattern, fields)) : std::nullopt;
    };
    PlannedClip clip{fields.seed, expand(output).value_or(""), expand(request.save_latents),
                     expand(request.trace)};
    if (output) check_output(plan, clip, check_folder);
    if (clip.save_latents) {
      check_latents_name(*clip.save_latents, "--save-latents");
      check_writable_name(*clip.save_latents);
      check_folder(*clip.save_latents);
    }
    if (clip.trace) check_name_length(fs::path(*clip.trace) / "step_100000.safetensors");
    if (clip.trace) check_trace_folder(*clip.trace);
    plan.clips.push_back(std::move(clip));
  }
}

}  // namespace t2v
