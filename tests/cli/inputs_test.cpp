// Every kind of input that t2v has to do with, of the reader's fuzz corpus: applied, named in a note, or
// refused by name.
#include <nlohmann/json.hpp>

#include "expect.h"
#include "paths.h"

namespace t2v::test {

namespace {

struct Input {
  const char* name;
  int width, height;  // as it is shown
  const char* said;   // in the notes; "": nothing is, and of a refused one in the message
  bool is_refused = false;
};

const std::vector<Input> inputs = {
    {"clip-rotated.mp4", 16, 24, ""},
    {"clip-mirrored.mp4", 24, 16, ""},
    {"image-turned.jpg", 0, 0, ""},
    {"clip-wide-pixels.mp4", 32, 16, "has pixels of 2:1"},
    {"clip-variable.mkv", 16, 16, "variable"},
    {"clip-full-range.mp4", 16, 16, ""},
    {"clip-bt601.mp4", 16, 16, ""},
    {"clip-bt2020.mp4", 16, 16, "bt2020"},
    {"clip-pq.mp4", 0, 0, "PQ", true},
    {"clip-hlg.mp4", 0, 0, "HLG", true},
    {"clip-transparent.mov", 16, 16, "transparent"},
    {"clip-transparent.webp", 0, 0, ""},
    {"clip-interlaced.mp4", 16, 16, "interlaced"},
    {"clip.apng", 0, 0, ""},
    {"clip-palette.gif", 0, 0, ""},
    {"clip-animated.webp", 0, 0, ""},
    {"image-16bit.png", 0, 0, ""},
};

}  // namespace

TEST(CliInputs, AreAppliedNamedOrRefused) {
  for (const auto& input : inputs) {
    SCOPED_TRACE(input.name);
    const auto path = source_dir() / "tests/fuzz/seeds/media" / input.name;
    const auto result = run_program({"info", "--json", path.string()});
    if (input.is_refused) {
      expect_refused(result, 3, {input.name, input.said});
      continue;
    }
    expect_done(result);
    const auto info = nlohmann::json::parse(result.out);
    if (input.width > 0) {
      EXPECT_EQ(info.at("width"), input.width);
      EXPECT_EQ(info.at("height"), input.height);
    }
    const auto notes = info.value("notes", nlohmann::json::array()).dump();
    EXPECT_NE(notes.find(input.said), std::string::npos) << notes;
    EXPECT_EQ(notes == "[]", *input.said == '\0') << notes;
  }
}

}  // namespace t2v::test
