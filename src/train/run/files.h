// The filesystem without std::filesystem's exceptions.
#pragma once

#include <filesystem>

namespace t2v {

// Whether there is no such file. One that cannot be looked at is not absent: opening it says what is wrong.
bool is_absent(const std::filesystem::path& path);

// Makes the folder, and those above it. Throws Error{output}.
void make_folder(const std::filesystem::path& folder);

}  // namespace t2v
