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
    write_bytes(
        folder / "jobs.jsonl",
        R"({"id": "circle", "prompt": "a red circle bouncing on a navy background", "seed": 30, "frames": 5}
{"id": "script", "prompt": "a star </script><script>document.title='owned'</script>", "seed": 4}
{"id": "event", "prompt": "a heart \"><img src=x onerror=\"document.title='owned'\">' onpointerenter='document.title=1", "seed": 200}
{"id": "still", "prompt": "a blue ring \u202egnir\u2066", "output": "{id}/%03d.png", "seed": 1}
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
  for (const char* part :
       {"seed 200", "<dt>steps</dt><dd>2</dd>", "a red circle bouncing on a navy background"})
    EXPECT_NE(html.find(part), std::string::npos) << part;
  EXPECT_EQ(html.find("http:"), std::string::npos);
  EXPECT_EQ(html.find("https:"), std::string::npos);
  EXPECT_EQ(html.find("<img src=x"), std::string::npos);
  EXPECT_EQ(html.find("<script>"), std::string::npos);
  EXPECT_NE(html.find("a blue ring \uFFFDgnir\uFFFD</h2>"), std::string::npos);
  EXPECT_NE(html.find("<a href='./circle.mp4'>circle.mp4</a>"), std::string::npos);
  EXPECT_NE(said.find("4 clips; 3 within the page"), std::string::npos) << said;
  EXPECT_EQ(page(), html);  // the same batch, the same page
}

TEST_F(Report, ClipsBeyondTheLimitArePlayedFromTheirFiles) {
  const auto html = page({"--embed", "0"});
  EXPECT_EQ(count(html, "data:video"), 0);
  EXPECT_EQ(count(html, "src='./circle.mp4'"), 1);
  EXPECT_NE(said.find("3 played from their files beside it"), std::string::npos) << said;
  const auto elsewhere = run_program(
      {"report", out.string(), "--embed", "0", "-o", (folder / "sheet.html").string()});
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

TEST_F(Report, ReplacesNothingButAPage) {
  const auto clip = bytes_of(out / "circle.mp4");
  expect_refused(run_program({"report", out.string(), "-o", (out / "circle.mp4").string()}), 2,
                 {"circle.mp4", "NAME.html"});
  EXPECT_EQ(bytes_of(out / "circle.mp4"), clip);
  expect_refused(run_program({"report", out.string(), "-o", "-"}), 2, {"NAME.html"});
  std::filesystem::create_directory(folder / "taken.html");
  expect_refused(run_program({"report", out.string(), "-o", (folder / "taken.html").string()}), 4,
                 {"taken.html: is there already"});
  expect_refused(run_program({"report", out.string(), "-o", (folder / "no/sheet.html").string()}), 4,
                 {"no/sheet.html: cannot be written"});
  EXPECT_EQ(names_in(folder.path()), (std::vector<std::string>{"jobs.jsonl", "out", "taken.html"}));
}

TEST_F(Report, DanglingLinksAndFoldersAreNoClips) {
  std::filesystem::remove(out / "circle.mp4");
  std::filesystem::remove(out / "script.mp4");
  std::filesystem::create_symlink(folder / "nothing", out / "circle.mp4");
  std::filesystem::create_directory(out / "script.mp4");
  const auto html = page();
  EXPECT_EQ(count(html, "data-state='missing'"), 2);
  EXPECT_EQ(count(html, "data:video"), 1);
}

TEST(ReportOfUnfinished, ShowsWhatIsBeingMadeAndWhatWaits) {
  TemporaryFolder folder;
  write_bytes(folder / "prompts.txt", numbered_prompts(64));
  const auto out = folder / "out";
  const auto html = [&] {
    expect_done(run_program({"report", out.string()}));
    return bytes_of(out / "report.html");
  };
  {
    Program working(batch(folder / "prompts.txt", out, {"--steps", "1000"}));
    working.wait_for("load 3/3");
    for (int attempt = 0; attempt < 300 && count(html(), "data-state='running'") == 0; ++attempt)
      std::this_thread::sleep_for(std::chrono::milliseconds(100));
    const auto during = html();
    EXPECT_GT(count(during, "data-state='running'"), 0);
    EXPECT_EQ(count(during, "data-state='running'") + count(during, "data-state='pending'"), 64);
  }  // kill -9
  const auto after = html();
  EXPECT_EQ(count(after, "64 clips: 64 pending."), 1);
  EXPECT_EQ(count(after, "Not made yet."), 64);
}

TEST(ReportErrors, AreClear) {
  TemporaryFolder folder;
  expect_refused(run_program({"report", folder.path().string()}), 2, {"holds no manifest of t2v batch"});
  expect_refused(run_program({"report", (folder / "nowhere").string()}), 2,
                 {"nowhere: holds no manifest of t2v batch"});
  expect_refused(run_program({"report"}), 2, {"folder is required"});
  std::filesystem::create_directories(folder / ".t2v");
  write_bytes(folder / ".t2v/shard-0-of-1.sqlite", "SQLite format 3, not at all");
  expect_refused(run_program({"report", folder.path().string()}), 3, {"shard-0-of-1.sqlite"});
  EXPECT_EQ(names_in(folder.path()), std::vector<std::string>{".t2v"});
  write_bytes(folder / ".t2v/shard-0-of-1.sqlite", "");  // as a run that was killed at once leaves it
  expect_done(run_program({"report", folder.path().string() + "/"}));
  const auto html = bytes_of(folder / "report.html");
  EXPECT_EQ(count(html, "No clips yet."), 1);
  EXPECT_EQ(count(html, "<h1>" + folder.path().filename().string() + "</h1>"), 1);
}

// What a browser has made of the page, with the bytes of pictures and clips left out. It has no network.
std::string in_browser(const std::filesystem::path& page, const std::string& view,
                       const std::filesystem::path& folder) {
  const auto dom = folder / "dom.html";
  const auto command =
      "unshare --net --map-root-user true 2>/dev/null && offline='unshare --net --map-root-user'; \\$offline "
      "chromium-headless-shell --headless --no-sandbox --disable-gpu --window-size=2000,2000 "
      "--virtual-time-budget=20000 "
      "--user-data-dir='" +
      (folder / "browser").string() + "' --dump-dom 'file://" + page.string() + "#" + view + "' >'" +
      dom.string() + "' 2>/dev/null";
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
  if (std::system("command -v chromium-headless-shell >/dev/null") != 0)
    GTEST_SKIP() << "chromium-headless-shell is not installed";
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

  EXPECT_EQ(shown_ids(in_browser(file, "sort=seed", folder.path())),
            (Ids{"still", "script", "circle", "event"}));
  const auto found = in_browser(file, "find=star+seed&state=done", folder.path());
  EXPECT_EQ(shown_ids(found), Ids{"script"});
  EXPECT_EQ(count(found, ">1 of 4 clips</output>"), 1);
  EXPECT_EQ(shown_ids(in_browser(file, "state=failed", folder.path())), Ids{});
  EXPECT_EQ(shown_ids(in_browser(file, "sort=prompt", folder.path())),
            (Ids{"still", "event", "circle", "script"}));
}

// The page with a script of the test's added, which the page lets run since it has the page's word, and one
// without it.
std::string with_probe(std::string html) {
  std::smatch nonce;
  if (!std::regex_search(html, nonce, std::regex("script nonce='([0-9a-f]+)'")))
    throw std::runtime_error("the page has no script");
  const std::string probe = "<script nonce='" + nonce[1].str() + R"('>
const found = { posters: [], clips: [], stills: [], blocked: [] };
const note = () => { document.body.dataset.found = JSON.stringify(found); };
addEventListener('securitypolicyviolation', event => { found.blocked.push(event.effectiveDirective); note(); });
fetch('http://127.0.0.1:9/').catch(() => {});
new Image().src = 'http://127.0.0.1:9/a.png';
for (const image of document.querySelectorAll('main img'))
  image.decode().then(() => { found.stills.push(`${image.naturalWidth}x${image.naturalHeight} ${image.alt}`); note(); });
for (const video of document.querySelectorAll('video')) {
  const poster = new Image();
  poster.onload = () => { found.posters.push(`${poster.naturalWidth}x${poster.naturalHeight}`); note(); };
  poster.src = video.poster;
  video.onloadedmetadata = () => { found.clips.push([video.videoWidth, video.videoHeight, video.duration]); note(); };
  video.preload = 'metadata';
  video.load();
}
</script>
<script>document.title = 'owned'</script>
)";
  return html.insert(html.rfind("</body>"), probe);
}

TEST_F(Report, PostersAndClipsAreWholeAndNothingElseIsLoaded) {
  if (std::system("command -v chromium-headless-shell >/dev/null") != 0)
    GTEST_SKIP() << "chromium-headless-shell is not installed";
  write_bytes(folder / "more.jsonl", failing_item(folder.path()).dump() + "\n");
  EXPECT_EQ(run_program(batch(folder / "more.jsonl", out)).code, 7);
  page();
  const auto frame = open_video(out / "circle.mp4")->read();
  ASSERT_TRUE(frame);
  const auto size = std::to_string(frame->width) + "x" + std::to_string(frame->height);
  write_bytes(folder / "probed.html", with_probe(bytes_of(out / "report.html")));

  nlohmann::json found;
  std::string dom;
  for (int attempt = 0; attempt < 5 && (found.empty() || found["clips"].size() < 3); ++attempt) {
    dom = in_browser(folder / "probed.html", "", folder.path());
    std::smatch data;
    ASSERT_TRUE(std::regex_search(dom, data, std::regex("data-found=\"([^\"]*)\"")));
    found = nlohmann::json::parse(std::regex_replace(data[1].str(), std::regex("&quot;"), "\""));
  }
  EXPECT_EQ(found["posters"], (nlohmann::json{size, size, size}));
  ASSERT_EQ(found["stills"].size(), 1U);
  EXPECT_EQ(found["stills"][0], size + " a blue ring \uFFFDgnir\uFFFD");
  ASSERT_EQ(found["clips"].size(), 3U);
  for (const auto& clip : found["clips"]) {
    EXPECT_EQ(clip[0], frame->width);
    EXPECT_EQ(clip[1], frame->height);
    EXPECT_GT(clip[2], 0);
  }
  for (const char* directive : {"script-src-elem", "connect-src", "img-src"})
    EXPECT_NE(found["blocked"].dump().find(directive), std::string::npos)
        << directive << " is not in " << found["blocked"];
  EXPECT_EQ(count(dom, "<title>out</title>"), 1) << "a script without the page's word ran";
  EXPECT_EQ(count(dom, ">5 clips</output>"), 1);
  EXPECT_EQ(count(dom, "exit 6, NaN or infinity: "), 1);
}

}  // namespace
}  // namespace t2v::test
