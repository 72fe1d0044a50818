// A file's container, opened by libav without trusting it.
#pragma once

#include <string>

#include "video/read/input_file.h"

namespace t2v {

struct ContainerOptions {
  long pixels_per_frame = 0;      // at most
  bool must_have_its_end = true;  // a file that is shorter than it says is refused
};

// From the file's beginning, its streams known. Playlists and scripts that name other files are refused, and
// libav is kept from opening any. The file must outlive it. Throws Error{bad_input} naming `name`.
libav::InputFormat open_container(InputFile& file, const std::string& name, const ContainerOptions& options);

}  // namespace t2v
