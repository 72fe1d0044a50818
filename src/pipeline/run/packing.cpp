#include "pipeline/run/packing.h"

#include <algorithm>
#include <map>
#include <numeric>

namespace t2v {

std::vector<std::vector<std::size_t>> make_packs(const std::vector<PackItem>& items, int64_t token_budget,
                                                 std::size_t workers) {
  const auto total = std::accumulate(items.begin(), items.end(), int64_t{0},
                                     [](int64_t sum, const PackItem& item) { return sum + item.tokens; });
  const auto share = (total + static_cast<int64_t>(workers) - 1) / static_cast<int64_t>(workers);
  const auto limit = std::min(token_budget, share);
  std::vector<std::vector<std::size_t>> packs;
  struct Open {
    std::size_t pack;
    int64_t tokens;
  };
  std::map<std::string, Open> open;  // by schedule: the pack that takes the next item
  for (std::size_t i = 0; i < items.size(); ++i) {
    const auto& item = items[i];
    const auto found = open.find(item.schedule);
    if (!item.alone && found != open.end() && found->second.tokens + item.tokens <= limit) {
      packs[found->second.pack].push_back(i);
      found->second.tokens += item.tokens;
      continue;
    }
    packs.push_back({i});
    if (!item.alone) open[item.schedule] = {packs.size() - 1, item.tokens};
  }
  return packs;
}

}  // namespace t2v
