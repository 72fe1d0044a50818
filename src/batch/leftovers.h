// Temporary files that a killed run left behind.
#pragma once

#include <filesystem>
#include <vector>

#include "batch/plan_batch.h"

namespace t2v {

// Removes what AtomicFile had begun for these items' files (images of a sequence, sidecars, checkpoints and
// kept latents included). The caller holds the shard's lock, so that nobody is writing them. What cannot be
// removed stays.
void remove_leftovers(const std::vector<BatchItem>& items, const std::filesystem::path& folder);

}  // namespace t2v
