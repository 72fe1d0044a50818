#include "pipeline/run/picture_states.h"

#include <ATen/ATen.h>

#include <map>

#include "pipeline/frames.h"
#include "pipeline/source_frames.h"
#include "t2v/error.h"

namespace t2v {

void encode_pictures(const ImageEncoder& encoder, std::vector<ClipTask>& tasks, Observer& observer) {
  std::map<const GenerationPlan*, at::Tensor> images;
  for (auto& task : tasks) {
    auto& image = images[task.plan];
    if (!image.defined()) {
      std::vector<at::Tensor> states;
      for (const auto& condition : task.plan->conditions) {
        observer.check_cancelled();
        const auto picture = read_picture(condition.source);
        states.push_back(encoder.forward(bytes_of(picture)).cpu());
      }
      image = at::cat(states);
      if (!at::isfinite(image).all().item<bool>())
        throw Error(ErrorKind::non_finite,
                    task.name() +
                        ": the states of its pictures hold NaN or infinity. Nothing was written. Try "
                        "--dtype float32 or bfloat16, or check the weights.");
    }
    task.image = image;
  }
}

}  // namespace t2v
