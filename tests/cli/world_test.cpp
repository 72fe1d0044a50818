// t2v world render: the files, what they say about themselves, and what is refused.
#include <fstream>
#include <nlohmann/json.hpp>

#include "expect.h"
#include "paths.h"
#include "video/read/decoder.h"

namespace t2v::test {

namespace {

nlohmann::json render(const std::filesystem::path& out, const Arguments& more) {
  Arguments arguments{"world", "render", "--json", "--progress", "none", "--out", out.string()};
  arguments.insert(arguments.end(), more.begin(), more.end());
  const auto result = run_program(arguments);
  expect_done(result);
  return nlohmann::json::parse(result.out);
}

}  // namespace

TEST(CliWorld, WritesVideosWithTheirScenes) {
  const TemporaryFolder folder;
  const auto out = folder / "new" / "truth";
  const auto list = render(out, {"--prompts", "3", "--seed", "3", "--size", "96x64", "--frames", "33"});
  ASSERT_EQ(list.size(), 3U);
  for (const auto& item : list) {
    const auto video = out / item["file_name"].get<std::string>();
    const auto reader = open_video(video);
    EXPECT_EQ(reader->info().width, 96);
    EXPECT_EQ(reader->info().height, 64);
    EXPECT_EQ(reader->info().fps.numerator, 8);
    int64_t frames = 0, said = 0;
    while (reader->read()) ++frames;
    EXPECT_EQ(frames, 33);
    for (const auto& shot : item["scene"]["shots"]) {
      EXPECT_EQ(shot["first_frame"], said);
      said += shot["frames"].get<int64_t>();
      EXPECT_TRUE(shot["place"].is_string() && shot["camera"].is_string());
      for (const auto& thing : shot["things"]) {
        EXPECT_FALSE(thing["held_out"].get<bool>());
        EXPECT_EQ(thing["track"].size(), shot["frames"].get<std::size_t>());
      }
    }
    EXPECT_EQ(said, 33);
    EXPECT_FALSE(item["caption"].get<std::string>().empty());
    auto beside = video;
    std::ifstream file(beside.replace_extension(".json"));
    EXPECT_EQ(nlohmann::json::parse(file), item);
  }
}

TEST(CliWorld, TheSameSeedGivesTheSameFiles) {
  const TemporaryFolder folder;
  render(folder / "a", {"--prompts", "2", "--seed", "5", "--frames", "5"});
  render(folder / "b", {"--prompts", "3", "--seed", "5", "--frames", "5"});
  render(folder / "c", {"--prompts", "1", "--seed", "6", "--frames", "5"});
  for (const char* name : {"00000.mp4", "00001.mp4", "00000.json"})
    EXPECT_EQ(bytes_of(folder / "a" / name), bytes_of(folder / "b" / name)) << name;
  EXPECT_NE(bytes_of(folder / "a" / "00000.mp4"), bytes_of(folder / "c" / "00000.mp4"));
}

TEST(CliWorld, HeldOutShowsOnlyWhatIsNeverTrained) {
  const TemporaryFolder folder;
  const Arguments held{"--prompts", "6", "--frames", "1", "--held-out"};
  for (const auto& item : render(folder / "two", held)) {
    EXPECT_EQ(item["file_name"].get<std::string>().substr(5), ".png");
    for (const auto& thing : item["scene"]["shots"][0]["things"]) EXPECT_TRUE(thing["held_out"].get<bool>());
  }
  auto one = held;
  one.insert(one.end(), {"--world", "1"});
  for (const auto& item : render(folder / "one", one))
    for (const auto& object : item["scene"]["objects"]) EXPECT_TRUE(object["held_out"].get<bool>());
}

TEST(CliWorld, PrintsTheNamesOfItsFiles) {
  const TemporaryFolder folder;
  const auto result = run_program({"world", "render", "--prompts", "2", "--frames", "1", "--size", "32x32",
                                   "--out", folder.path().string()});
  expect_done(result);
  EXPECT_EQ(result.out, (folder / "00000.png").string() + "\n" + (folder / "00001.png").string() + "\n");
}

TEST(CliWorld, RefusesWhatItCannotDraw) {
  const TemporaryFolder folder;
  const auto refused = [&](const Arguments& more, int code, const std::vector<std::string>& parts) {
    Arguments arguments{"world", "render", "--out", (folder / "out").string()};
    arguments.insert(arguments.end(), more.begin(), more.end());
    expect_refused(run_program(arguments), code, parts);
  };
  refused({"--world", "3"}, 2, {"--world should be 1 or 2", "3"});
  refused({"--frames", "0"}, 2, {"--frames", "0"});
  refused({"--prompts", "0"}, 2, {"--prompts", "0"});
  refused({"--size", "8x8"}, 2, {"--size", "16 to 2048"});
  refused({"--size", "large"}, 2, {"--size"});
  refused({"--size", "65x64"}, 2, {"65x64"});
  EXPECT_EQ(
      run_program({"world", "render", "--json", "--progress", "openjd", "--out", folder.path().string()})
          .code,
      2);
  EXPECT_FALSE(std::filesystem::exists(folder / "out" / "00000.mp4"));
  std::ofstream(folder / "file").put('x');
  expect_refused(run_program({"world", "render", "--out", (folder / "file" / "in").string()}), 4, {"file"});
}

}  // namespace t2v::test
