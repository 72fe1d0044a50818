#include "pipeline/plan/plan_conditions.h"

#include <algorithm>
#include <charconv>
#include <cmath>

#include "base/json.h"
#include "pipeline/plan/plan_parts.h"
#include "t2v/error.h"

namespace t2v {

namespace {

// "1.0-2.5" → seconds from, to.
std::pair<double, double> parse_missing(const std::string& text) {
  double from = 0, to = 0;
  const char *begin = text.data(), *end = begin + text.size();
  const auto first = std::from_chars(begin, end, from);
  if (first.ec == std::errc() && first.ptr != end && *first.ptr == '-') {
    const auto second = std::from_chars(first.ptr + 1, end, to);
    if (second.ec == std::errc() && second.ptr == end && from >= 0 && to > from && std::isfinite(to))
      return {from, to};
  }
  refuse("--missing should be seconds from and to, as 1.0-2.5, found '" + text + "'");
}

int64_t down_to_multiple(int64_t value, int64_t multiple) { return value / multiple * multiple; }

// Lengths are counted in steps of the model: a beginning has 1 + ratio·k frames, all that follows ratio·k.
class TaskPlan {
 public:
  TaskPlan(GenerationPlan& plan, const ModelConfigs& configs, const Sources& sources,
           std::optional<int64_t> wanted)
      : plan_(plan), request_(plan.settings), sources_(sources), wanted_(wanted) {
    ratio_ = configs.model->vae().frame_step();
    hold_ = configs.model->vae().temporal_ratio - 1;
    overlap_ = request_.overlap.value_or(1 + ratio_);
    length_ = *configs.defaults.frames;
  }

  void make() {
    if (request_.extend) {
      request_.backward.value_or(false) ? come_before(*request_.extend) : go_on_from(*request_.extend);
    } else if (request_.connect) {
      connect(request_.connect->at(0), request_.connect->at(1));
    } else if (request_.fill) {
      fill(*request_.fill);
    } else if (request_.edit) {
      const double otherwise = request_.mask || request_.outpaint || plan_.reads_control ? 1.0 : 0.6;
      edit(*request_.edit, request_.strength.value_or(otherwise));
    } else if (request_.control) {
      edit(*request_.control, 1);
    } else {
      from_pictures();
    }
  }

 private:
  int64_t frames_of(const std::string& source) const { return sources_.at(source).frames; }
  void add(const std::string& source, int64_t from, int64_t frames, int64_t at, int64_t hold = 0,
           double strength = 0) {
    plan_.conditions.push_back(
        {.source = source, .from = from, .frames = frames, .at = at, .hold = hold, .strength = strength});
  }
  // Known frames at the beginning of the clip, of so many that are there.
  int64_t head(int64_t there) const { return down_to_multiple(std::min(overlap_, there) - 1, ratio_) + 1; }
  // At its end.
  int64_t tail(int64_t there) const { return down_to_multiple(std::min(overlap_, there), ratio_); }
  int64_t tail_of(const std::string& source, int64_t there) const {
    const auto frames = std::max(tail(there), std::min(ratio_, there));
    if (frames < ratio_)
      refuse(source + ": has " + std::to_string(there) + " frames there at " + Json(plan_.fps).dump() +
             " frames per second; the model needs " + std::to_string(ratio_) + " to end with");
    return frames;
  }
  // So many new frames, where other ones come before them.
  int64_t new_frames(int64_t known) const {
    const auto wanted = wanted_.value_or(std::max(ratio_, length_ - known));
    const auto made = std::max(ratio_, down_to_multiple(wanted, ratio_));
    if (made != wanted && wanted_) note_rounded(wanted, made, "multiples of " + std::to_string(ratio_));
    return made;
  }
  void note_rounded(int64_t wanted, int64_t made, const std::string& what) const {
    plan_.notes.push_back(std::to_string(wanted) + " frames became " + std::to_string(made) +
                          ": the model makes " + what);
  }
  // The same, where they begin the clip.
  int64_t first_frames(int64_t known) const {
    const auto wanted = wanted_.value_or(std::max<int64_t>(1, length_ - known));
    const auto made = round_frames(wanted, ratio_);
    if (made != wanted && wanted_) note_rounded(wanted, made, "1 + " + std::to_string(ratio_) + "·k");
    return made;
  }

  void from_pictures() {
    plan_.frames = first_frames(0);
    if (request_.image) add(*request_.image, 0, 1, 0);
    if (!request_.last_image) return;
    if (plan_.frames < 1 + ratio_)
      refuse("--last-image: a clip of one frame has no other last one; ask for --frames " +
             std::to_string(1 + ratio_) + " or more");
    add(*request_.last_image, 0, 1, plan_.frames - 1, hold_);
  }

  void go_on_from(const std::string& video) {
    const auto count = frames_of(video), known = head(count);
    plan_.frames = known + new_frames(known);
    add(video, 0, count, known - count);
  }

  void come_before(const std::string& video) {
    const auto count = frames_of(video), known = tail_of(video, count), made = first_frames(known);
    plan_.frames = made + known;
    add(video, 0, count, made);
  }

  void connect(const std::string& from, const std::string& to) {
    const auto before = frames_of(from), after = frames_of(to);
    const auto begin = head(before), end = tail_of(to, after);
    plan_.frames = begin + new_frames(begin + end) + end;
    add(from, 0, before, begin - before);
    add(to, 0, after, plan_.frames - end);
  }

  void fill(const std::string& video) {
    const auto [from, to] = parse_missing(*request_.missing);
    const auto count = frames_of(video);
    const auto begin = std::llround(from * plan_.fps), end = std::llround(to * plan_.fps);
    if (begin >= end)
      refuse("--missing " + *request_.missing + ": is less than a frame at " + Json(plan_.fps).dump() +
             " frames per second");
    if (end > count)
      refuse("--missing " + *request_.missing + ": " + video + " has " + std::to_string(count) + " frames, " +
             Json(static_cast<double>(count) / plan_.fps).dump() + " s, at " + Json(plan_.fps).dump() +
             " frames per second");
    if (begin == 0)
      refuse("--missing " + *request_.missing + ": begins with the video; use --extend --backward");
    if (end == count)
      refuse("--missing " + *request_.missing + ": ends with the video; use --extend on what is before");
    if (wanted_)
      plan_.notes.push_back("--fill keeps the video's length: how long the clip is to be is left aside");
    const auto known = head(begin), gap = up_to_multiple(end - begin, ratio_);
    const auto known_after = tail_of(video, std::max<int64_t>(0, count - begin - gap));
    plan_.frames = known + gap + known_after;
    add(video, 0, begin, known - begin);
    add(video, end, count - end, known + end - begin);
  }

  void edit(const std::string& source, double strength) {
    const auto& info = sources_.at(source);
    const auto there = info.is_video ? info.frames : wanted_.value_or(1);
    const auto wanted = std::min(there, wanted_.value_or(there));
    plan_.frames = round_frames(wanted, ratio_);
    if (plan_.frames > wanted) plan_.frames -= ratio_;
    if (wanted_.value_or(0) > there && info.is_video)
      plan_.notes.push_back(source + ": has no more than " + std::to_string(there) + " frames to be edited");
    if (plan_.frames != there)
      plan_.notes.push_back("the first " + std::to_string(plan_.frames) + " of " + std::to_string(there) +
                            " frames of " + source + " are edited: the model makes 1 + " +
                            std::to_string(ratio_) + "·k");
    if (!(strength > 0 && strength <= 1))
      refuse("--strength should be above 0 and at most 1 (1 is all new), found " + Json(strength).dump());
    add(source, 0, plan_.frames, 0, 0, strength);
    if (request_.outpaint) outpaint(info.size);
  }

  // Where the source is when it has become as large as fits into the clip.
  void outpaint(PixelSize source) {
    const auto width = std::min(plan_.width, plan_.height * source.width / source.height);
    const auto height = std::min(plan_.height, plan_.width * source.height / source.width);
    if (width == plan_.width && height == plan_.height)
      refuse("--outpaint: a clip of " + std::to_string(width) + "x" + std::to_string(height) +
             " has the video's own shape; ask for another one");
    // Scaling mixes two pixels at the seam with what is around.
    const auto margin = [](int64_t whole, int64_t part) {
      return part < whole ? (whole - part + 1) / 2 + 2 : 0;
    };
    const auto left = margin(plan_.width, width), top = margin(plan_.height, height);
    if (2 * left >= plan_.width || 2 * top >= plan_.height)
      refuse("--outpaint: nothing of the video would be left in a clip of " + std::to_string(plan_.width) +
             "x" + std::to_string(plan_.height));
    plan_.inside = {left, top, plan_.width - left, plan_.height - top};
  }

  GenerationPlan& plan_;
  const GenerationRequest& request_;
  const Sources& sources_;
  std::optional<int64_t> wanted_;
  int64_t ratio_ = 1, hold_ = 0, overlap_ = 1, length_ = 1;
};

}  // namespace

bool has_task(const GenerationRequest& request) {
  std::string first;
  for (const auto& [given, flag] : {std::pair{request.storyboard.has_value(), "--storyboard"},
                                    {request.image || request.last_image, "--image or --last-image"},
                                    {request.extend.has_value(), "--extend"},
                                    {request.connect.has_value(), "--connect"},
                                    {request.fill.has_value(), "--fill"},
                                    {request.edit.has_value(), "--edit"},
                                    {request.control.has_value(), "--control"}}) {
    if (!given) continue;
    if (!first.empty()) refuse(first + " and " + flag + " are two tasks; leave out one");
    first = flag;
  }
  if (request.loop.value_or(false) && !first.empty())
    refuse(first + " and --loop are two tasks; leave out one");
  const auto belongs = [](bool given, bool wanted, const char* flag, const char* to) {
    if (given && !wanted) refuse(std::string(flag) + " belongs to " + to);
  };
  belongs(request.backward.value_or(false), request.extend.has_value(), "--backward", "--extend");
  belongs(request.missing.has_value(), request.fill.has_value(), "--missing", "--fill");
  belongs(request.mask.has_value(), request.edit.has_value(), "--mask", "--edit");
  belongs(request.outpaint.has_value(), request.edit.has_value(), "--outpaint", "--edit");
  belongs(request.blend.has_value(), request.extend || request.connect || request.fill, "--blend",
          "--extend, --connect and --fill");
  if (request.outpaint && request.fit)
    refuse("--outpaint puts the whole video into the middle; leave out --fit");
  belongs(request.strength.has_value(), request.edit.has_value(), "--strength", "--edit");
  belongs(request.fit.has_value(), !first.empty(), "--fit", "a picture or video");
  if (request.storyboard && (request.seconds || request.frames))
    refuse("--storyboard says how long the clip is; leave out --seconds and --frames");
  if (request.fill && !request.missing)
    refuse("--fill needs --missing, the seconds to be made anew: 1.0-2.5");
  if (request.connect && request.connect->size() != 2)
    refuse("--connect should be given twice, for the video before and the one after; found " +
           std::to_string(request.connect->size()));
  return !first.empty();
}

std::vector<std::string> sources_of(const GenerationRequest& request,
                                    const std::optional<Storyboard>& storyboard) {
  std::vector<std::string> files;
  for (const auto* file : {&request.image, &request.last_image, &request.extend, &request.fill, &request.edit,
                           &request.control, &request.mask})
    if (*file) files.push_back(**file);
  if (request.connect) files.insert(files.end(), request.connect->begin(), request.connect->end());
  if (storyboard)
    for (const auto& pin : storyboard->pins) files.push_back(pin.source);
  return files;
}

void require_pictures(const GenerationRequest& request, const PictureInputs& inputs) {
  for (const auto& [given, flag] : {std::pair{request.storyboard.has_value(), "--storyboard"},
                                    {request.extend.has_value(), "--extend"},
                                    {request.connect.has_value(), "--connect"},
                                    {request.fill.has_value(), "--fill"},
                                    {request.edit.has_value(), "--edit"}})
    if (given)
      refuse(std::string(flag) +
             " needs a text-to-video model; this one reads the picture that a clip begins "
             "with: --image");
  if (!request.image) refuse("this model sets a picture in motion: --image FILE is needed");
  if (inputs.needs_last && !request.last_image)
    refuse("this model reads the pictures that a clip begins and ends with: --last-image FILE is needed");
  if (request.last_image && !inputs.takes_last)
    refuse("--last-image: this model reads the picture that a clip begins with alone");
}

void plan_conditions(GenerationPlan& plan, const ModelConfigs& configs, const Sources& sources,
                     std::optional<int64_t> wanted) {
  TaskPlan(plan, configs, sources, wanted).make();
  const auto ratio = configs.model->vae().frame_step();
  if (const auto blend = plan.settings.blend.value_or(0); blend < 0 || blend >= ratio)
    refuse("--blend should be 0 to " + std::to_string(ratio - 1) + " frames, found " + std::to_string(blend));
}

void plan_pins(GenerationPlan& plan, const Storyboard& storyboard, const Model& model,
               const Sources& sources) {
  const auto ratio = model.vae().temporal_ratio;
  int64_t end = 0;  // of the pin before
  for (const auto& pin : storyboard.pins) {
    const auto there = pin.is_clip ? sources.at(pin.source).frames : 1;
    const auto frames = std::min(there, plan.frames - pin.at);
    if (pin.at < end) refuse(pin.place + ": is there while the pin before it still is");
    if (frames < there)
      plan.notes.push_back(pin.source + ": its first " + std::to_string(frames) + " of " +
                           std::to_string(there) + " frames are before the clip's end");
    end = pin.at + frames;
    Condition condition{.source = pin.source, .frames = frames, .at = pin.at};
    // A single frame fills the latent that it is in.
    for (const auto& window : plan.windows) {
      const auto place = pin.at - window.begin;
      if (frames > 1 || place < std::max<int64_t>(1, window.context) || place >= window.kept) continue;
      condition.hold = (place - 1) % ratio;
      condition.linger = std::min(ratio - 1 - condition.hold, window.kept - 1 - place);
    }
    plan.conditions.push_back(std::move(condition));
  }
}

void plan_sources(GenerationPlan& plan, const std::vector<std::string>& files, const Sources& sources) {
  plan.fit = plan.settings.fit.value_or(plan.inside ? "pad" : "crop");
  parse_fit(plan.fit);
  if (!plan.inside) plan.settings.fit = plan.fit;
  const auto& task = plan.settings;
  for (const auto& file : files) {
    const auto& info = sources.at(file);
    const bool is_mask = file == task.mask;
    plan.sources[file] = info.hash;
    for (const auto& note : info.notes)
      if (!is_mask || note != transparency_note) plan.notes.push_back(file + ": " + note);
    if (is_mask && info.is_transparent) {
      plan.mask_is_alpha = true;
      plan.notes.push_back(file + ": what is transparent is made anew, and the rest is kept");
    }
    if (is_mask && info.is_video && info.frames != plan.frames)
      plan.notes.push_back(file + (info.frames < plan.frames ? ": its last frame holds to the clip's end"
                                                             : ": goes on beyond the clip's end"));
    const bool is_kept = task.extend || task.connect || task.fill || task.edit;
    if (info.has_sound && (!is_kept || is_mask))
      plan.notes.push_back(file + ": has sound, which is left out");
    const auto size = std::to_string(info.size.width) + "x" + std::to_string(info.size.height);
    const auto made = std::to_string(plan.width) + "x" + std::to_string(plan.height);
    if (size != made || info.is_video)
      plan.notes.push_back(
          file + ": " + size + (size == made ? "" : " became " + made + " (" + plan.fit + ")") +
          (info.is_video
               ? ", " + std::to_string(info.frames) + " frames at " + Json(plan.fps).dump() + " per second"
               : ""));
  }
  if (!files.empty() && !plan.levels_per_token && !plan.reads_pictures && !plan.reads_control)
    plan.notes.push_back(
        "this model has one noise level for all frames: what is known is noised with the rest (RePaint)");
}

}  // namespace t2v
