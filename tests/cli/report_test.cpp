// t2v report: the page of a batch, as a file and in a browser.
#include <cstdlib>
#include <regex>

#include "batch_support.h"

namespace t2v::test {
namespace {

// A batch whose prompts would like to be programs.
class Report : public ::testing::Test {
 protected:
  void SetUp() override {
    write_bytes(folder / "jobs.jsonl",
                R"({"id": "circle", "prompt": "a red circle bouncing on a navy background", "seed": 30, "frames": 5}
{"id": "script", "prompt": "a star </script><script>document.title='owned'</script>", "seed": 4}
{"id": "event", "prompt": "a heart \"><img src=x onerror=\"document.title='owned'\">' onpointerenter='document.title=1", "seed": 200}
{"id": "still", "prompt": "a blue ring", "output": "{id}/%03d.png", "seed": 1}
)");
    expect_done(run_program(batch(folder / "jobs.jsonl", out)));
  }
  std::string page(const Arguments& more = {}) {
    Arguments arguments = {"report", out.string()};
    arguments.insert(arguments.end(), more.begin(), more.end());
    const auto result = run_program(arguments);
    expect_done(result);
    EXPECT_EQ(result.out, (out / "report.html").string() + "\n");
    said = result.err;
    return bytes_of(out / "report.html");
  }
  TemporaryFolder folder;
  std::filesystem::path out = folder / "out";
  std::string said;
};

int count(const std::string& text, const std::string& part) {
  int found = 0;
  for (auto at = text.find(part); at != std::string::npos; at = text.find(part, at + part.size())) ++found;
  return found;
}

TEST_F(Report, HoldsEveryClipAndNeedsNothingElse) {
  const auto html = page();
  EXPECT_EQ(count(html, "<article "), 4);
  EXPECT_EQ(count(html, "src='data:video/mp4;base64,"), 3);
  EXPECT_EQ(count(html, "data:image/jpeg;base64,"), 4);
  EXPECT_EQ(count(html, "4 clips: 4 done."), 1);
  for (const char* part : {"seed 200", "<dt>steps</dt><dd>2</dd>", "a red circle bouncing on a navy background"})
    EXPECT_NE(html.find(part), std::string::npos) << part;
  EXPECT_EQ(html.find("http:"), std::string::npos);
  EXPECT_EQ(html.find("https:"), std::string::npos);
  EXPECT_EQ(html.find("<img src=x"), std::string::npos);
  EXPECT_EQ(html.find("<script>"), std::string::npos);
  EXPECT_NE(said.find("4 clips; 3 within the page"), std::string::npos) << said;
  EXPECT_EQ(page(), html);  // the same batch, the same page
}

TEST_F(Report, ClipsBeyondTheLimitArePlayedFromTheirFiles) {
  const auto html = page({"--embed", "0"});
  EXPECT_EQ(count(html, "data:video"), 0);
  EXPECT_EQ(count(html, "src='./circle.mp4'"), 1);
  EXPECT_NE(said.find("3 played from their files beside it"), std::string::npos) << said;
  const auto elsewhere = run_program({"report", out.string(), "--embed", "0", "-o", (folder / "sheet.html").string()});
  expect_done(elsewhere);
  EXPECT_EQ(count(bytes_of(folder / "sheet.html"), "src='./out/circle.mp4'"), 1);
}

TEST_F(Report, SaysWhatIsMissingChangedAndFailed) {
  std::filesystem::remove(out / "circle.mp4");
  write_bytes(out / "script.mp4", "something else");
  write_bytes(folder / "more.jsonl", failing_item(folder.path()).dump() + "\n");
  EXPECT_EQ(run_program(batch(folder / "more.jsonl", out)).code, 7);
  const auto html = page();
  EXPECT_EQ(count(html, "data-state='missing'"), 1);
  EXPECT_EQ(count(html, "data-state='changed'"), 1);
  EXPECT_EQ(count(html, "data-state='done'"), 2);
  EXPECT_EQ(count(html, "data:video"), 1);
  EXPECT_EQ(count(html, "data-state='failed'"), 1);
  EXPECT_NE(html.find("exit 6, NaN or infinity: "), std::string::npos);
}

TEST(ReportErrors, AreClear) {
  TemporaryFolder folder;
  expect_refused(run_program({"report", folder.path().string()}), 2, {"holds no manifest of t2v batch"});
  expect_refused(run_program({"report"}), 2, {"folder is required"});
  std::filesystem::create_directories(folder / ".t2v");
  write_bytes(folder / ".t2v/shard-0-of-1.sqlite", "SQLite format 3, not at all");
  expect_refused(run_program({"report", folder.path().string()}), 3, {"shard-0-of-1.sqlite"});
  EXPECT_EQ(names_in(folder.path()), std::vector<std::string>{".t2v"});
}

// What a browser has made of the page, with the bytes of pictures and clips left out. It has no network.
std::string in_browser(const std::filesystem::path& page, const std::string& view, const std::filesystem::path& folder) {
  const auto dom = folder / "dom.html";
  const auto command =
      "unshare --net --map-root-user true 2>/dev/null && offline='unshare --net --map-root-user'; \\$offline "
      "chromium-headless-shell --headless --no-sandbox --disable-gpu --window-size=2000,2000 --virtual-time-budget=20000 "
      "--user-data-dir='" +
      (folder / "browser").string() + "' --dump-dom 'file://" + page.string() + "#" + view + "' >'" + dom.string() + "' 2>/dev/null";
  if (std::system(("timeout 120 sh -c \"" + command + "\"").c_str()) != 0) ADD_FAILURE() << command;
  return std::regex_replace(bytes_of(dom), std::regex("base64,[A-Za-z0-9+/=]*"), "");
}

std::vector<std::string> shown_ids(const std::string& dom) {
  std::vector<std::string> ids;
  const std::regex article("<article ([^>]*)>[^]*?</span> · #[0-9]+ · ([a-z]+) ·");
  for (std::sregex_iterator at(dom.begin(), dom.end(), article), end; at != end; ++at)
    if ((*at)[1].str().find("hidden") == std::string::npos) ids.push_back((*at)[2]);
  return ids;
}

TEST_F(Report, WorksInABrowser) {
  if (std::system("command -v chromium-headless-shell >/dev/null") != 0) GTEST_SKIP() << "chromium-headless-shell is not installed";
  page();
  const auto file = out / "report.html";
  using Ids = std::vector<std::string>;

  // A clip is played in real time, which the browser's clock for pages does not wait for.
  std::string playing;
  for (int attempt = 0; attempt < 5 && count(playing, "class=\"picture small played\"") < 3; ++attempt)
    playing = in_browser(file, "play=all", folder.path());
  EXPECT_EQ(count(playing, "<title>out</title>"), 1) << "a prompt's script ran";
  EXPECT_EQ(shown_ids(playing), (Ids{"circle", "script", "event", "still"}));
  EXPECT_EQ(count(playing, "class=\"picture small played\""), 3) << "clips that a browser has played";
  EXPECT_EQ(count(playing, "unplayable\""), 0);
  EXPECT_EQ(count(playing, ">4 clips</output>"), 1);

  EXPECT_EQ(shown_ids(in_browser(file, "sort=seed", folder.path())), (Ids{"still", "script", "circle", "event"}));
  const auto found = in_browser(file, "find=star+seed&state=done", folder.path());
  EXPECT_EQ(shown_ids(found), Ids{"script"});
  EXPECT_EQ(count(found, ">1 of 4 clips</output>"), 1);
  EXPECT_EQ(shown_ids(in_browser(file, "state=failed", folder.path())), Ids{});
}

}  // namespace
}  // namespace t2v::test
