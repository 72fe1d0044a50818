#include "batch/manifest.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <limits>
#include <set>

#include "t2v/error.h"

namespace t2v {

namespace {

constexpr int64_t application_id = 0x74327662;  // "t2vb", in the file's header
constexpr int64_t format = 1;                   // of the table below

constexpr const char* create_table =
    "CREATE TABLE items (id TEXT PRIMARY KEY, position INTEGER NOT NULL, prompt TEXT NOT NULL, settings TEXT "
    "NOT NULL, settings_hash TEXT "
    "NOT NULL, "
    "state TEXT NOT NULL, seed INTEGER NOT NULL, file TEXT NOT NULL, bytes INTEGER NOT NULL DEFAULT 0, hash "
    "TEXT NOT NULL DEFAULT '', "
    "frames INTEGER NOT NULL DEFAULT 0, fps REAL NOT NULL DEFAULT 0, updated REAL NOT NULL DEFAULT 0, "
    "started REAL NOT NULL DEFAULT 0, "
    "finished REAL NOT NULL DEFAULT 0, denoise_seconds REAL NOT NULL DEFAULT 0, decode_seconds REAL NOT NULL "
    "DEFAULT 0, "
    "error TEXT NOT NULL DEFAULT '', exit_code INTEGER NOT NULL DEFAULT 0, attempts INTEGER NOT NULL DEFAULT "
    "0, host TEXT NOT NULL DEFAULT "
    "'')";

constexpr const char* select_all =
    "SELECT id, position, prompt, settings, settings_hash, state, seed, file, bytes, hash, frames, fps, "
    "updated, started, finished, "
    "denoise_seconds, decode_seconds, error, exit_code, attempts, host FROM items ORDER BY position, id";

double now() {
  return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
}

ItemState parse_state(const std::string& name, const std::filesystem::path& path) {
  for (const auto state : {ItemState::pending, ItemState::running, ItemState::done, ItemState::failed})
    if (name == item_state_name(state)) return state;
  throw Error(ErrorKind::bad_input, path.string() + ": an item has the state '" + name +
                                        "', which this version of t2v does not know");
}

// Throws unless the file is a manifest of this version; says whether it is still empty.
bool check_format(sqlite::Database& database) {
  const auto id = database.pragma("application_id"), version = database.pragma("user_version");
  if (id == 0 && version == 0 && database.pragma("schema_version") == 0) return true;
  if (id != application_id)
    throw Error(ErrorKind::bad_input, database.path().string() + ": an SQLite file, but no manifest of t2v");
  if (version != format)
    throw Error(ErrorKind::bad_input, database.path().string() + ": a manifest of format " +
                                          std::to_string(version) + "; this t2v reads format " +
                                          std::to_string(format));
  return false;
}

std::vector<ManifestRow> read_rows(sqlite::Database& database) {
  std::vector<ManifestRow> rows;
  auto select = database.prepare(select_all);
  while (select.step()) {
    ManifestRow row;
    row.id = select.text(0);
    row.position = select.integer(1);
    row.prompt = select.text(2);
    row.settings = select.text(3);
    row.settings_hash = select.text(4);
    row.state = parse_state(select.text(5), database.path());
    row.seed = select.integer(6);
    row.file = select.text(7);
    row.bytes = select.integer(8);
    row.hash = select.text(9);
    row.frames = select.integer(10);
    row.fps = select.number(11);
    row.updated = select.number(12);
    row.started = select.number(13);
    row.finished = select.number(14);
    row.denoise_seconds = select.number(15);
    row.decode_seconds = select.number(16);
    row.error = select.text(17);
    row.exit_code = static_cast<int>(select.integer(18));
    row.attempts = select.integer(19);
    row.host = select.text(20);
    rows.push_back(std::move(row));
  }
  return rows;
}

}  // namespace

const char* item_state_name(ItemState state) {
  switch (state) {
    case ItemState::pending:
      return "pending";
    case ItemState::running:
      return "running";
    case ItemState::done:
      return "done";
    case ItemState::failed:
      return "failed";
  }
  return "";
}

Manifest::Manifest(const std::filesystem::path& folder, const Shard& shard)
    : database_(manifest_path(folder, shard), sqlite::Database::Mode::create) {
  if (check_format(database_)) {
    sqlite::Transaction transaction(database_);
    database_.execute(create_table);
    database_.execute(("PRAGMA application_id = " + std::to_string(application_id)).c_str());
    database_.execute(("PRAGMA user_version = " + std::to_string(format)).c_str());
    transaction.commit();
  }
  release();
}

std::vector<ManifestRow> Manifest::rows() { return read_rows(database_); }

void Manifest::enter(const std::vector<ManifestRow>& rows, const std::vector<std::string>& keep) {
  std::set<std::string> wanted(keep.begin(), keep.end());
  for (const auto& row : rows) wanted.insert(row.id);
  sqlite::Transaction transaction(database_);
  auto remove = database_.prepare("DELETE FROM items WHERE id = ?");
  for (const auto& row : read_rows(database_))
    if (row.state != ItemState::done && !wanted.contains(row.id)) remove.bind(row.id).run();
  auto insert = database_.prepare(
      "INSERT INTO items (id, position, prompt, settings, settings_hash, state, seed, file, fps, updated, "
      "attempts) "
      "VALUES (?, ?, ?, ?, ?, 'pending', ?, ?, ?, ?, 0) "
      "ON CONFLICT (id) DO UPDATE SET position = excluded.position, prompt = excluded.prompt, settings = "
      "excluded.settings, "
      "attempts = CASE WHEN settings_hash = excluded.settings_hash THEN attempts ELSE 0 END, settings_hash = "
      "excluded.settings_hash, "
      "state = 'pending', seed = excluded.seed, file = excluded.file, fps = excluded.fps, updated = "
      "excluded.updated, bytes = 0, hash = "
      "'', "
      "frames = 0, started = 0, finished = 0, denoise_seconds = 0, decode_seconds = 0, error = '', exit_code "
      "= 0");
  for (const auto& row : rows)
    insert.bind(row.id)
        .bind(row.position)
        .bind(row.prompt)
        .bind(row.settings)
        .bind(row.settings_hash)
        .bind(row.seed)
        .bind(row.file)
        .bind(row.fps)
        .bind(next_update())
        .run();
  transaction.commit();
}

void Manifest::continue_after(const std::vector<ManifestRow>& rows) {
  for (const auto& row : rows) last_update_ = std::max(last_update_, row.updated);
}

double Manifest::next_update() {
  last_update_ = std::max(now(), std::nextafter(last_update_, std::numeric_limits<double>::infinity()));
  return last_update_;
}

void Manifest::remove(const std::string& id) {
  database_.prepare("DELETE FROM items WHERE id = ?").bind(id).run();
}

void Manifest::start(const std::string& id) {
  database_
      .prepare(
          "UPDATE items SET state = 'running', attempts = attempts + 1, started = ?, updated = ?, host = ?, "
          "error = '', exit_code = 0 "
          "WHERE id = ?")
      .bind(now())
      .bind(next_update())
      .bind(host_name())
      .bind(id)
      .run();
}

void Manifest::finish(const std::string& id, const FinishedItem& item) {
  database_
      .prepare(
          "UPDATE items SET state = 'done', bytes = ?, hash = ?, frames = ?, denoise_seconds = ?, "
          "decode_seconds = ?, finished = ?, "
          "updated = ? WHERE id = ?")
      .bind(item.bytes)
      .bind(item.hash)
      .bind(item.frames)
      .bind(item.denoise_seconds)
      .bind(item.decode_seconds)
      .bind(now())
      .bind(next_update())
      .bind(id)
      .run();
}

void Manifest::fail(const std::string& id, const std::string& error, int exit_code) {
  database_
      .prepare(
          "UPDATE items SET state = 'failed', error = ?, exit_code = ?, finished = ?, updated = ? WHERE id = "
          "?")
      .bind(error)
      .bind(static_cast<int64_t>(exit_code))
      .bind(now())
      .bind(next_update())
      .bind(id)
      .run();
}

void Manifest::release() { database_.execute("UPDATE items SET state = 'pending' WHERE state = 'running'"); }

std::vector<ManifestRow> read_manifest(const std::filesystem::path& path) {
  sqlite::Database database(path, sqlite::Database::Mode::existing);
  return check_format(database) ? std::vector<ManifestRow>{} : read_rows(database);
}

}  // namespace t2v
