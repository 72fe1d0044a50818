#include "batch/report.h"

#include <algorithm>
#include <cstdio>
#include <ctime>
#include <map>
#include <optional>

#include "base/atomic_file.h"
#include "base/html.h"
#include "base/json.h"
#include "base/signals.h"
#include "batch/file_hash.h"
#include "batch/plan_batch.h"
#include "batch/report_page.h"
#include "batch/resume.h"
#include "t2v/error.h"
#include "video/read/decoder.h"
#include "video/write/output_name.h"
#include "video/write/poster.h"

namespace t2v {

namespace fs = std::filesystem;

namespace {

constexpr int poster_side = 320;  // pixels, of the longer side
constexpr int small_side = 160;   // up to here pixels are shown as squares

const char* failure_name(int exit_code) {
  switch (static_cast<ErrorKind>(exit_code)) {
    case ErrorKind::usage:
      return "usage";
    case ErrorKind::bad_input:
      return "bad model or input file";
    case ErrorKind::output:
      return "output not written";
    case ErrorKind::out_of_memory:
      return "out of memory";
    case ErrorKind::non_finite:
      return "NaN or infinity";
    case ErrorKind::hung_up:
    case ErrorKind::interrupted:
    case ErrorKind::terminated:
      return "stopped by a signal";
    case ErrorKind::partial:
    case ErrorKind::internal:
      break;
  }
  return "internal error";
}

std::string one_decimal(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%.1f", value);
  return text;
}

std::string utc(double seconds) {
  const auto time = static_cast<std::time_t>(seconds);
  std::tm parts{};
  char text[32];
  if (::gmtime_r(&time, &parts) == nullptr ||
      std::strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S UTC", &parts) == 0)
    return "?";
  return text;
}

// Where a row's file is; nothing when its name, which comes out of a file, leads out of the folder.
std::optional<fs::path> place_of(const fs::path& folder, const std::string& file) {
  if (!stays_within_folder(file)) return std::nullopt;
  return folder / file;
}

// The page is renamed to its name, whatever has that name: a clip, a manifest or a device must not.
void check_page_name(const fs::path& out) {
  const auto extension = out.extension();
  if (extension != ".html" && extension != ".htm")
    throw Error(ErrorKind::usage, "--out '" + out.string() + "' should be the name of a page, NAME.html");
  std::error_code failed;
  if (fs::exists(out, failed) && !fs::is_regular_file(out, failed))
    throw Error(ErrorKind::output,
                out.string() + ": is there already, and no file that the page could replace");
}

fs::path absolute_path(const fs::path& path) {
  std::error_code failed;
  auto whole = fs::absolute(path, failed);
  if (failed)
    throw Error(ErrorKind::output,
                path.string() + ": the working folder cannot be found (" + failed.message() + ")");
  return whole;
}

// Of a folder that may be given as DIR/ or as a dot.
std::string name_of(const fs::path& folder) {
  return (absolute_path(folder) / "").lexically_normal().parent_path().filename().string();
}

// One clip of the page.
struct Entry {
  ManifestRow row;
  std::string state;  // as the page says it: also "missing" and "changed" for finished clips whose file is
                      // not what it was
  std::optional<fs::path> path;
  bool playable = false;  // by browsers
};

Entry judge_row(const fs::path& folder, ManifestRow row) {
  Entry entry{std::move(row), "", std::nullopt, false};
  entry.state = item_state_name(entry.row.state);
  entry.path = place_of(folder, entry.row.file);
  if (entry.row.state == ItemState::running && !is_shard_locked(folder, entry.row.shard))
    entry.state = "pending";
  if (entry.row.state != ItemState::done) return entry;
  const auto found = entry.path ? hash_clip(*entry.path, entry.row.frames) : std::nullopt;
  if (!found)
    entry.state = "missing";
  else if (*found != FileHash{entry.row.bytes, entry.row.hash})
    entry.state = "changed";
  const auto extension = entry.path ? entry.path->extension() : fs::path();
  entry.playable = entry.state == "done" && (extension == ".mp4" || extension == ".mov");
  return entry;
}

struct Still {
  std::string jpeg;
  int width = 0, height = 0;
};

// The frame in the middle; nothing when the file cannot be read.
std::optional<Still> still_of(const Entry& entry) try {
  const auto video = open_video(*entry.path);
  auto frame = video->read();
  for (int64_t i = 0; frame && i < entry.row.frames / 2; ++i) {
    auto next = video->read();
    if (!next) break;
    frame = std::move(next);
  }
  if (!frame) return std::nullopt;
  return Still{encode_poster(*frame, poster_side), frame->width, frame->height};
} catch (const Error&) {
  return std::nullopt;
}

// A path as the reference of a link: every byte that is not plain is escaped.
std::string reference(const fs::path& path) {
  std::string out;
  for (const unsigned char c : path.generic_string()) {
    if (std::isalnum(c) != 0 || c == '/' || c == '.' || c == '-' || c == '_' || c == '~') {
      out += static_cast<char>(c);
    } else {
      char text[4];
      std::snprintf(text, sizeof text, "%%%02X", c);
      out += text;
    }
  }
  return "./" + out;
}

class Page {
 public:
  Page(const fs::path& folder, const BatchReportOptions& options)
      : folder_(folder), options_(options), file_(options.out) {
    base_ = absolute_path(options.out).lexically_normal().parent_path();
  }

  BatchReport write() {
    std::vector<Entry> entries;
    for (auto& row : newest_rows(read_all_manifests(folder_))) {
      throw_if_signalled();
      entries.push_back(judge_row(folder_, std::move(row)));
    }
    report_.items = static_cast<int64_t>(entries.size());
    begin(entries);
    for (const auto& entry : entries) {
      throw_if_signalled();
      put(article(entry));
    }
    put("</main>\n<footer><p>" + footer() + "</p></footer>\n<script nonce='" + nonce_ + "'>" + report_script +
        "</script>\n</body></html>\n");
    file_.commit();
    report_.path = options_.out;
    return report_;
  }

 private:
  void put(const std::string& html) { file_.write(html.data(), html.size()); }

  void begin(const std::vector<Entry>& entries) {
    // A script is run only if it carries this word, which nobody who wrote a prompt could know: it comes from
    // the batch's times.
    std::string secret;
    std::map<std::string, int64_t> counts;
    double seconds = 0, latest = 0;
    for (const auto& entry : entries) {
      secret += entry.row.hash + std::to_string(entry.row.updated) + entry.row.prompt + '\n';
      ++counts[entry.state];
      seconds += entry.row.denoise_seconds + entry.row.decode_seconds;
      latest = std::max(latest, entry.row.updated);
    }
    nonce_ = hash_text(secret);
    const auto name = escape_html(name_of(folder_));
    std::string summary;
    for (const auto& [state, count] : counts)
      summary += (summary.empty() ? "" : ", ") + std::to_string(count) + " " + state;
    put("<!doctype html>\n<html lang='en'><head><meta charset='utf-8'><meta name='viewport' "
        "content='width=device-width'>\n"
        "<meta http-equiv='Content-Security-Policy' content=\"default-src 'none'; img-src data:; media-src "
        "data: file: 'self'; style-src "
        "'nonce-" +
        nonce_ + "'; script-src 'nonce-" + nonce_ + "'; base-uri 'none'; form-action 'none'\">\n<title>" +
        name + "</title>\n<style nonce='" + nonce_ + "'>" + report_style +
        "</style></head>\n<body>\n<header><h1>" + name + "</h1>\n<p>" +
        (entries.empty()
             ? "No clips yet."
             : std::to_string(entries.size()) + (entries.size() == 1 ? " clip: " : " clips: ") + summary +
                   ". " + one_decimal(seconds) + " s of work; last change " + utc(latest) + ".") +
        "</p>\n" + report_controls + "</header>\n<main>\n");
  }

  std::string footer() const {
    const auto clips = [](int64_t count) {
      return std::to_string(count) + (count == 1 ? " clip is " : " clips are ");
    };
    auto text = clips(report_.embedded) + "within this page";
    if (report_.linked > 0)
      text += ", " + clips(report_.linked) + "played from files beside it: keep the page where it is";
    return text + ".";
  }

  // Where a browser finds the clip: in the page while there is room.
  std::string source(const Entry& entry) {
    if (embedded_bytes_ + entry.row.bytes <= options_.embed_bytes) {
      embedded_bytes_ += entry.row.bytes;
      ++report_.embedded;
      return data_uri_of_file("video/mp4", *entry.path);
    }
    ++report_.linked;
    return link_to(*entry.path);
  }

  std::string link_to(const fs::path& path) const {
    return reference(absolute_path(path).lexically_normal().lexically_relative(base_));
  }

  std::string picture(const Entry& entry) {
    const auto still = entry.state == "done" ? still_of(entry) : std::nullopt;
    if (!still) {
      const auto why = entry.state == "missing"   ? "The file is not there any more."
                       : entry.state == "changed" ? "The file is not the one that was made."
                       : entry.state == "failed"  ? "Failed."
                       : entry.state == "running" ? "Being made."
                       : entry.state == "pending" ? "Not made yet."
                                                  : "The file cannot be shown.";
      return std::string("<div class='picture'><span>") + why + "</span></div>\n";
    }
    const auto jpeg = data_uri("image/jpeg", still->jpeg);
    const auto size = "' width='" + std::to_string(still->width) + "' height='" +
                      std::to_string(still->height) + "'";
    const auto label = escape_html(entry.row.prompt);
    const std::string small = std::max(still->width, still->height) <= small_side ? " small" : "";
    if (!entry.playable)
      return "<div class='picture" + small + "'><img alt='" + label + size + " src='" + jpeg + "'></div>\n";
    return "<div class='picture" + small +
           "'><video controls loop muted playsinline preload='none' aria-label='" + label + size +
           " poster='" + jpeg + "' src='" + source(entry) + "'></video></div>\n";
  }

  std::string article(const Entry& entry) {
    const auto& row = entry.row;
    const double seconds = row.denoise_seconds + row.decode_seconds;
    std::string facts = "<span class='state'>" + entry.state + "</span> · #" + std::to_string(row.position) +
                        " · " + escape_html(row.id) + " · seed " + std::to_string(row.seed);
    if (row.state == ItemState::done)
      facts += " · " + std::to_string(row.frames) + " frames · " + one_decimal(row.denoise_seconds) +
               " s to denoise, " + one_decimal(row.decode_seconds) + " s to decode";
    if (row.attempts > 1) facts += " · attempt " + std::to_string(row.attempts);
    std::string html = "<article data-state='" + entry.state + "' data-order='" +
                       std::to_string(row.position) + "' data-seed='" + std::to_string(row.seed) +
                       "' data-seconds='" + one_decimal(seconds) + "'>\n" + picture(entry) +
                       "<h2 dir='auto'>" + escape_html(row.prompt) + "</h2>\n<p class='facts'>" + facts +
                       "</p>\n";
    if (row.state == ItemState::failed)
      html += "<p class='error'>exit " + std::to_string(row.exit_code) + ", " + failure_name(row.exit_code) +
              ": " + escape_html(row.error) + "</p>\n";
    return html + details(entry) + "</article>\n";
  }

  std::string details(const Entry& entry) const {
    const auto& row = entry.row;
    std::string list;
    const auto add = [&](const std::string& key, const std::string& value) {
      if (!value.empty()) list += "<dt>" + escape_html(key) + "</dt><dd>" + escape_html(value) + "</dd>";
    };
    if (entry.state == "done" && !parse_image_pattern(*entry.path))
      list += "<dt>file</dt><dd><a href='" + link_to(*entry.path) + "'>" + escape_html(row.file) +
              "</a></dd>";
    else
      add("file", row.file);
    const auto settings = Json::parse(row.settings, nullptr, false);
    if (settings.is_object())
      for (const auto& [key, value] : settings.items())
        if (key != "prompt" && key != "seed" && !value.is_null())
          add(key, value.is_string() ? value.get<std::string>()
                                     : value.dump(-1, ' ', false, Json::error_handler_t::replace));
    if (row.finished > 0) add("finished", utc(row.finished));
    add("host", row.host);
    add("XXH3", row.hash);
    return "<details><summary>Settings</summary><dl>" + list + "</dl></details>\n";
  }

  fs::path folder_;
  BatchReportOptions options_;
  AtomicFile file_;
  fs::path base_;  // the page's folder
  std::string nonce_;
  BatchReport report_;
  int64_t embedded_bytes_ = 0;
};

}  // namespace

BatchReport write_batch_report(const fs::path& folder, const BatchReportOptions& options) {
  if (find_manifests(folder).empty())
    throw Error(
        ErrorKind::usage,
        folder.string() + ": holds no manifest of t2v batch; give the folder that a batch was made into");
  auto settings = options;
  if (settings.out.empty()) settings.out = folder / "report.html";
  check_page_name(settings.out);
  return Page(folder, settings).write();
}

}  // namespace t2v
