#include "video/write/output_name.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <string_view>

#include "base/atomic_file.h"
#include "t2v/error.h"
#include "video/libav.h"
#include "video/write/encoder.h"

namespace t2v {

namespace fs = std::filesystem;

namespace {

constexpr const char* known_names =
    "known are .mp4 .mov .mkv .webm .avi .gif .webp, .png (one image, or a sequence as in frame-%05d.png), "
    ".y4m, and - (y4m on stdout)";

std::string lower(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return text;
}

// libav's own list depends on how it was built; names that mean the network to people are refused everywhere.
bool is_protocol(const std::string& name) {
  constexpr std::array<std::string_view, 18> always{"http", "https",  "ftp",  "ftps", "sftp", "file",
                                                    "pipe", "concat", "data", "tcp",  "udp",  "rtp",
                                                    "rtsp", "rtmp",   "srt",  "s3",   "gs",   "fd"};
  if (std::find(always.begin(), always.end(), name) != always.end()) return true;
  for (const int output : {0, 1}) {
    void* state = nullptr;
    while (const char* known = avio_enum_protocols(&state, output))
      if (name == known) return true;
  }
  return false;
}

}  // namespace

fs::path ImagePattern::name_of(long number) const {
  auto text = std::to_string(number);
  if (static_cast<int>(text.size()) < digits) text.insert(0, digits - text.size(), '0');
  return folder / (prefix + text + suffix);
}

std::optional<ImagePattern> parse_image_pattern(const fs::path& path) {
  const auto name = path.filename().string();
  const auto percent = name.find('%');
  if (percent == std::string::npos || name.find('%', percent + 1) != std::string::npos) return std::nullopt;
  auto end = percent + 1;
  int digits = 0;
  if (end + 1 < name.size() && name[end] == '0' && name[end + 1] >= '1' && name[end + 1] <= '9') {
    digits = name[end + 1] - '0';
    end += 2;
  }
  if (end >= name.size() || name[end] != 'd') return std::nullopt;
  return ImagePattern{path.parent_path(), name.substr(0, percent), digits, name.substr(end + 1)};
}

std::optional<std::string> protocol_of(const std::string& name) {
  const auto is_scheme = [](unsigned char c) {
    return std::isalnum(c) != 0 || c == '+' || c == '-' || c == '.';
  };
  const auto end = std::find_if_not(name.begin(), name.end(), is_scheme);
  if (end == name.begin() || end == name.end() || *end != ':') return std::nullopt;
  const auto scheme = lower(std::string(name.begin(), end));
  const bool is_url = std::string_view(end, name.end()).substr(0, 3) == "://";
  return is_url || is_protocol(scheme) ? std::optional(scheme) : std::nullopt;
}

std::string extension_of(const std::string& path) { return lower(fs::path(path).extension().string()); }

OutputKind parse_output_name(const std::string& path) {
  if (path == "-") return OutputKind::y4m;
  if (const auto protocol = protocol_of(path))
    throw Error(ErrorKind::usage, "output '" + path + "': t2v writes plain files, not to the protocol '" +
                                      *protocol + ":'; give a file name (./" + path +
                                      " if the file really is called so)");
  const auto extension = extension_of(path);
  for (const char* movie : {".mp4", ".mov", ".mkv", ".webm", ".avi"})
    if (extension == movie) return OutputKind::movie;
  if (extension == ".gif") return OutputKind::gif;
  if (extension == ".webp") return OutputKind::webp;
  if (extension == ".y4m") return OutputKind::y4m;
  if (extension != ".png")
    throw Error(ErrorKind::usage,
                "output '" + path +
                    "': " + (extension.empty() ? "no extension" : "unknown extension '" + extension + "'") +
                    "; " + known_names);
  if (parse_image_pattern(path)) return OutputKind::image_sequence;
  if (fs::path(path).filename().string().find('%') != std::string::npos)
    throw Error(
        ErrorKind::usage,
        "output '" + path +
            "': the number of an image in a sequence is written once, as %d or %05d (any width from 1 to 9)");
  return OutputKind::image;
}

bool is_output_name(const std::string& path) {
  try {
    return path != "-" && (parse_output_name(path), true);
  } catch (const Error&) {
    return false;
  }
}

void check_output(const std::string& path) {
  check_output_name(path);
  if (path != "-") check_writable_folder(resolve_link(path).parent_path());
}

void check_output_name(const std::string& path) {
  parse_output_name(path);
  if (path == "-") {
    if (::isatty(STDOUT_FILENO) != 0)
      throw Error(ErrorKind::usage,
                  "output '-': standard output is a terminal; send it to a program or a file, as in t2v … -o "
                  "- | mpv -");
    return;
  }
  check_writable_name(path);
}

}  // namespace t2v
