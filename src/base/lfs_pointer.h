// Git LFS keeps large files outside of the repository. A clone that has not fetched them has a text of three
// lines in the place of each.
#pragma once

#include <string>
#include <string_view>

#include "t2v/error.h"

namespace t2v {

// Throws Error{kind} where `bytes`, the contents of the file `where` or their beginning, are such a text.
// Source: the Git LFS specification, "The Pointer".
inline void refuse_lfs_pointer(std::string_view bytes, const std::string& where,
                               ErrorKind kind = ErrorKind::bad_input) {
  if (bytes.starts_with("version https://git-lfs"))
    throw Error(kind,
                where + ": is a Git LFS pointer, not the file itself; run `git lfs pull` in its folder");
}

}  // namespace t2v
