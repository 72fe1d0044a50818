// What the causal convolutions of an autoencoder remember of a clip.
#pragma once

#include <list>

#include "nn/causal_conv.h"

namespace t2v {

// The caches of one pass over one clip, or over several of one size together, handed out in the order in
// which layers ask, the same for every chunk.
class ConvCaches {
 public:
  explicit ConvCaches(int64_t clips) : clips_(clips) {}
  int64_t clips() const { return clips_; }
  void begin_chunk() { next_ = caches_.begin(); }
  ConvCache& next() {
    if (next_ == caches_.end()) {
      caches_.push_back({clips_, {}});
      next_ = std::prev(caches_.end());
    }
    return *next_++;
  }

 private:
  int64_t clips_;
  std::list<ConvCache> caches_;
  std::list<ConvCache>::iterator next_ = caches_.begin();
};

}  // namespace t2v
