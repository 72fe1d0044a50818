#include "pipeline/run/clip_sink.h"

#include <ATen/ATen.h>

#include <algorithm>

#include "pipeline/frames.h"

namespace t2v {

namespace {

class FileClip : public ClipSink {
 public:
  explicit FileClip(const EncoderOptions& options)
      : is_deep_(plan_compression(options).is_deep), sink_(make_threaded_sink(open_encoder(options))) {}
  void finish() override { sink_->finish(); }

 protected:
  void take(const at::Tensor& frames) override {
    for (const auto& frame : is_deep_ ? to_deep_frames(frames) : to_frames(frames)) sink_->write(frame);
  }

 private:
  bool is_deep_;
  std::unique_ptr<FrameSink> sink_;
};

class ReceivedClip : public ClipSink {
 public:
  explicit ReceivedClip(std::function<void(const FrameBlock&)> receiver) : receiver_(std::move(receiver)) {}
  void finish() override {}

 protected:
  void take(const at::Tensor& frames) override {
    const auto values = frames.cpu().contiguous();
    require_finite(values);
    receiver_({.first = this->frames(),
               .frames = values.size(1),
               .height = values.size(2),
               .width = values.size(3),
               .values = values.const_data_ptr<float>()});
  }

 private:
  std::function<void(const FrameBlock&)> receiver_;
};

}  // namespace

std::unique_ptr<ClipSink> make_file_sink(const EncoderOptions& options) {
  return std::make_unique<FileClip>(options);
}

std::unique_ptr<ClipSink> make_receiver_sink(std::function<void(const FrameBlock&)> receiver) {
  return std::make_unique<ReceivedClip>(std::move(receiver));
}

void decode_to(ClipSink& sink, const VideoVae& vae, const at::Tensor& latents, int64_t frames,
               Observer& observer) {
  int64_t reached = 0;
  const auto progress = [&](int64_t done) {
    observer.progress({"decode", reached = std::max(reached, done), frames});
  };
  vae.decode(
      vae.denormalise(latents),
      [&](const at::Tensor& part) {
        observer.check_cancelled();
        const auto wanted = std::min(part.size(1), frames - sink.frames());
        if (wanted > 0) sink.write(part.narrow(1, 0, wanted));
        progress(sink.frames());
      },
      [&](double share) {
        observer.check_cancelled();
        progress(static_cast<int64_t>(share * static_cast<double>(frames)));
      });
  sink.finish();
}

}  // namespace t2v
