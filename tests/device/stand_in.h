// What the stand-in for a card (stand_in.cpp) has seen.
#pragma once

#include <ATen/core/Tensor.h>

#include <string>
#include <vector>

namespace t2v::test {

inline const at::Device stand_in(at::kPrivateUse1, 0);

// What a card's host would have waited for since this was asked last: copies between the two that are not
// asynchronous out of or into pinned memory, and operations whose result's shape or value the host must know.
std::vector<std::string> waits_of_stand_in();

// Numbers of the streams that work was asked of since this was asked last, the usual one being 0.
std::vector<int64_t> streams_of_stand_in();

}  // namespace t2v::test
