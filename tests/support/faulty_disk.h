// SQLite's file layer with faults: the n-th call of one kind fails, once or from then on as on a disk that
// has gone.
#pragma once

#include <sqlite3.h>

#include <cstring>
#include <stdexcept>

namespace t2v::test {

enum class DiskCall { open, write, sync, truncate, remove };

// In place of SQLite's own file layer while it lives, for databases opened meanwhile. One at a time.
class FaultyDisk {
 public:
  struct Fault {
    DiskCall call;
    long nth;       // from 1; 0: nothing fails
    int code;       // what SQLite hears of a failed write
    bool for_good;  // every later call that would change the disk fails too
  };
  FaultyDisk() : FaultyDisk(Fault{DiskCall::open, 0, 0, false}) {}
  explicit FaultyDisk(const Fault& fault) {
    state() = {};
    state().fault = fault;
    state().real = sqlite3_vfs_find(nullptr);
    vfs() = *state().real;
    vfs().zName = "faulty";
    vfs().szOsFile = static_cast<int>(sizeof(File)) + state().real->szOsFile;
    vfs().xOpen = open;
    vfs().xDelete = remove;
    if (sqlite3_vfs_register(&vfs(), 1) != SQLITE_OK)
      throw std::runtime_error("SQLite takes no other file layer");
  }
  ~FaultyDisk() {
    sqlite3_vfs_unregister(&vfs());
    sqlite3_vfs_register(state().real, 1);
  }
  FaultyDisk(const FaultyDisk&) = delete;
  FaultyDisk& operator=(const FaultyDisk&) = delete;

  static long calls(DiskCall call) { return state().calls[static_cast<int>(call)]; }

 private:
  // What SQLite sees; the real file lies behind it in the same memory.
  struct File {
    sqlite3_file base;
    sqlite3_file* real() { return reinterpret_cast<sqlite3_file*>(this + 1); }
  };
  struct State {
    Fault fault{DiskCall::open, 0, 0, false};
    sqlite3_vfs* real = nullptr;
    long calls[5] = {};
    bool gone = false;
  };
  static State& state() {
    static State the_state;
    return the_state;
  }
  static sqlite3_vfs& vfs() {
    static sqlite3_vfs the_vfs;
    return the_vfs;
  }
  static sqlite3_file* real(sqlite3_file* file) { return reinterpret_cast<File*>(file)->real(); }

  static bool fails(DiskCall call) {
    auto& s = state();
    const bool now = ++s.calls[static_cast<int>(call)] == s.fault.nth && call == s.fault.call;
    s.gone = s.gone || (now && s.fault.for_good);
    return now || s.gone;
  }

  static int open(sqlite3_vfs*, const char* name, sqlite3_file* file, int flags, int* out_flags) {
    file->pMethods = nullptr;  // SQLite closes only what has been opened
    if (fails(DiskCall::open)) return SQLITE_CANTOPEN;
    const int code = state().real->xOpen(state().real, name, real(file), flags, out_flags);
    if (code == SQLITE_OK) file->pMethods = &methods();
    return code;
  }
  static int remove(sqlite3_vfs*, const char* name, int sync) {
    return fails(DiskCall::remove) ? SQLITE_IOERR_DELETE : state().real->xDelete(state().real, name, sync);
  }

  static const sqlite3_io_methods& methods() {
    static const sqlite3_io_methods all = [] {
      sqlite3_io_methods m{};
      m.iVersion = 1;  // without shared memory and mapped pages, which a rollback journal does not need
      m.xClose = [](sqlite3_file* f) { return real(f)->pMethods->xClose(real(f)); };
      m.xRead = [](sqlite3_file* f, void* to, int size, sqlite3_int64 at) {
        return real(f)->pMethods->xRead(real(f), to, size, at);
      };
      m.xWrite = [](sqlite3_file* f, const void* from, int size, sqlite3_int64 at) {
        if (!fails(DiskCall::write)) return real(f)->pMethods->xWrite(real(f), from, size, at);
        // The first half arrives, as on a disk that is full.
        if (!state().gone || state().fault.call == DiskCall::write)
          real(f)->pMethods->xWrite(real(f), from, size / 2, at);
        return state().fault.code;
      };
      m.xTruncate = [](sqlite3_file* f, sqlite3_int64 size) {
        return fails(DiskCall::truncate) ? SQLITE_IOERR_TRUNCATE
                                         : real(f)->pMethods->xTruncate(real(f), size);
      };
      m.xSync = [](sqlite3_file* f, int flags) {
        return fails(DiskCall::sync) ? SQLITE_IOERR_FSYNC : real(f)->pMethods->xSync(real(f), flags);
      };
      m.xFileSize = [](sqlite3_file* f, sqlite3_int64* size) {
        return real(f)->pMethods->xFileSize(real(f), size);
      };
      m.xLock = [](sqlite3_file* f, int level) { return real(f)->pMethods->xLock(real(f), level); };
      m.xUnlock = [](sqlite3_file* f, int level) { return real(f)->pMethods->xUnlock(real(f), level); };
      m.xCheckReservedLock = [](sqlite3_file* f, int* held) {
        return real(f)->pMethods->xCheckReservedLock(real(f), held);
      };
      m.xFileControl = [](sqlite3_file* f, int what, void* argument) {
        return real(f)->pMethods->xFileControl(real(f), what, argument);
      };
      m.xSectorSize = [](sqlite3_file* f) { return real(f)->pMethods->xSectorSize(real(f)); };
      m.xDeviceCharacteristics = [](sqlite3_file* f) {
        return real(f)->pMethods->xDeviceCharacteristics(real(f));
      };
      return m;
    }();
    return all;
  }
};

}  // namespace t2v::test
