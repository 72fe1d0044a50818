#include "pipeline/run/conditions.h"

#include <ATen/ATen.h>

#include <algorithm>

#include "nn/picture_resampling.h"
#include "pipeline/frames.h"
#include "pipeline/source_frames.h"

namespace t2v {

namespace {

SourceFrames open_source(const GenerationPlan& plan, const Condition& condition, int64_t from) {
  return {condition.source, plan.fps, {plan.width, plan.height}, parse_fit(plan.fit), from};
}

Frame next_of(SourceFrames& source, const Condition& condition) {
  auto frame = source.next();
  if (!frame)
    throw Error(ErrorKind::bad_input, condition.source + ": has become shorter since it was looked at");
  return std::move(*frame);
}

at::Tensor as_float(const at::Tensor& bytes) { return bytes.to(at::kFloat).div_(127.5).sub_(1); }

// A mask's greys, 0 black (or opaque) to 255 white: uint8 [F, H, W]. A mask that is shorter than the clip
// goes on with its last frame.
at::Tensor read_mask(const GenerationPlan& plan) {
  SourceFrames source(*plan.settings.mask, plan.fps, {plan.width, plan.height}, parse_fit(plan.fit), 0,
                      plan.mask_is_alpha);
  const auto greys = at::empty({plan.frames, plan.height, plan.width}, at::kByte);
  at::Tensor last;
  for (int64_t i = 0; i < plan.frames; ++i) {
    if (const auto frame = source.next()) last = bytes_of(*frame).to(at::kFloat).mean(0).round();
    greys[i].copy_(last);
  }
  return greys;
}

at::Tensor as_tensor(const std::vector<bool>& values) {  // bool [n]
  const auto tensor = at::empty({static_cast<int64_t>(values.size())}, at::kBool);
  std::copy(values.begin(), values.end(), tensor.mutable_data_ptr<bool>());
  return tensor;
}

// Frames of which nothing is known look like the nearest one that is.
void hold_nearest(const at::Tensor& frames, const std::vector<bool>& there) {
  const auto count = static_cast<int64_t>(there.size());
  for (int64_t i = 0; i < count; ++i) {
    if (there[static_cast<std::size_t>(i)]) continue;
    int64_t nearest = -1;
    for (int64_t k = 0; k < count; ++k)
      if (there[static_cast<std::size_t>(k)] && (nearest < 0 || std::abs(k - i) < std::abs(nearest - i)))
        nearest = k;
    frames.select(1, i).copy_(frames.select(1, nearest));
  }
}

// Outpainting: all around the inside looks like its rim.
void spread_rim(at::Tensor& frames, const std::array<int64_t, 4>& inside) {
  const auto& [left, top, right, bottom] = inside;
  frames = frames.index_select(2, at::arange(frames.size(2)).clamp_(top, bottom - 1))
               .index_select(3, at::arange(frames.size(3)).clamp_(left, right - 1));
}

// Outpainting: bool [1, H, W], where the source is.
at::Tensor inside_of(const GenerationPlan& plan) {
  const auto& [left, top, right, bottom] = plan.inside.value();
  auto inside = at::zeros({1, plan.height, plan.width}, at::kBool);
  inside.slice(1, top, bottom).slice(2, left, right).fill_(true);
  return inside;
}

// Falls towards the frames that are made, over `blend` of those that are shown.
at::Tensor share_of(const at::Tensor& shown, int64_t blend) {
  const auto frames = shown.size(0);
  const auto made = shown.flatten(1).all(1).logical_not();
  auto share = at::ones({frames});
  for (int64_t d = 1; d <= blend; ++d) {  // made so near
    auto near = at::zeros({frames}, at::kBool);
    near.slice(0, d).logical_or_(made.slice(0, 0, frames - d));
    near.slice(0, 0, frames - d).logical_or_(made.slice(0, d));
    share = at::where(near, share.clamp_max(static_cast<double>(d) / static_cast<double>(blend + 1)), share);
  }
  return share.view({-1, 1, 1});
}

// The parts of a clip and of what lies beyond its ends, to one sink.
class SplicedClip : public ClipSink {
 public:
  SplicedClip(std::unique_ptr<ClipSink> sink, const GenerationPlan& plan, const ClipContent& content)
      : sink_(std::move(sink)), plan_(plan), content_(content) {}

  void finish() override {
    for (const auto& condition : plan_.conditions)
      hand_on(condition, plan_.frames, condition.at + condition.frames);
    sink_->finish();
  }
  int64_t written() const override { return sink_->written(); }

 protected:
  void take(const at::Tensor& frames) override {
    if (this->frames() == 0)
      for (const auto& condition : plan_.conditions) hand_on(condition, condition.at, 0);
    if (!content_.shown.defined()) return sink_->write(frames);
    const auto part = [&](const at::Tensor& x, int64_t dim) {
      return x.narrow(dim, this->frames(), frames.size(1));
    };
    const auto source = as_float(part(content_.frames, 1)).to(frames.device());
    const auto shown = part(content_.shown, 0).unsqueeze(0).to(frames.device());  // [1, t, H or 1, W or 1]
    const auto mixed = content_.share.defined()
                           ? at::lerp(frames, source,
                                      part(content_.share, 0).unsqueeze(0).to(frames.device()))
                           : source;
    sink_->write(at::where(shown, mixed, frames));
  }

 private:
  // Frames begin, …, end - 1 of the clip, as far as the condition has them.
  void hand_on(const Condition& condition, int64_t begin, int64_t end) {
    begin = std::max(begin, condition.at);
    end = std::min(end, condition.at + condition.frames);
    if (begin >= end) return;
    auto source = open_source(plan_, condition, condition.from + begin - condition.at);
    for (; begin < end; ++begin) sink_->write(from_frames({next_of(source, condition)}));
  }

  std::unique_ptr<ClipSink> sink_;
  const GenerationPlan& plan_;
  const ClipContent& content_;
};

// A reference picture as VACE reads it: float32 [3, H, W] in [-1, 1], as large as fits, in the middle of
// white. Source: diffusers pipeline_wan_vace.py, preprocess_conditions, and image_processor.py, which first
// cuts its sides to multiples of the autoencoder's ratio.
at::Tensor read_reference(const std::string& file, int64_t width, int64_t height, int64_t ratio) {
  const auto stored = read_picture(file);
  const auto whole = bytes_of(stored);
  const auto cut = [&](int64_t side) { return side / ratio * ratio; };
  if (cut(whole.size(1)) == 0 || cut(whole.size(2)) == 0)
    throw Error(ErrorKind::bad_input, file + ": is " + std::to_string(whole.size(2)) + "x" +
                                          std::to_string(whole.size(1)) + "; a reference has at least " +
                                          std::to_string(ratio) + " pixels a side");
  const auto pixels = resample_picture(whole, cut(whole.size(2)), cut(whole.size(1)),
                                       ResamplingFilter::lanczos);
  const auto picture = (pixels.to(at::kFloat) / 255) * 2 - 1;
  const auto scale = std::min(static_cast<double>(height) / static_cast<double>(picture.size(1)),
                              static_cast<double>(width) / static_cast<double>(picture.size(2)));
  const auto sized = [&](int64_t side) {
    return std::max<int64_t>(1, static_cast<int64_t>(static_cast<double>(side) * scale));
  };
  const auto h = sized(picture.size(1)), w = sized(picture.size(2));
  auto canvas = at::ones({3, height, width});
  canvas.narrow(1, (height - h) / 2, h)
      .narrow(2, (width - w) / 2, w)
      .copy_(at::upsample_bilinear2d(picture.unsqueeze(0), {h, w}, false)[0]);
  return canvas;
}

constexpr int middle_grey = 128;  // and what is lighter counts as white

// As a network with a control branch reads it.
ClipContent as_control(ClipContent content, const GenerationPlan& plan, const std::vector<bool>& there) {
  content.given = as_tensor(there);
  content.kept = content.kept.logical_and(content.given.view({-1, 1, 1}));
  if (plan.inside) content.kept = content.kept.logical_and(inside_of(plan));
  const auto anew = at::full({1, 1, 1}, 255, at::kByte);
  content.made = at::where(content.kept, plan.settings.mask ? read_mask(plan) : at::zeros_like(anew), anew);
  content.kept = content.shown = at::zeros_like(content.shown);
  return content;
}

}  // namespace

ClipContent read_content(const GenerationPlan& plan, int64_t spatial_ratio, Observer& observer) {
  if (plan.conditions.empty() && !plan.reads_control) return {};
  ClipContent content;
  content.frames = at::zeros({3, plan.frames, plan.height, plan.width}, at::kByte);
  content.kept = at::zeros({plan.frames, 1, 1}, at::kBool);
  content.shown = at::zeros({plan.frames, 1, 1}, at::kBool);
  std::vector<bool> there(static_cast<std::size_t>(plan.frames));
  for (const auto& condition : plan.conditions) {
    const auto begin = std::max<int64_t>(0, condition.at);
    const auto end = std::min(plan.frames, condition.at + condition.frames);
    if (begin >= end) continue;
    auto source = open_source(plan, condition, condition.from + begin - condition.at);
    for (auto i = begin; i < end; ++i) {
      observer.check_cancelled();
      content.frames.select(1, i).copy_(bytes_of(next_of(source, condition)));
      there[static_cast<std::size_t>(i)] = true;
    }
    if (plan.reads_pictures) continue;
    if (condition.strength > 0 && !plan.settings.mask && !plan.inside)
      continue;  // a beginning, of which nothing stays
    content.kept.slice(0, std::max<int64_t>(0, begin - condition.hold), end + condition.linger).fill_(true);
    content.shown.slice(0, begin, end).fill_(true);
  }
  if (plan.reads_pictures) {
    content.given = as_tensor(there);
    return content;
  }
  if (plan.reads_control) {
    for (const auto& file : plan.references)
      content.references.push_back(read_reference(file, plan.width, plan.height, spatial_ratio));
    return as_control(content, plan, there);
  }
  hold_nearest(content.frames, there);
  if (plan.inside) {
    spread_rim(content.frames, *plan.inside);
    const auto inside = inside_of(plan);
    content.kept = content.kept.logical_and(inside);
    content.shown = content.shown.logical_and(inside);
  }
  if (const auto blend = plan.settings.blend.value_or(0); blend > 0)
    content.share = share_of(content.shown, blend);
  if (plan.settings.mask) {
    const auto black = read_mask(plan).lt(middle_grey);
    content.kept = content.kept.logical_and(black);
    content.shown = content.shown.logical_and(black);
  }
  return content;
}

namespace {

// For each frame of a latent whether it is a picture, and the latents of the clip with grey for all other
// frames: [temporal_ratio + C, T, h, w]. Source: diffusers pipeline_wan_i2v.py, prepare_latents.
at::Tensor picture_condition(const VideoVae& vae, at::Device device, const ClipContent& content) {
  const auto given = content.given.view({1, -1, 1, 1});
  const auto frames = as_float(content.frames).masked_fill_(given.logical_not(), 0);
  const auto latents = vae.normalise(vae.encode(frames.to(device)).mean);
  // The first latent has one frame, which counts for all of its.
  const auto ratio = vae.spec().temporal_ratio;
  const auto mask = at::cat({content.given.slice(0, 0, 1).expand({ratio}), content.given.slice(0, 1)})
                        .view({latents.size(1), ratio})
                        .t()
                        .to(latents.options())
                        .view({ratio, -1, 1, 1})
                        .expand({ratio, latents.size(1), latents.size(2), latents.size(3)});
  return at::cat({mask, latents});
}

// The latents of what is kept, those of what is made anew, told apart at middle grey, and how much of each
// pixel of a latent is: [2·C + r·r, T, h, w] with r pixels to a latent on each axis. Source: diffusers
// pipeline_wan_vace.py, prepare_video_latents, prepare_masks.
at::Tensor control_condition(const VideoVae& vae, at::Device device, const ClipContent& content) {
  const auto count = content.frames.size(1), height = content.frames.size(2), width = content.frames.size(3);
  const auto ratio = vae.spec().spatial_ratio;
  const auto unknown = content.given.logical_not().view({1, count, 1, 1});
  const auto frames = as_float(content.frames).masked_fill_(unknown, 0).to(device);  // grey
  const auto made = content.made.expand({count, height, width}).to(device);
  const auto is_kept = made.lt(middle_grey).unsqueeze(0);
  const auto encoded = [&](const at::Tensor& x) { return vae.normalise(vae.encode(x).mean); };
  const auto kept = encoded(frames.masked_fill(is_kept.logical_not(), 0));
  const auto anew = encoded(frames.masked_fill(is_kept, 0));
  const auto folded = made.to(at::kFloat)
                          .div_(255)
                          .view({count, height / ratio, ratio, width / ratio, ratio})
                          .permute({2, 4, 0, 1, 3})
                          .reshape({ratio * ratio, count, height / ratio, width / ratio});
  // Of each latent the mask of the frame nearest to its middle.
  const auto latents = kept.size(1);
  std::vector<int64_t> nearest;
  for (int64_t t = 0; t < latents; ++t) nearest.push_back((2 * t + 1) * count / (2 * latents));
  const auto mask = folded.index_select(1, at::tensor(nearest, at::TensorOptions(at::kLong)).to(device));
  auto condition = at::cat({kept, anew, mask});
  for (const auto& picture : content.references) {
    const auto reference = encoded(picture.unsqueeze(1).to(device));  // [C, 1, h, w]
    const auto rest = at::zeros_like(condition.slice(1, 0, 1).slice(0, reference.size(0)));
    condition = at::cat({at::cat({reference, rest}), condition}, 1);
  }
  return condition;
}

}  // namespace

KnownLatents known_latents(const VideoVae& vae, at::Device device, const ClipContent& content,
                           const Window& window, const at::Tensor& context) {
  if (content.made.defined()) return {{}, {}, control_condition(vae, device, content)};
  if (content.given.defined()) return {{}, {}, picture_condition(vae, device, content)};
  const auto& spec = vae.spec();
  const auto latent_frames = spec.latent_frames(window.frames);
  const auto encoded = [&](const at::Tensor& frames) {
    return vae.normalise(vae.encode(frames.to(device)).mean);
  };
  const auto context_frames = context.defined() ? context.size(1) : 0;
  if (!content.frames.defined()) {
    if (context_frames == 0) return {};
    const auto latents = encoded(context);
    const auto cells = at::arange(latent_frames).lt(latents.size(1)).view({-1, 1, 1});
    return {latents, cells.expand({latent_frames, latents.size(2), latents.size(3)}), {}};
  }
  // What the window makes beyond the clip's frames may be anything: it looks like the last one that is kept.
  const auto shown = at::arange(window.frames).clamp_max(window.kept - 1).add_(window.begin);
  auto frames = as_float(content.frames.index_select(1, shown));
  auto kept = content.kept.index_select(0, shown);  // [n, H or 1, W or 1]
  if (window.after > 0) {
    frames.copy_(context.narrow(1, 0, 1).expand_as(frames));
    frames.narrow(1, window.kept, context_frames).copy_(context);
    kept.narrow(0, window.kept, context_frames).fill_(true);
  } else if (context_frames > 0) {
    frames.narrow(1, 0, context_frames).copy_(context);
    kept.narrow(0, 0, context_frames).fill_(true);
  }
  const auto latents = encoded(frames);
  const auto height = latents.size(2), width = latents.size(3);
  // The first latent has one frame, each of the others temporal_ratio.
  const auto of_latents = at::cat({kept.narrow(0, 0, 1).expand({spec.temporal_ratio, -1, -1}),
                                   kept.narrow(0, 1, window.frames - 1)})
                              .unflatten(0, {latent_frames, spec.temporal_ratio})
                              .all(1);  // [T, H or 1, W or 1]
  const auto cells = of_latents
                         .expand({latent_frames, height * spec.spatial_ratio, width * spec.spatial_ratio})
                         .reshape({latent_frames, height, spec.spatial_ratio, width, spec.spatial_ratio})
                         .all(4)
                         .all(2);
  return {latents, cells, {}};
}

std::unique_ptr<ClipSink> make_splicing_sink(std::unique_ptr<ClipSink> sink, const GenerationPlan& plan,
                                             const ClipContent& content) {
  if (plan.conditions.empty()) return sink;
  return std::make_unique<SplicedClip>(std::move(sink), plan, content);
}

}  // namespace t2v
