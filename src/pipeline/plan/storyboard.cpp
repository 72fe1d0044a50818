#include "pipeline/plan/storyboard.h"

#include <algorithm>
#include <cmath>

#include "base/json.h"
#include "base/json_keys.h"
#include "base/utf8.h"

namespace t2v {

namespace {

constexpr double longest_shot_end = 86400;  // seconds

// A JSON object within the file, with the lines of its keys.
class Entry {
 public:
  Entry(const std::string& file, const std::string& text, std::size_t begin, const std::string& name,
        const Json& values)
      : file_(file), text_(text), name_(name), values_(values), begin_(begin) {
    if (!values.is_object()) refuse("", "should be an object");
    for (const auto& [key, byte] : find_json_keys(std::string_view(text).substr(begin)))
      keys_.emplace_back(key, begin + byte);
  }

  std::string place(const std::string& key) const {
    std::size_t at = begin_;
    for (const auto& [name, byte] : keys_)
      if (name == key) at = byte;
    const auto line = 1 + std::count(text_.begin(), text_.begin() + static_cast<std::ptrdiff_t>(at), '\n');
    return file_ + ": line " + std::to_string(line) + ", " + name_ + (key.empty() ? "" : "." + key);
  }
  [[noreturn]] void refuse(const std::string& key, const std::string& what) const {
    throw Error(ErrorKind::usage, place(key) + ": " + what);
  }
  void require_known(const std::vector<std::string>& known) const {
    for (const auto& [key, value] : values_.items()) {
      if (std::find(known.begin(), known.end(), key) != known.end()) continue;
      const auto near = nearest_name(key, known);
      refuse(key, "is no key of it" + (near ? "; did you mean '" + *near + "'?" : std::string()));
    }
  }
  bool has(const char* key) const { return values_.contains(key); }
  double seconds(const char* key) const {
    if (!has(key)) refuse("", std::string("needs \"") + key + "\", seconds");
    const auto& value = values_.at(key);
    if (!value.is_number() || !(value.get<double>() >= 0 && value.get<double>() <= longest_shot_end))
      refuse(key, "should be seconds, 0 to 86400, found " + value.dump());
    return value.get<double>();
  }
  std::string text(const char* key) const {
    const auto& value = values_.at(key);
    if (!value.is_string() || value.get<std::string>().empty())
      refuse(key, "should be text, found " + value.dump());
    return value.get<std::string>();
  }
  bool flag(const char* key) const {
    if (!has(key)) return false;
    if (!values_.at(key).is_boolean())
      refuse(key, "should be true or false, found " + values_.at(key).dump());
    return values_.at(key).get<bool>();
  }

 private:
  const std::string& file_;
  const std::string& text_;
  std::string name_;
  const Json& values_;
  std::size_t begin_;
  std::vector<std::pair<std::string, std::size_t>> keys_;
};

std::string number(double seconds) { return Json(seconds).dump(); }

class Reader {
 public:
  Reader(const std::filesystem::path& path, double fps, const std::optional<std::string>& prompt)
      : file_(path.string()), fps_(fps), prompt_(prompt) {
    text_ = read_text(path, ErrorKind::usage, JsonLimits().bytes);
    board_ = parse_json(text_, file_, ErrorKind::usage);
  }

  Storyboard read() {
    const Entry whole(file_, text_, 0, "storyboard", board_);
    whole.require_known({"shots", "pins"});
    if (!whole.has("shots") || !board_.at("shots").is_array() || board_.at("shots").empty())
      whole.refuse("shots", "should be an array of at least one shot, {\"from\", \"to\", \"prompt\"}");
    for (const auto& entry : entries("shots")) add_shot(entry);
    if (whole.has("pins")) {
      if (!board_.at("pins").is_array())
        whole.refuse("pins", "should be an array of {\"at\", \"image\" or \"clip\"}");
      for (const auto& entry : entries("pins")) add_pin(entry);
    }
    std::stable_sort(made_.pins.begin(), made_.pins.end(),
                     [](const Pin& a, const Pin& b) { return a.at < b.at; });
    return std::move(made_);
  }

 private:
  std::vector<Entry> entries(const std::string& list) const {
    std::size_t begin = 0;
    for (const auto& [key, byte] : find_json_keys(text_))
      if (key == list) begin = text_.find('[', byte + list.size());
    const auto& values = board_.at(list);
    const auto items = split_json_array(std::string_view(text_).substr(begin)).items;
    std::vector<Entry> found;
    for (std::size_t i = 0; i < values.size(); ++i)
      found.emplace_back(file_, text_, static_cast<std::size_t>(items.at(i).data() - text_.data()),
                         list + "[" + std::to_string(i) + "]", values.at(i));
    return found;
  }

  void add_shot(const Entry& entry) {
    entry.require_known({"from", "to", "prompt", "cut", "blend"});
    const double from = entry.seconds("from"), to = entry.seconds("to");
    if (from != end_)
      entry.refuse("from", number(from) + (from > end_ ? " leaves a gap after " : " overlaps what ends at ") +
                               number(end_) + "; shots follow one another, the first from 0");
    const int64_t begin = std::llround(from * fps_), frames = std::llround(to * fps_) - begin;
    if (!(to > from) || frames < 1)
      entry.refuse("to", "should be at least a frame (" + number(1 / fps_) + " s) after \"from\" (" +
                             number(from) + "), found " + number(to));
    const bool cut = entry.flag("cut");
    if (cut && entry.flag("blend")) entry.refuse("cut", "a shot has a cut or a blend, not both");
    if (!entry.has("prompt") && !prompt_) entry.refuse("", "needs a \"prompt\", or --prompt for all shots");
    made_.shots.push_back(
        {entry.has("prompt") ? entry.text("prompt") : *prompt_, "", begin, frames, cut && begin > 0});
    end_ = to;
  }

  void add_pin(const Entry& entry) {
    entry.require_known({"at", "image", "clip"});
    const double at = entry.seconds("at");
    if (entry.has("image") == entry.has("clip")) entry.refuse("", "needs an \"image\" or a \"clip\"");
    const bool is_clip = entry.has("clip");
    // The last frame is pinned by the time at which it ends, too.
    const int64_t frames = made_.shots.back().begin + made_.shots.back().frames;
    const auto frame = std::min<int64_t>(std::llround(at * fps_), at > end_ ? frames : frames - 1);
    if (frame >= frames) entry.refuse("at", number(at) + " is after the end, " + number(end_) + " seconds");
    const char* key = is_clip ? "clip" : "image";
    const auto source = std::filesystem::path(file_).parent_path() / entry.text(key);
    made_.pins.push_back({frame, source.string(), is_clip, entry.place(key)});
  }

  std::string file_;
  double fps_;
  const std::optional<std::string>& prompt_;
  Json board_;
  std::string text_;
  Storyboard made_;
  double end_ = 0;  // of the last shot, seconds
};

}  // namespace

Storyboard read_storyboard(const std::filesystem::path& path, double fps,
                           const std::optional<std::string>& prompt) {
  return Reader(path, fps, prompt).read();
}

}  // namespace t2v
