// A shape in messages.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace t2v {

// "[16, any, 8]"; a negative side is any.
inline std::string shape_text(const std::vector<int64_t>& shape) {
  std::string text = "[";
  for (const auto side : shape)
    text += (text.size() == 1 ? "" : ", ") + (side < 0 ? std::string("any") : std::to_string(side));
  return text + "]";
}

}  // namespace t2v
