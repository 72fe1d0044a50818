#include "video/read/image_reader.h"

#include <algorithm>
#include <charconv>
#include <system_error>

#include "t2v/error.h"

namespace t2v {

namespace fs = std::filesystem;

namespace {

std::string pattern_text(const ImagePattern& pattern) {
  return (pattern.folder /
          (pattern.prefix + (pattern.digits > 0 ? "%0" + std::to_string(pattern.digits) + "d" : "%d") +
           pattern.suffix))
      .string();
}

// The numbers of the images in the folder, ascending. A file counts when writing its number by the pattern
// gives its name back.
std::vector<long> numbers_in_folder(const ImagePattern& pattern) {
  std::vector<long> numbers;
  std::error_code failed;
  const auto folder = pattern.folder.empty() ? fs::path(".") : pattern.folder;
  for (fs::directory_iterator entry(folder, failed), end; !failed && entry != end; entry.increment(failed)) {
    const auto name = entry->path().filename().string();
    if (name.size() <= pattern.prefix.size() + pattern.suffix.size() || !name.starts_with(pattern.prefix))
      continue;
    long number = -1;
    std::from_chars(name.data() + pattern.prefix.size(), name.data() + name.size() - pattern.suffix.size(),
                    number);
    if (number >= 0 && pattern.name_of(number).filename() == name) numbers.push_back(number);
  }
  if (failed)
    throw Error(ErrorKind::bad_input,
                pattern_text(pattern) + ": the folder cannot be read (" + failed.message() + ")");
  std::sort(numbers.begin(), numbers.end());
  return numbers;
}

class ImageSequenceReader : public VideoReader {
 public:
  ImageSequenceReader(const ImagePattern& pattern, const DecoderLimits& limits)
      : pattern_(pattern), limits_(limits) {
    const auto numbers = numbers_in_folder(pattern);
    const auto fail = [&](const std::string& why) {
      throw Error(ErrorKind::bad_input, pattern_text(pattern) + ": " + why);
    };
    if (numbers.empty()) fail("no such image");
    next_ = numbers.front();
    count_ = static_cast<long>(numbers.size());
    for (long i = 0; i < count_; ++i)
      if (numbers[i] != next_ + i)
        fail("image " + std::to_string(next_ + i) + " is missing, but there is an image " +
             std::to_string(numbers[i]));
    if (count_ > limits.frames) fail("more than " + std::to_string(limits.frames) + " images");
    end_ = next_ + count_;
    info_ = open_video(pattern.name_of(next_), limits)->info();
    info_.frames = count_;
  }

  const VideoInfo& info() const override { return info_; }

  std::optional<Frame> read() override {
    if (next_ == end_) return std::nullopt;
    const auto path = pattern_.name_of(next_++);
    const auto image = open_video(path, limits_);
    if (image->info().fps.numerator != 0)
      throw Error(ErrorKind::bad_input, path.string() + ": is a video, but a sequence is made of images");
    auto frame = image->read();
    if (frame && (frame->width != info_.width || frame->height != info_.height))
      throw Error(ErrorKind::bad_input, path.string() + ": is " + std::to_string(frame->width) + "x" +
                                            std::to_string(frame->height) + ", the images before it are " +
                                            std::to_string(info_.width) + "x" + std::to_string(info_.height));
    for (const auto& note : image->info().notes)
      if (std::find(info_.notes.begin(), info_.notes.end(), note) == info_.notes.end())
        info_.notes.push_back(note);
    return frame;
  }

 private:
  ImagePattern pattern_;
  DecoderLimits limits_;
  VideoInfo info_;
  long next_ = 0, end_ = 0, count_ = 0;
};

}  // namespace

std::unique_ptr<VideoReader> open_image_sequence(const ImagePattern& pattern, const DecoderLimits& limits) {
  return std::make_unique<ImageSequenceReader>(pattern, limits);
}

}  // namespace t2v
