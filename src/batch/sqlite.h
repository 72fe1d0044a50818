// The little of SQLite that manifests need: owning handles, bound values, errors as Error.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>

struct sqlite3;
struct sqlite3_stmt;

namespace t2v::sqlite {

class Statement;

class Database {
 public:
  enum class Mode { create, existing };
  // Waits up to 30 seconds whenever another process holds the file. The journal is SQLite's rollback journal:
  // the write-ahead log needs memory that is shared between processes, which network file systems do not
  // have. Throws Error{output} when the file cannot be opened or written, Error{bad_input} when it is no
  // database; so do all calls below.
  Database(const std::filesystem::path& path, Mode mode);

  void execute(const char* sql);
  Statement prepare(const std::string& sql);
  // What PRAGMA `name` says, as a number.
  int64_t pragma(const std::string& name);
  const std::filesystem::path& path() const { return path_; }

 private:
  friend class Statement;
  [[noreturn]] void fail(int code) const;

  struct Close {
    void operator()(sqlite3* handle) const;
  };
  std::filesystem::path path_;
  std::unique_ptr<sqlite3, Close> handle_;
};

class Statement {
 public:
  Statement& bind(int64_t value);
  Statement& bind(double value);
  Statement& bind(const std::string& value);
  // Whether there is a row (to be read by the functions below).
  bool step();
  // Runs a statement that gives no rows.
  void run();

  int64_t integer(int column) const;
  double number(int column) const;
  std::string text(int column) const;

 private:
  friend class Database;
  struct Finalize {
    void operator()(sqlite3_stmt* handle) const;
  };
  Statement(const Database& database, sqlite3_stmt* handle) : database_(&database), handle_(handle) {}
  void check(int code) const;

  const Database* database_;
  std::unique_ptr<sqlite3_stmt, Finalize> handle_;
  int bound_ = 0;
};

// All or nothing: rolled back unless commit() was called.
class Transaction {
 public:
  explicit Transaction(Database& database);
  ~Transaction();
  Transaction(const Transaction&) = delete;
  Transaction& operator=(const Transaction&) = delete;
  void commit();

 private:
  Database* database_;
};

}  // namespace t2v::sqlite
