// How much memory there is for this process.
#pragma once

#include <cstdint>
#include <filesystem>

namespace t2v {

// Bytes: the machine's, or fewer where the process's control group (version 1 or 2) or one above it is held
// to fewer. The folders are for tests.
int64_t machine_memory(const std::filesystem::path& groups = "/sys/fs/cgroup",
                       const std::filesystem::path& own = "/proc/self/cgroup");

}  // namespace t2v
