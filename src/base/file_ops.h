// The system calls that make files, in one table, so that a test can let any of them fail; and the loops
// around them that every caller needs: a write may be short, and a signal may interrupt it.
#pragma once

#include <sys/types.h>

#include <cstddef>

namespace t2v {

struct FileOps {
  int (*open)(const char* path, int flags, mode_t mode);
  ssize_t (*write)(int file, const void* bytes, std::size_t size);
  int (*fsync)(int file);
  int (*close)(int file);
  int (*rename)(const char* from, const char* to);
  int (*unlink)(const char* path);
};

// The operating system's own calls.
const FileOps& system_file_ops();
// What files are written with: the system's own, unless a test has put something in their place (null puts
// them back).
const FileOps& file_ops();
void replace_file_ops(const FileOps* ops);

// A descriptor (O_CLOEXEC is added), or minus errno.
int open_file(const char* path, int flags, mode_t mode = 0);
// Each 0 or errno.
int write_fully(int file, const void* data, std::size_t size);
int sync_file(int file);
int close_file(int file);  // the descriptor is gone whatever it says
int rename_file(const char* from, const char* to);

}  // namespace t2v
