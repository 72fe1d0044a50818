// Every kind of output with every call of the file layer failing in turn.
#include "faulty_files.h"
#include "support.h"

namespace t2v::test {
namespace {

void write_clip(const std::filesystem::path& path) {
  write_all(options_for(path, patches(32, 16)), {patches(32, 16), patches(32, 16, 1), patches(32, 16, 2)});
}

TEST(OutputFaults, AMovieIsCompleteOrAbsentAfterEveryFault) {
  for (const char* name : {"clip.mp4", "clip.mkv"})
    expect_complete_or_absent_after_every_fault([&](const auto& folder) { write_clip(folder / name); });
}

TEST(OutputFaults, RawVideoIsCompleteOrAbsentAfterEveryFault) {
  expect_complete_or_absent_after_every_fault([](const auto& folder) { write_clip(folder / "clip.y4m"); });
}

TEST(OutputFaults, ImagesAreCompleteOrAbsentAfterEveryFault) {
  expect_complete_or_absent_after_every_fault(
      [](const auto& folder) { write_clip(folder / "frame-%02d.png"); }, 1);
}

TEST(OutputFaults, AnEncoderOnItsOwnThreadHandsTheFaultOn) {
  expect_complete_or_absent_after_every_fault([](const auto& folder) {
    const auto sink = make_threaded_sink(open_encoder(options_for(folder / "clip.mp4", patches(32, 16))));
    for (int i = 0; i < 3; ++i) sink->write(patches(32, 16, i));
    sink->finish();
  });
}

TEST(OutputFaults, ShortAndInterruptedWritesMakeTheSameFiles) {
  for (const char* name : {"clip.mp4", "clip.mov", "clip.mkv", "clip.y4m", "frame-%02d.png"})
    expect_same_after_short_and_interrupted_writes([&](const auto& folder) { write_clip(folder / name); });
}

}  // namespace
}  // namespace t2v::test
