// The tests of networks, layers and rooms below them as one program, on any device (T2V_TEST_DEVICE). With
// --table OUT it runs them stage by stage, each in a process with its own time limit, and writes the table.
#include <ATen/Context.h>
#include <gtest/gtest.h>

#include <cstring>
#include <fstream>

#include "base/cuda_library.h"
#include "device.h"
#include "nn/ops.h"
#include "table.h"

namespace t2v::test {
namespace {

// Adds what begins and how it ends to T2V_TEST_RECORD, so that a crash leaves what was seen before it.
class Recorder : public testing::EmptyTestEventListener {
 public:
  explicit Recorder(std::string file) : file_(std::move(file)) {}
  void OnTestStart(const testing::TestInfo& test) override { write({{"begins", name_of(test)}}); }
  void OnTestEnd(const testing::TestInfo& test) override {
    const auto& result = *test.result();
    write({{"test", name_of(test)},
           {"file", test.file()},
           {"result", result.Skipped()  ? "skipped"
                      : result.Passed() ? "ok"
                                        : "failed"},
           {"seconds", static_cast<double>(result.elapsed_time()) / 1000}});
  }

 private:
  static std::string name_of(const testing::TestInfo& test) {
    return std::string(test.test_suite_name()) + "." + test.name();
  }
  void write(const nlohmann::json& line) const { std::ofstream(file_, std::ios::app) << line.dump() << "\n"; }

  std::string file_;
};

}  // namespace
}  // namespace t2v::test

int main(int argc, char** argv) {
  using namespace t2v;
  if (test::device().is_cuda()) {
    load_cuda_library();
    if (!at::hasCUDA() || at::getNumGPUs() == 0) {
      std::fprintf(stderr, "error: no CUDA device: %s\n", why_no_cuda_device().c_str());
      return 2;
    }
  }
  if (argc == 3 && std::strcmp(argv[1], "--table") == 0) return test::make_table(argv[2]);
  testing::InitGoogleTest(&argc, argv);
  use_attention_order();
  at::globalContext().setAllowTF32CuDNN(false);
  at::globalContext().setAllowTF32CuBLAS(false);
  if (const char* file = std::getenv("T2V_TEST_RECORD"); file != nullptr)
    testing::UnitTest::GetInstance()->listeners().Append(new test::Recorder(file));
  return RUN_ALL_TESTS();
}
