#include "train/data/clip_folder.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <map>
#include <set>
#include <sstream>

#include "base/json.h"
#include "base/utf8.h"
#include "pipeline/frames.h"
#include "t2v/error.h"
#include "train/run/files.h"
#include "video/read/decoder.h"

namespace t2v {

namespace fs = std::filesystem;

namespace {

constexpr const char* kMetadata = "metadata.jsonl";

bool is_media(const fs::path& path) {
  static const std::set<std::string> known{".mp4", ".mov", ".mkv", ".webm", ".avi",  ".gif",
                                           ".y4m", ".png", ".jpg", ".jpeg", ".webp", ".bmp"};
  auto extension = path.extension().string();
  std::transform(extension.begin(), extension.end(), extension.begin(),
                 [](char c) { return static_cast<char>(c >= 'A' && c <= 'Z' ? c + 32 : c); });
  return known.contains(extension);
}

std::string read_text(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  std::stringstream text;
  text << file.rdbuf();
  if (!file) throw Error(ErrorKind::bad_input, path.string() + ": cannot be read");
  return text.str();
}

std::string trimmed(const std::string& text) {
  const char* space = " \t\r\n";
  const auto first = text.find_first_not_of(space);
  return first == std::string::npos ? "" : text.substr(first, text.find_last_not_of(space) + 1 - first);
}

// What is wrong so far; every entry begins with the file it is about.
class Problems {
 public:
  void add(const std::string& where, const std::string& what) { list_.push_back(where + ": " + what); }
  void add(const Error& error) { list_.emplace_back(error.what()); }
  void throw_if_any(const fs::path& folder) const {
    if (list_.empty()) return;
    std::string message = folder.string() + ": " + std::to_string(list_.size()) +
                          (list_.size() == 1 ? " problem" : " problems");
    for (const auto& problem : list_) message += "\n  " + problem;
    throw Error(ErrorKind::bad_input, message);
  }

 private:
  std::vector<std::string> list_;
};

// Adds what is in folder / inner and in folders within it, by names relative to the folder. Links to folders
// are not followed: they may lead round in a circle.
void add_files(const fs::path& folder, const fs::path& inner, std::vector<fs::path>& files) {
  const auto place = inner.empty() ? folder : folder / inner;
  std::error_code failed;
  for (fs::directory_iterator entry(place, failed); !failed && entry != fs::directory_iterator();
       entry.increment(failed)) {
    const auto name = inner / entry->path().filename();
    if (name.filename().string().starts_with(".")) continue;
    std::error_code unknown;  // of a link that leads nowhere: what reads the file says what is wrong with it
    if (entry->symlink_status(unknown).type() == fs::file_type::directory)
      add_files(folder, name, files);
    else if (entry->is_regular_file(unknown) || unknown)
      files.push_back(name);
  }
  if (failed)
    throw Error(ErrorKind::bad_input,
                place.string() + ": cannot be listed (" + failed.message() + "); expected a folder of clips");
}

// A caption by the name of its clip, relative to the folder.
using Captions = std::map<fs::path, std::string>;

void add_caption(Captions& captions, const fs::path& clip, const std::string& text, const std::string& where,
                 Problems& problems) {
  const auto caption = trimmed(text);
  if (caption.empty()) return problems.add(where, "the caption is empty");
  if (const auto defect = find_text_defect(caption))
    return problems.add(
        where, "the caption has " + defect->what + " at byte " + std::to_string(defect->byte_offset));
  if (!captions.emplace(clip, caption).second) problems.add(where, "a second caption for " + clip.string());
}

Captions captions_of_metadata(const fs::path& folder, Problems& problems) {
  Captions captions;
  std::istringstream lines(read_text(folder / kMetadata));
  std::string line;
  for (int64_t number = 1; std::getline(lines, line); ++number) {
    if (trimmed(line).empty()) continue;
    const auto where = (folder / kMetadata).string() + ", line " + std::to_string(number);
    std::error_code ignored;
    try {
      const auto json = parse_json(line, where);
      const auto name = fs::path(json_get<std::string>(json, "file_name", where)).lexically_normal();
      const auto text = json_get<std::string>(json, "text", where);
      if (name.is_absolute() || name.empty() || *name.begin() == "..")
        problems.add(where, "file_name '" + name.string() + "' leaves the folder");
      else if (!fs::is_regular_file(folder / name, ignored))
        problems.add(where, "there is no file " + (folder / name).string());
      else
        add_caption(captions, name, text, where, problems);
    } catch (const Error& error) {
      problems.add(error);
    }
  }
  return captions;
}

Captions captions_beside_clips(const fs::path& folder, const std::vector<fs::path>& files,
                               Problems& problems) {
  std::multimap<fs::path, fs::path> clips;  // by name without extension
  for (const auto& file : files)
    if (is_media(file)) clips.emplace(fs::path(file).replace_extension(), file);
  Captions captions;
  for (const auto& file : files) {
    if (file.extension() != ".txt") continue;
    const auto where = (folder / file).string();
    const auto [first, last] = clips.equal_range(fs::path(file).replace_extension());
    if (first == last) problems.add(where, "there is no clip of that name beside it");
    try {
      for (auto clip = first; clip != last; ++clip)
        add_caption(captions, clip->second, read_text(folder / file), where, problems);
    } catch (const Error& error) {
      problems.add(error);
    }
  }
  return captions;
}

// Decodes all of it: a container may not say how many frames it holds, and damage shows only then.
CaptionedClip inspect(const fs::path& file, const std::string& caption) {
  const auto reader = open_video(file);
  const auto& info = reader->info();
  CaptionedClip clip{file, caption, {info.width, info.height}, 0, 0};
  while (reader->read()) ++clip.frames;
  if (clip.frames == 0) throw Error(ErrorKind::bad_input, file.string() + ": holds no frame");
  if (clip.frames > 1 && info.fps.numerator > 0)
    clip.fps = static_cast<double>(info.fps.numerator) / info.fps.denominator;
  clip.notes = info.notes;
  return clip;
}

// The centre of a frame at the ratio width:height, resampled. [3, T, H, W] → [3, T, height, width].
at::Tensor fit(const at::Tensor& video, int64_t width, int64_t height) {
  const int64_t w = video.size(3), h = video.size(2);
  const double scale = std::max(static_cast<double>(width) / static_cast<double>(w),
                                static_cast<double>(height) / static_cast<double>(h));
  const auto part = [&](int64_t target, int64_t whole) {
    return std::clamp<int64_t>(std::llround(static_cast<double>(target) / scale), 1, whole);
  };
  const int64_t cut_w = part(width, w), cut_h = part(height, h);
  const auto cut = video.narrow(3, (w - cut_w) / 2, cut_w).narrow(2, (h - cut_h) / 2, cut_h);
  if (cut_w == width && cut_h == height) return cut.contiguous();
  return at::_upsample_bilinear2d_aa(cut.transpose(0, 1).contiguous(), {height, width},
                                     /*align_corners=*/false)
      .transpose(0, 1)
      .contiguous();
}

}  // namespace

std::vector<CaptionedClip> list_clip_folder(const fs::path& folder) {
  Problems problems;
  std::vector<fs::path> files;
  add_files(folder, {}, files);
  std::sort(files.begin(), files.end());
  const bool metadata = !is_absent(folder / kMetadata);
  const auto captions = metadata ? captions_of_metadata(folder, problems)
                                 : captions_beside_clips(folder, files, problems);
  std::vector<CaptionedClip> clips;
  int64_t media = 0;
  for (const auto& file : files) {
    if (!is_media(file) && !captions.contains(file)) continue;
    ++media;
    const auto caption = captions.find(file);
    if (caption == captions.end())
      problems.add((folder / file).string(),
                   metadata
                       ? std::string("has no caption in ") + kMetadata
                       : "has no caption; expected it in " +
                             fs::path(file).replace_extension(".txt").filename().string() + " beside it");
    try {
      const auto clip = inspect(folder / file, caption == captions.end() ? "" : caption->second);
      if (caption != captions.end()) clips.push_back(clip);
    } catch (const Error& error) {
      problems.add(error);
    }
  }
  if (media == 0) problems.add(folder.string(), "holds no videos or images");
  problems.throw_if_any(folder);
  return clips;
}

at::Tensor read_clip(const CaptionedClip& clip, int64_t width, int64_t height, int64_t frames, double fps,
                     double start) {
  const double clip_fps = clip.fps > 0 ? clip.fps : fps;
  const auto reader = open_video(clip.file);
  std::vector<Frame> chosen;
  std::optional<Frame> current = reader->read();
  int64_t at = 0;
  for (int64_t i = 0; i < frames && current; ++i) {
    const auto wanted = std::llround((start + static_cast<double>(i) / fps) * clip_fps);
    while (at < wanted) {
      auto next = reader->read();
      if (!next) break;
      current = std::move(next);
      ++at;
    }
    chosen.push_back(*current);
  }
  if (chosen.empty()) throw Error(ErrorKind::bad_input, clip.file.string() + ": holds no frame");
  return fit(from_frames(chosen), width, height);
}

ClipBucket choose_bucket(const CaptionedClip& clip, const std::vector<PixelSize>& sizes, int64_t most_frames,
                         int64_t temporal_ratio, double fps) {
  if (sizes.empty()) throw Error(ErrorKind::usage, "there is no size to fit " + clip.file.string() + " to");
  const auto ratio = [](const PixelSize& size) {
    return std::log(static_cast<double>(size.width) / static_cast<double>(size.height));
  };
  const auto nearest = std::min_element(
      sizes.begin(), sizes.end(), [&](const PixelSize& a, const PixelSize& b) {
        return std::abs(ratio(a) - ratio(clip.size)) < std::abs(ratio(b) - ratio(clip.size));
      });
  const double last = static_cast<double>(clip.frames - 1) * fps /
                      (clip.fps > 0 ? clip.fps : fps);  // of the frames at fps, from 0
  const int64_t held = std::min(most_frames, static_cast<int64_t>(std::floor(last + 1e-6)) + 1);
  return {*nearest, (std::max<int64_t>(held, 1) - 1) / temporal_ratio * temporal_ratio + 1};
}

}  // namespace t2v
