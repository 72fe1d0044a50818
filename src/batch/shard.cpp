#include "batch/shard.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstdlib>
#include <cstring>

#include "t2v/error.h"

namespace t2v {

namespace fs = std::filesystem;

namespace {

constexpr int64_t most_shards = 1'000'000;

std::optional<int64_t> parse_count(std::string_view text) {
  int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || value < 0) return std::nullopt;
  return value;
}

std::optional<int64_t> number_from(const GetVariable& variable, const char* name) {
  const auto text = variable(name);
  if (!text || text->empty()) return std::nullopt;
  const auto value = parse_count(*text);
  if (!value)
    throw Error(ErrorKind::usage, std::string(name) + " should be a whole number, found '" + *text + "'");
  return value;
}

Shard checked(int64_t index, int64_t count, const std::string& source) {
  if (count < 1 || count > most_shards || index >= count)
    throw Error(
        ErrorKind::usage,
        source + ": shard " + std::to_string(index) + " of " + std::to_string(count) +
            ": the index counts from 0 and should be below the number of shards; --shard I/N says both");
  return {index, count, source};
}

Shard from_slurm(int64_t task, const GetVariable& variable) {
  const std::string source = "SLURM_ARRAY_TASK_ID";
  if (const auto shards = number_from(variable, "T2V_SHARDS"))
    return checked(task, *shards, source + ", T2V_SHARDS");
  const auto count = number_from(variable, "SLURM_ARRAY_TASK_COUNT");
  if (!count)
    throw Error(ErrorKind::usage,
                source + " is set, but neither SLURM_ARRAY_TASK_COUNT nor T2V_SHARDS; --shard I/N says both");
  const auto least = number_from(variable, "SLURM_ARRAY_TASK_MIN").value_or(0);
  const auto step = std::max<int64_t>(1, number_from(variable, "SLURM_ARRAY_TASK_STEP").value_or(1));
  if (task < least || (task - least) % step != 0 || (task - least) / step >= *count)
    throw Error(ErrorKind::usage,
                source + "=" + std::to_string(task) + ": the array has gaps (" + std::to_string(*count) +
                    " tasks from " + std::to_string(least) +
                    "); set T2V_SHARDS to the number of shards and number the tasks from 0");
  return checked((task - least) / step, *count, source);
}

// Open file description locks: as SQLite's own they work on network file systems, but do not end when the
// process closes the file elsewhere.
struct flock whole_file() {
  struct flock lock {};
  lock.l_type = F_WRLCK;
  lock.l_whence = SEEK_SET;
  return lock;
}

constexpr const char* lock_suffix = ".lock";

fs::path lock_path(const fs::path& folder, const Shard& shard) {
  return manifest_path(folder, shard).replace_extension(lock_suffix);
}

std::string shard_text(const Shard& shard) {
  return "shard " + std::to_string(shard.index) + " of " + std::to_string(shard.count);
}

// Who holds a lock, as its file says.
std::string holder(int descriptor) {
  char text[200];
  const auto size = ::pread(descriptor, text, sizeof text, 0);
  std::string who(text, size > 0 ? static_cast<std::size_t>(size) : 0);
  who = who.substr(0, who.find('\n'));
  return who.empty() ? "another process" : who;
}

// The shard in a name like "shard-3-of-8.sqlite".
std::optional<Shard> shard_of_name(const std::string& name, const std::string& suffix) {
  if (!name.starts_with("shard-") || !name.ends_with(suffix)) return std::nullopt;
  const auto inside = std::string_view(name).substr(6, name.size() - 6 - suffix.size());
  const auto of = inside.find("-of-");
  if (of == std::string_view::npos) return std::nullopt;
  const auto index = parse_count(inside.substr(0, of)), count = parse_count(inside.substr(of + 4));
  if (!index || !count || *index >= *count) return std::nullopt;
  return Shard{*index, *count, ""};
}

std::vector<std::pair<Shard, fs::path>> find_shards(const fs::path& folder, const std::string& suffix) {
  std::vector<std::pair<Shard, fs::path>> found;
  const auto where = folder / ".t2v";
  std::error_code failed;
  for (fs::directory_iterator entry(where, failed), end; entry != end; entry.increment(failed))
    if (const auto shard = shard_of_name(entry->path().filename().string(), suffix))
      found.emplace_back(*shard, entry->path());
  if (failed && failed != std::errc::no_such_file_or_directory && failed != std::errc::not_a_directory)
    throw Error(ErrorKind::output, where.string() + ": cannot be read (" + failed.message() + ")");
  std::sort(found.begin(), found.end(), [](const auto& a, const auto& b) {
    return std::pair(a.first.count, a.first.index) < std::pair(b.first.count, b.first.index);
  });
  return found;
}

}  // namespace

Shard parse_shard(const std::string& text, const std::string& where) {
  const auto slash = text.find('/');
  const auto index = parse_count(std::string_view(text).substr(0, slash));
  const auto count = slash == std::string::npos ? std::nullopt
                                                : parse_count(std::string_view(text).substr(slash + 1));
  if (!index || !count)
    throw Error(ErrorKind::usage,
                where + " should be I/N, I from 0 (the first of four is 0/4), found '" + text + "'");
  return checked(*index, *count, where);
}

Shard find_shard(const std::optional<std::string>& flag, const GetVariable& variable) {
  if (flag) return parse_shard(*flag, "--shard");
  if (const auto task = number_from(variable, "SLURM_ARRAY_TASK_ID")) return from_slurm(*task, variable);
  if (const auto index = number_from(variable, "JOB_COMPLETION_INDEX")) {
    auto count = number_from(variable, "JOB_COMPLETIONS");
    if (!count) count = number_from(variable, "T2V_SHARDS");
    if (!count)
      throw Error(ErrorKind::usage,
                  "JOB_COMPLETION_INDEX is set, but not how many there are: set JOB_COMPLETIONS or "
                  "T2V_SHARDS to the job's completions");
    return checked(*index, *count, "JOB_COMPLETION_INDEX");
  }
  if (const auto rank = number_from(variable, "RANK")) {
    const auto world = number_from(variable, "WORLD_SIZE");
    if (!world) throw Error(ErrorKind::usage, "RANK is set, but not WORLD_SIZE; --shard I/N says both");
    return checked(*rank, *world, "RANK");
  }
  return {};
}

Shard find_shard(const std::optional<std::string>& flag) {
  return find_shard(flag, [](const char* name) {
    const char* value = std::getenv(name);
    return value == nullptr ? std::nullopt : std::optional<std::string>(value);
  });
}

std::string host_name() {
  char host[256] = "";
  ::gethostname(host, sizeof host - 1);
  return host;
}

fs::path manifest_path(const fs::path& folder, const Shard& shard) {
  return folder / ".t2v" /
         ("shard-" + std::to_string(shard.index) + "-of-" + std::to_string(shard.count) + ".sqlite");
}

std::vector<std::pair<Shard, fs::path>> find_manifests(const fs::path& folder) {
  return find_shards(folder, ".sqlite");
}

ShardLock::ShardLock(const fs::path& folder, const Shard& shard) {
  const auto path = lock_path(folder, shard);
  descriptor_ = ::open(path.c_str(), O_CREAT | O_RDWR | O_CLOEXEC, 0666);
  if (descriptor_ < 0)
    throw Error(ErrorKind::output, path.string() + ": cannot be created (" + std::strerror(errno) + ")");
  const auto refuse = [&](const std::string& why) {
    ::close(descriptor_);
    throw Error(ErrorKind::output, folder.string() + ": " + why);
  };
  auto lock = whole_file();
  if (::fcntl(descriptor_, F_OFD_SETLK, &lock) != 0) {
    if (errno == EAGAIN || errno == EACCES)
      refuse(shard_text(shard) + " is being made by " + holder(descriptor_) +
             "; wait for it to end, or stop it");
    refuse("the file system cannot lock (" + std::string(std::strerror(errno)) +
           "), so two processes could make the same clips");
  }
  std::vector<std::pair<Shard, fs::path>> others;
  try {
    others = find_shards(folder, lock_suffix);
  } catch (const Error&) {
    ::close(descriptor_);
    throw;
  }
  for (const auto& [other, name] : others)
    if (other.count != shard.count && is_shard_locked(folder, other))
      refuse(shard_text(other) + " is being made right now, and this is " + shard_text(shard) +
             "; the number of shards can change only while none runs");
  const auto who = "process " + std::to_string(::getpid()) + " on " + host_name() + "\n";
  if (::ftruncate(descriptor_, 0) != 0 ||
      ::pwrite(descriptor_, who.data(), who.size(), 0) != static_cast<ssize_t>(who.size()))
    refuse("cannot be written (" + std::string(std::strerror(errno)) + ")");
}

ShardLock::~ShardLock() { ::close(descriptor_); }

bool is_shard_locked(const fs::path& folder, const Shard& shard) {
  const int file = ::open(lock_path(folder, shard).c_str(), O_RDONLY | O_CLOEXEC);
  if (file < 0) return false;
  auto lock = whole_file();
  const bool locked = ::fcntl(file, F_OFD_GETLK, &lock) == 0 && lock.l_type != F_UNLCK;
  ::close(file);
  return locked;
}

}  // namespace t2v
