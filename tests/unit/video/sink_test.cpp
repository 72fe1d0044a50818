#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <latch>

#include "support.h"
#include "video/scaler.h"

namespace t2v::test {
namespace {

struct Record {
  std::vector<Frame> frames;
  bool finished = false;
  bool destroyed = false;
};

class RecordingSink : public FrameSink {
 public:
  explicit RecordingSink(Record& record, long fails_at = -1, std::latch* gate = nullptr)
      : record_(record), fails_at_(fails_at), gate_(gate) {}
  ~RecordingSink() override { record_.destroyed = true; }
  void write(const Frame& frame) override {
    if (gate_ != nullptr) gate_->wait();
    if (static_cast<long>(record_.frames.size()) == fails_at_) throw Error(ErrorKind::output, "disk full");
    record_.frames.push_back(frame);
  }
  void finish() override {
    if (fails_at_ == -2) throw Error(ErrorKind::output, "cannot rename");
    record_.finished = true;
  }

 private:
  Record& record_;
  long fails_at_;
  std::latch* gate_;
};

TEST(ThreadedSink, HandsFramesOnInOrder) {
  Record record;
  const auto sink = make_threaded_sink(std::make_unique<RecordingSink>(record), 3);
  for (unsigned i = 0; i < 100; ++i) sink->write(noise(4, 4, i));
  sink->finish();
  ASSERT_EQ(record.frames.size(), 100u);
  for (unsigned i = 0; i < 100; ++i) EXPECT_EQ(record.frames[i].rgb, noise(4, 4, i).rgb) << i;
  EXPECT_TRUE(record.finished);
}

TEST(ThreadedSink, ErrorWhileTheQueueIsFullReachesTheWriter) {
  Record record;
  std::latch gate(1);
  const auto sink = make_threaded_sink(std::make_unique<RecordingSink>(record, 0, &gate), 2);
  sink->write(noise(4, 4));  // the sink holds this one at the gate
  sink->write(noise(4, 4));
  sink->write(noise(4, 4));  // may wait for a place until the first has been taken
  std::thread opener([&] { gate.count_down(); });
  expect_error(ErrorKind::output, {"disk full"}, [&] {
    for (int i = 0; i < 10; ++i) sink->write(noise(4, 4));
  });
  opener.join();
  expect_error(ErrorKind::output, {"disk full"}, [&] { sink->write(noise(4, 4)); });
  expect_error(ErrorKind::output, {"disk full"}, [&] { sink->finish(); });
  EXPECT_FALSE(record.finished);
}

TEST(ThreadedSink, ErrorOfTheLastFrameAndOfFinishReachFinish) {
  for (const long fails_at : {0L, -2L}) {
    Record record;
    const auto sink = make_threaded_sink(std::make_unique<RecordingSink>(record, fails_at), 8);
    sink->write(noise(4, 4));
    expect_error(ErrorKind::output, {fails_at == 0 ? "disk full" : "cannot rename"}, [&] { sink->finish(); });
  }
}

TEST(ThreadedSink, DiscardsWithoutFinish) {
  Record record;
  std::latch gate(1);
  {
    const auto sink = make_threaded_sink(std::make_unique<RecordingSink>(record, -1, &gate), 8);
    for (int i = 0; i < 5; ++i) sink->write(noise(4, 4));
    gate.count_down();
  }
  EXPECT_TRUE(record.destroyed);
  EXPECT_FALSE(record.finished);
  TemporaryFolder folder;
  make_threaded_sink(open_encoder(options_for(folder / "clip.mp4", patches())))->write(patches());
  EXPECT_TRUE(names_in(folder.path()).empty());
}

TEST(ThreadedSink, WritesTheSameFile) {
  TemporaryFolder folder;
  write_all(options_for(folder / "a.mp4", patches()), std::vector<Frame>(20, patches()));
  const auto sink = make_threaded_sink(open_encoder(options_for(folder / "b.mp4", patches())));
  for (int i = 0; i < 20; ++i) sink->write(patches());
  sink->finish();
  EXPECT_EQ(bytes_of(folder / "a.mp4"), bytes_of(folder / "b.mp4"));
}

// What a sink receives from the resizing sink.
Frame resized(const Frame& frame, const Resize& resize) {
  Record record;
  const auto sink = make_resizing_sink(std::make_unique<RecordingSink>(record), frame.width, frame.height,
                                       resize);
  sink->write(frame);
  sink->finish();
  EXPECT_TRUE(record.finished);
  return record.frames.at(0);
}

TEST(Resize, NearestMakesExactBlocks) {
  const auto frame = noise(7, 5);
  const auto large = resized(frame, {21, 20, true});
  for (int y = 0; y < 20; ++y)
    for (int x = 0; x < 21; ++x)
      for (int c = 0; c < 3; ++c)
        ASSERT_EQ(large.rgb[(y * 21 + x) * 3 + c], frame.rgb[(y / 4 * 7 + x / 3) * 3 + c]) << x << "," << y;
  EXPECT_EQ(resized(large, {7, 5, true}).rgb, frame.rgb);
}

TEST(Resize, LanczosKeepsFlatColourExactly) {
  for (const auto& colour : patch_colours) {
    Frame flat{16, 12, {}};
    for (int i = 0; i < 16 * 12; ++i) flat.rgb.insert(flat.rgb.end(), colour.begin(), colour.end());
    for (const auto& size : {Resize{64, 48}, Resize{37, 5}, Resize{16, 12}}) {
      const auto result = resized(flat, size);
      ASSERT_EQ(result.width, size.width);
      ASSERT_EQ(result.height, size.height);
      for (std::size_t i = 0; i < result.rgb.size(); ++i) ASSERT_EQ(result.rgb[i], colour[i % 3]);
    }
  }
}

TEST(Resize, LanczosKeepsARampInPlace) {
  Frame ramp{32, 8, {}};
  for (int y = 0; y < 8; ++y)
    for (int x = 0; x < 32; ++x)
      ramp.rgb.insert(ramp.rgb.end(), {static_cast<uint8_t>(x * 8), static_cast<uint8_t>(y * 16),
                                       static_cast<uint8_t>(255 - x * 8)});
  const auto large = resized(ramp, {128, 32});
  for (int y = 12; y < 20; ++y)  // away from the edges
    for (int x = 16; x < 112; ++x) {
      const auto* pixel = large.rgb.data() + (y * 128 + x) * 3;
      EXPECT_NEAR(pixel[0], ((x + 0.5) / 4 - 0.5) * 8, 1.5) << x;
      EXPECT_NEAR(pixel[1], ((y + 0.5) / 4 - 0.5) * 16, 2.5) << y;
      EXPECT_NEAR(pixel[2], 255 - ((x + 0.5) / 4 - 0.5) * 8, 1.5) << x;
    }
}

TEST(Resize, EncoderWritesTheSizeAskedFor) {
  TemporaryFolder folder;
  auto options = options_for(folder / "clip.mp4", noise(31, 17));
  options.resize = Resize{128, 64};
  write_all(options, {noise(31, 17)});
  EXPECT_EQ(open_video(options.path)->info().width, 128);
  EXPECT_EQ(open_video(options.path)->info().height, 64);
  options.path = folder / "a.png";
  options.resize = Resize{62, 34, true};
  write_all(options, {noise(31, 17)});
  EXPECT_EQ(read_all(options.path).at(0).rgb, resized(noise(31, 17), {62, 34, true}).rgb);
}

TEST(Conversion, ChromaSitsWhereItIsTaggedToSit) {
  // A ramp from blue to yellow: with chroma at the left of each pair, sample x of Cb is that of luma column
  // 2x.
  Frame ramp{64, 16, {}};
  for (int y = 0; y < 16; ++y)
    for (int x = 0; x < 64; ++x)
      ramp.rgb.insert(ramp.rgb.end(), {static_cast<uint8_t>(x * 4), static_cast<uint8_t>(x * 4),
                                       static_cast<uint8_t>(255 - x * 4)});
  const PictureFormat rgb{64, 16};
  const PictureFormat yuv{64, 16, AV_PIX_FMT_YUV420P, AVCOL_SPC_BT709, false};
  const auto from = make_picture(rgb), to = make_picture(yuv);
  copy_to_picture(ramp, *from);
  scale(*make_scaler(rgb, yuv, SWS_BILINEAR), *from, *to);
  for (int x = 2; x < 30; ++x) {
    const double r = 8 * x, b = 255 - 8 * x;
    const double luma = 0.2126 * r + 0.7152 * r + 0.0722 * b;
    EXPECT_NEAR(to->data[1][4 * to->linesize[1] + x], 128 + (b - luma) / 1.8556 * 224 / 255, 1.2) << x;
  }
}

// Runs `action` in a child whose files may grow to `bytes` only; the exit status is that of the Error it
// throws.
int exit_code_with_file_limit(long bytes, const std::function<void()>& action) {
  const auto child = ::fork();
  if (child == 0) {
    ::signal(SIGXFSZ, SIG_IGN);
    const rlimit limit{static_cast<rlim_t>(bytes), static_cast<rlim_t>(bytes)};
    ::setrlimit(RLIMIT_FSIZE, &limit);
    try {
      action();
    } catch (const Error& error) {
      const bool says_why = std::string(error.what()).find("File too large") != std::string::npos;
      ::_exit(says_why ? error.exit_code() : 99);
    }
    ::_exit(0);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

TEST(WriteError, EndsWithTheReasonAndLeavesNothing) {
  for (const auto* name : {"clip.mp4", "clip.mov", "clip.mkv", "clip.y4m", "clip%d.png"}) {
    TemporaryFolder folder;
    const auto action = [&] {
      std::vector<Frame> frames;
      for (unsigned i = 0; i < 40; ++i) frames.push_back(noise(128, 128, i));
      write_all(options_for(folder / name, frames[0]), frames);
    };
    // From the first byte, in the middle, and (for the indices that come last) near the end.
    for (const long limit : {0L, 20'000L, 300'000L}) {
      const bool one_image_fits = std::string(name) == "clip%d.png" && limit > 100'000;
      EXPECT_EQ(exit_code_with_file_limit(limit, action), one_image_fits ? 0 : 4)
          << name << " limited to " << limit << " bytes";
      for (const auto& left : names_in(folder.path())) {
        EXPECT_TRUE(one_image_fits) << left;
        std::filesystem::remove(folder / left);
      }
    }
    EXPECT_EQ(exit_code_with_file_limit(100'000'000, action), 0) << name;
  }
}

TEST(WriteError, ClosedStandardOutputIsAnError) {
  const auto child = ::fork();
  if (child == 0) {
    ::signal(SIGPIPE, SIG_IGN);  // as the program does
    int ends[2];
    if (::pipe(ends) != 0) ::_exit(98);
    ::close(ends[0]);
    ::dup2(ends[1], STDOUT_FILENO);
    try {
      write_all(options_for("-", noise(64, 64)), {noise(64, 64)});
    } catch (const Error& error) {
      ::_exit(std::string(error.what()).find("Broken pipe") != std::string::npos ? error.exit_code() : 99);
    }
    ::_exit(0);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  EXPECT_EQ(WEXITSTATUS(status), 4);
}

}  // namespace
}  // namespace t2v::test
