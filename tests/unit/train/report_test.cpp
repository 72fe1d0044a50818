#include "train/report.h"

#include <gtest/gtest.h>

#include "bytes.h"
#include "paths.h"

namespace t2v {
namespace {

TEST(TrainingReport, ShowsCurvesAndTheClipsOfTheLastEvaluation) {
  const test::TemporaryFolder run;
  std::filesystem::create_directories(run / "samples");
  test::write_bytes(run / "samples" / "00000.mp4", "clip");
  // As t2v eval world writes them; the second one's file is gone.
  test::write_bytes(run / "samples" / "judged.jsonl",
                    R"({"file_name": "00000.mp4", "prompt": "a <b> star", "right": {"all_four": true}})"
                    "\n"
                    R"({"file_name": "00001.mp4", "prompt": "lost", "right": {"all_four": false}})"
                    "\n");
  append_metrics(run.path(), {{"stage", "1-denoiser"}, {"step", 20}, {"seconds", 60}, {"loss", 0.5}});
  append_metrics(run.path(), {{"stage", "1-denoiser"}, {"step", 40}, {"seconds", 120}, {"loss", 0.25}});
  write_training_report(run.path());
  const auto page = test::bytes_of(run / "report.html");
  EXPECT_NE(page.find("<h2>1-denoiser</h2>"), std::string::npos);
  EXPECT_NE(page.find("<polyline"), std::string::npos);
  EXPECT_NE(page.find(">loss 0.25<"), std::string::npos);
  EXPECT_NE(page.find("src='data:video/mp4;base64,Y2xpcA=='"), std::string::npos);
  EXPECT_NE(page.find("a &lt;b&gt; star ✓"), std::string::npos);
  EXPECT_EQ(page.find("lost"), std::string::npos);
}

}  // namespace
}  // namespace t2v
