// How a stored picture is turned and mirrored to stand upright.
#pragma once

#include <optional>

#include "video/frame.h"
#include "video/libav.h"

namespace t2v {

// A stored pixel (x, y), y downwards, is shown at (a·x + c·y, b·x + d·y), moved back into the picture. Each
// row and column holds one 1 or -1.
struct Orientation {
  int a = 1, b = 0, c = 0, d = 1;

  bool swaps_sides() const { return a == 0; }
  bool operator==(const Orientation&) const = default;
};

// libav's display matrix (int32[9], see libavutil/display.h), which may turn and mirror; nothing when it does
// something else, as turn by an angle between.
std::optional<Orientation> orientation_of_matrix(const int32_t* matrix);

// The tag Orientation of EXIF, 1 to 8; upright for any other number. Source: CIPA DC-008 (EXIF 2.32),
// table 5.
Orientation orientation_of_exif(int tag);

Frame upright(Frame frame, const Orientation& orientation);

}  // namespace t2v
