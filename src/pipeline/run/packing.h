// Which clips are denoised together.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace t2v {

struct PackItem {
  int64_t tokens = 0;    // of all its guidance branches
  std::string schedule;  // only clips of one schedule (scheduler, steps, place in it) share a forward pass
  bool alone = false;
};

// Packs as indices into `items`, in the items' order: each pack of one schedule and at most `token_budget`
// tokens (or a single item), and even enough that each of `workers` gets a share. token_budget and workers: 1
// or more.
std::vector<std::vector<std::size_t>> make_packs(const std::vector<PackItem>& items, int64_t token_budget,
                                                 std::size_t workers);

}  // namespace t2v
