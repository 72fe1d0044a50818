// What has become of each item of a batch: one SQLite file per shard in the output folder,
// FOLDER/.t2v/shard-I-of-N.sqlite.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "batch/shard.h"
#include "batch/sqlite.h"

namespace t2v {

enum class ItemState { pending, running, done, failed };
const char* item_state_name(ItemState state);

struct ManifestRow {
  std::string id;
  int64_t position = 0;          // in the batch, from 0
  std::string prompt, settings;  // settings: JSON
  std::string settings_hash;
  ItemState state = ItemState::pending;
  int64_t seed = 0;
  std::string file;   // relative to the folder
  int64_t bytes = 0;  // of the finished file
  std::string hash;   // XXH3 of its bytes, 16 hexadecimal digits
  int64_t frames = 0;
  double fps = 0;
  double updated = 0;  // orders the changes of a folder: seconds since 1970, or more where the clock was set
                       // back
  double started = 0, finished = 0;  // seconds since 1970, by the clock of the host
  double denoise_seconds = 0, decode_seconds = 0;
  std::string error;
  int exit_code = 0;  // of the error, as t2v generate would have ended
  int64_t attempts = 0;
  std::string host;  // where it was made
  Shard shard;       // whose manifest this is
};

// What is known of a finished clip.
struct FinishedItem {
  int64_t bytes = 0;
  std::string hash;
  int64_t frames = 0;
  double denoise_seconds = 0, decode_seconds = 0;
};

class Manifest {
 public:
  // The caller holds the shard's lock. Items that a killed run left running are pending again. Throws
  // Error{output, bad_input}.
  Manifest(const std::filesystem::path& folder, const Shard& shard);

  std::vector<ManifestRow> rows();
  // What is written from now on counts as newer than `rows`, whatever the clock says.
  void continue_after(const std::vector<ManifestRow>& rows);
  // In one transaction: `rows` become pending (attempts of the same id with the same settings are kept), and
  // every row that is neither done nor among `keep` is removed, since the batch no longer asks for it.
  void enter(const std::vector<ManifestRow>& rows, const std::vector<std::string>& keep);
  // The row of an item whose file another one replaces.
  void remove(const std::string& id);
  void start(const std::string& id);
  void finish(const std::string& id, const FinishedItem& item);
  void fail(const std::string& id, const std::string& error, int exit_code);
  // What was running is pending.
  void release();

 private:
  double next_update();

  sqlite::Database database_;
  double last_update_ = 0;
};

// The rows of a manifest that another process may be writing.
std::vector<ManifestRow> read_manifest(const std::filesystem::path& path);

}  // namespace t2v
