// Where the camera is. Internal to this folder.
#pragma once

#include "world/book/book.h"
#include "world/book/scenery.h"

namespace t2v {

// A move takes at least the time of 17 frames: shorter shots see a part of it.
double book_shot_seconds(const BookShot& shot);
BookView book_view(const BookShot& shot, int64_t frame, int64_t width, int64_t height);

}  // namespace t2v
