#include "train/run/report.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "bytes.h"
#include "paths.h"

namespace t2v {
namespace {

TEST(TrainingReport, ShowsCurvesAndTheSamePromptsOverTime) {
  const test::TemporaryFolder run;
  // Clips and judged.jsonl as t2v eval world writes them. The second evaluation's second file is gone.
  const auto evaluate = [&](int64_t step, const std::string& clip, bool right, bool second) {
    const auto folder = run / "samples" / sample_folder_name("1-denoiser", step);
    std::filesystem::create_directories(folder);
    test::write_bytes(folder / "00000.mp4", clip);
    if (second) test::write_bytes(folder / "00001.mp4", clip + "2");
    const nlohmann::json first = {
        {"file_name", "00000.mp4"}, {"prompt", "a <b> star"}, {"right", {{"all_four", right}}}};
    const nlohmann::json other = {
        {"file_name", "00001.mp4"}, {"prompt", "lost"}, {"right", {{"all_four", false}}}};
    test::write_bytes(folder / "judged.jsonl", first.dump() + "\n" + other.dump() + "\nnot JSON\n");
  };
  evaluate(900, "blur", false, true);
  evaluate(1000, "clip", true, false);
  append_metrics(run.path(), {{"stage", "1-denoiser"}, {"step", 20}, {"seconds", 60}, {"loss", 0.5}});
  append_metrics(run.path(), {{"stage", "1-denoiser"}, {"step", 40}, {"seconds", 120}, {"loss", 0.25}});
  write_training_report(run.path());
  const auto page = test::bytes_of(run / "report.html");
  EXPECT_NE(page.find("<h2>1-denoiser</h2>"), std::string::npos);
  EXPECT_NE(page.find("<polyline"), std::string::npos);
  EXPECT_NE(page.find(">loss 0.25<"), std::string::npos);
  // A row for each prompt, a column for each evaluation, the later one to the right.
  const auto row = page.find("<tr><th>a &lt;b&gt; star</th>"), end = page.find("</tr>", row);
  const auto before = page.find("base64,Ymx1cg=='></video><small></small></td>", row);
  const auto after = page.find("base64,Y2xpcA=='></video><small>✓</small></td>", row);
  EXPECT_LT(row, before);
  EXPECT_LT(before, after);
  EXPECT_LT(after, end);
  EXPECT_NE(page.find("<small></small></td><td></td></tr>", end), std::string::npos);
}

TEST(TrainingReport, ShowsAFewOfManyEvaluationsAndTheLast) {
  const test::TemporaryFolder run;
  for (int64_t step = 1; step <= 30; ++step) {
    const auto folder = run / "samples" / sample_folder_name("s", step);
    std::filesystem::create_directories(folder);
    test::write_bytes(folder / "00000.mp4", "clip");
    test::write_bytes(folder / "judged.jsonl", R"({"file_name": "00000.mp4", "prompt": "p"})");
  }
  write_training_report(run.path());
  const auto page = test::bytes_of(run / "report.html");
  EXPECT_NE(page.find("<th>" + sample_folder_name("s", 30) + "</th>"), std::string::npos);
  std::size_t shown = 0;
  for (auto at = page.find("<video"); at != std::string::npos; at = page.find("<video", at + 1)) ++shown;
  EXPECT_EQ(shown, 8U);
}

}  // namespace
}  // namespace t2v
