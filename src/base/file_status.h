// Questions about names on disk, without the exceptions of std::filesystem.
#pragma once

#include <filesystem>

#include "t2v/error.h"

namespace t2v {

// Whether something of this name is there; a link to nothing is not. Throws Error{kind} naming the path where
// that cannot be told: a folder on the way may not be entered, links go in a circle, a name is too long.
bool is_there(const std::filesystem::path& path, ErrorKind kind = ErrorKind::bad_input);

// Whether it is there and a folder. Throws as is_there.
bool is_folder(const std::filesystem::path& path, ErrorKind kind = ErrorKind::bad_input);

}  // namespace t2v
