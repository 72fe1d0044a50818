// t2v train alone, for a machine that has a card and no FFmpeg (tools/device-train):
//   t2v-train CONFIG RUN DEVICE MINUTES EXPORT [MODEL]
// RUN is the run's folder, EXPORT what is carried back: the model, the run's metrics and its report.
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>

#include "t2v/error.h"
#include "train/run/export.h"
#include "train/run/run.h"

namespace {

class Lines : public t2v::Observer {
 public:
  void note(const std::string& line) override {
    std::printf("%s\n", line.c_str());
    std::fflush(stdout);
  }
  void progress(const t2v::Progress& progress) override {
    const auto now = std::chrono::steady_clock::now();
    if (now - said_ < std::chrono::seconds(10)) return;
    said_ = now;
    note(progress.stage + " " + std::to_string(progress.done) + "/" + std::to_string(progress.total));
  }

 private:
  std::chrono::steady_clock::time_point said_ = std::chrono::steady_clock::now();
};

}  // namespace

int main(int argc, char** argv) try {
  if (argc < 6 || argc > 7)
    throw t2v::Error(t2v::ErrorKind::usage, "t2v-train CONFIG RUN DEVICE MINUTES EXPORT [MODEL]");
  t2v::TrainingRequest request;
  request.config = argv[1];
  request.out = argv[2];
  request.device = argv[3];
  request.minutes = std::strtod(argv[4], nullptr);
  if (argc == 7) request.models = {argv[6]};
  Lines lines;
  const auto model = t2v::run_training(request, lines);
  const std::filesystem::path out = argv[5];
  t2v::export_model(model, out / "model", 15 << 20);
  for (const char* file : {"metrics.jsonl", "report.html"}) {
    std::error_code absent;
    std::filesystem::copy_file(request.out / file, out / file,
                               std::filesystem::copy_options::overwrite_existing, absent);
  }
  return 0;
} catch (const t2v::Error& error) {
  std::fprintf(stderr, "error: %s\n", error.what());
  return error.exit_code();
} catch (const std::exception& error) {  // libtorch's
  std::fprintf(stderr, "error: %s\n", error.what());
  return 1;
}
