#include "base/machine_memory.h"

#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <string>

namespace t2v {

namespace fs = std::filesystem;

int64_t machine_memory(const fs::path& groups, const fs::path& own) {
  auto bytes = static_cast<int64_t>(::sysconf(_SC_PHYS_PAGES)) * ::sysconf(_SC_PAGESIZE);
  std::ifstream lines(own);
  for (std::string line; std::getline(lines, line);) {  // "4:memory:/a/b" or "0::/a/b"
    const auto first = line.find(':'), second = line.find(':', first + 1);
    if (second == std::string::npos) continue;
    const auto controller = line.substr(first + 1, second - first - 1);
    if (controller != "memory" && !controller.empty()) continue;
    const auto root = groups / controller;
    const char* file = controller.empty() ? "memory.max" : "memory.limit_in_bytes";
    // Within a container the path may be one of the machine's that is not there.
    for (auto path = fs::path(line.substr(second + 1)).relative_path();; path = path.parent_path()) {
      std::ifstream limit(root / path / file);
      if (int64_t most = 0; limit >> most && most > 0) bytes = std::min(bytes, most);  // "max": none
      if (path.empty()) break;
    }
  }
  return bytes;
}

}  // namespace t2v
