#include "batch/sqlite.h"

#include <sqlite3.h>

#include "t2v/error.h"

namespace t2v::sqlite {

namespace {

constexpr int patience_milliseconds = 30'000;

}  // namespace

void Database::Close::operator()(sqlite3* handle) const { sqlite3_close(handle); }

void Statement::Finalize::operator()(sqlite3_stmt* handle) const { sqlite3_finalize(handle); }

Database::Database(const std::filesystem::path& path, Mode mode) : path_(path) {
  sqlite3* handle = nullptr;
  int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | (mode == Mode::create ? SQLITE_OPEN_CREATE : 0);
  int code = sqlite3_open_v2(path.c_str(), &handle, flags, nullptr);
  handle_.reset(handle);
  if (code != SQLITE_OK) fail(code);
  sqlite3_extended_result_codes(handle, 1);
  sqlite3_busy_timeout(handle, patience_milliseconds);
  // The file is data, never code: no functions, triggers or views of its own are trusted.
  sqlite3_db_config(handle, SQLITE_DBCONFIG_DEFENSIVE, 1, nullptr);
  sqlite3_db_config(handle, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, nullptr);
  sqlite3_db_config(handle, SQLITE_DBCONFIG_ENABLE_TRIGGER, 0, nullptr);
  sqlite3_db_config(handle, SQLITE_DBCONFIG_ENABLE_VIEW, 0, nullptr);
  execute("PRAGMA temp_store = MEMORY");
}

void Database::fail(int code) const {
  const std::string reason = handle_ ? sqlite3_errmsg(handle_.get()) : sqlite3_errstr(code);
  switch (code & 0xff) {
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
    case SQLITE_MISMATCH:
    case SQLITE_ERROR:  // the statements are ours: what they ask for is missing from the file
    case SQLITE_CONSTRAINT:
    case SQLITE_TOOBIG:
      throw Error(ErrorKind::bad_input,
                  path_.string() + ": is no intact manifest (" + reason +
                      "). Move it away; finished files stay, and --redo all makes them again.");
    case SQLITE_NOMEM:
      throw Error(ErrorKind::out_of_memory, path_.string() + ": out of memory");
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
      throw Error(ErrorKind::output, path_.string() + ": another process has kept it locked for " +
                                         std::to_string(patience_milliseconds / 1000) + " s");
    case SQLITE_FULL:
    case SQLITE_IOERR:
    case SQLITE_CANTOPEN:
    case SQLITE_READONLY:
    case SQLITE_PERM:
      throw Error(ErrorKind::output,
                  path_.string() + ": the manifest cannot be read or written (" + reason + ")");
    default:
      throw Error(ErrorKind::internal, path_.string() + ": " + reason);
  }
}

void Database::execute(const char* sql) {
  if (const int code = sqlite3_exec(handle_.get(), sql, nullptr, nullptr, nullptr); code != SQLITE_OK)
    fail(code);
}

Statement Database::prepare(const std::string& sql) {
  sqlite3_stmt* statement = nullptr;
  if (const int code = sqlite3_prepare_v2(handle_.get(), sql.c_str(), -1, &statement, nullptr);
      code != SQLITE_OK)
    fail(code);
  return {*this, statement};
}

int64_t Database::pragma(const std::string& name) {
  auto statement = prepare("PRAGMA " + name);
  return statement.step() ? statement.integer(0) : 0;
}

void Statement::check(int code) const {
  if (code != SQLITE_OK && code != SQLITE_ROW && code != SQLITE_DONE) database_->fail(code);
}

Statement& Statement::bind(int64_t value) {
  check(sqlite3_bind_int64(handle_.get(), ++bound_, value));
  return *this;
}

Statement& Statement::bind(double value) {
  check(sqlite3_bind_double(handle_.get(), ++bound_, value));
  return *this;
}

Statement& Statement::bind(const std::string& value) {
  check(sqlite3_bind_text64(handle_.get(), ++bound_, value.data(), value.size(), SQLITE_TRANSIENT,
                            SQLITE_UTF8));
  return *this;
}

bool Statement::step() {
  const int code = sqlite3_step(handle_.get());
  check(code);
  return code == SQLITE_ROW;
}

void Statement::run() {
  step();
  check(sqlite3_reset(handle_.get()));
  bound_ = 0;
}

int64_t Statement::integer(int column) const { return sqlite3_column_int64(handle_.get(), column); }

double Statement::number(int column) const { return sqlite3_column_double(handle_.get(), column); }

std::string Statement::text(int column) const {
  const auto* begin = reinterpret_cast<const char*>(sqlite3_column_text(handle_.get(), column));
  return begin == nullptr
             ? ""
             : std::string(begin, static_cast<std::size_t>(sqlite3_column_bytes(handle_.get(), column)));
}

Transaction::Transaction(Database& database) : database_(&database) { database.execute("BEGIN IMMEDIATE"); }

Transaction::~Transaction() {
  if (database_ == nullptr) return;
  try {
    database_->execute("ROLLBACK");
  } catch (const Error&) {  // SQLite has rolled back by itself, as it does when the disk is full
  }
}

void Transaction::commit() {
  database_->execute("COMMIT");
  database_ = nullptr;
}

}  // namespace t2v::sqlite
