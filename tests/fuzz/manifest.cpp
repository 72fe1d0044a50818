// Any bytes as a shard's manifest: read by --status, and taken up again by a run.
#include "batch/manifest.h"

#include "input.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, std::size_t size) {
  using namespace t2v;
  static const test::TemporaryFolder folder;
  const auto path = manifest_path(folder.path(), {});
  std::filesystem::create_directories(path.parent_path());
  fuzz::write_input(path, data, size);
  fuzz::accepts([&] {
    for (const auto& row : read_manifest(path)) item_state_name(row.state);
  });
  fuzz::accepts([&] {
    Manifest manifest(folder.path(), {});
    const auto rows = manifest.rows();
    for (const auto& row : rows) {
      manifest.start(row.id);
      manifest.finish(row.id, {.bytes = 1, .hash = "h", .frames = 1});
    }
    manifest.enter(rows, {});
  });
  for (const auto& entry : std::filesystem::directory_iterator(path.parent_path()))
    std::filesystem::remove(entry.path());
  return 0;
}
