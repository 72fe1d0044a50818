// What an image encoder makes of the pictures that clips begin and end with.
#pragma once

#include <vector>

#include "models/image_encoder.h"
#include "pipeline/run/clip_task.h"
#include "t2v/observer.h"

namespace t2v {

// Sets each task's image: the states of its plan's pictures below each other, encoded once a plan. Throws
// Error{bad_input, cancelled}.
void encode_pictures(const ImageEncoder& encoder, std::vector<ClipTask>& tasks, Observer& observer);

}  // namespace t2v
