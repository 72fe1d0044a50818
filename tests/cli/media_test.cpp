// What t2v encode says of files that other programs made.
#include <nlohmann/json.hpp>

#include "bytes.h"
#include "expect.h"

namespace t2v::test {

namespace {

// Five grey frames of 64x64.
std::string y4m(const std::string& tags) {
  std::string file = "YUV4MPEG2 W64 H64 F8:1 " + tags + " C444\n";
  for (int i = 0; i < 5; ++i) file += "FRAME\n" + std::string(64 * 64 * 3, '\x80');
  return file;
}

}  // namespace

TEST(CliMedia, PixelShapeAndInterlacingAreSaidInALineEach) {
  const TemporaryFolder folder;
  write_bytes(folder / "a.y4m", y4m("It A2:1"));
  const auto result = run_program(
      {"encode", (folder / "a.y4m").string(), "-o", (folder / "a.safetensors").string()});
  expect_done(result);
  for (const auto* line : {"a.y4m: has pixels of 2:1: brought from 64x64 to 128x64", "a.y4m: is interlaced"})
    EXPECT_NE(result.err.find(line), std::string::npos) << result.err;
  const auto info = run_program({"info", (folder / "a.y4m").string(), "--json"});
  expect_done(info);
  EXPECT_EQ(nlohmann::json::parse(info.out).at("width"), 128);
}

TEST(CliMedia, AFileThatWasCutShortEndsWithThree) {
  const TemporaryFolder folder;
  expect_done(run_program(quick_clip(folder / "clip.mkv")));
  const auto whole = bytes_of(folder / "clip.mkv");
  write_bytes(folder / "cut.mkv", whole.substr(0, whole.size() - 1));
  expect_refused(
      run_program({"encode", (folder / "cut.mkv").string(), "-o", (folder / "a.safetensors").string()}), 3,
      {"cut.mkv: is shorter than it says: it has " + std::to_string(whole.size() - 1) + " of " +
       std::to_string(whole.size()) + " bytes"});
}

}  // namespace t2v::test
