#include "batch/leftovers.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>

#include "base/atomic_file.h"
#include "paths.h"

namespace t2v {
namespace {

TEST(RemoveLeftovers, TakesTheTemporaryFilesOfItsItemsAndNothingElse) {
  const test::TemporaryFolder folder;
  std::filesystem::create_directory(folder / "frames");
  BatchItem movie{.file = "a.mp4"}, images{.file = "frames/f-%03d.png"};
  for (const char* name :
       {"a.mp4", ".a.mp4.t2v-12-0.tmp.mp4", ".a.mp4.json.t2v-12-3.tmp.json",
        "frames/.f-007.png.t2v-12-1.tmp.png", ".a.mp4.latents.safetensors.t2v-12-4.tmp.safetensors",
        "..a.mp4.checkpoint.safetensors.t2v-12-5.tmp.safetensors", ".a.mp4.checkpoint.safetensors",
        ".b.mp4.t2v-12-2.tmp.mp4", ".a.mp4.part", "b.mp4", ".t2v-rc", "frames/.other.png.t2v-1-1.tmp.png"})
    std::ofstream(folder / name) << "x";
  remove_leftovers({movie, images}, folder.path());
  std::vector<std::string> left;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(folder.path()))
    if (entry.is_regular_file())
      left.push_back(std::filesystem::relative(entry.path(), folder.path()).string());
  std::sort(left.begin(), left.end());
  EXPECT_EQ(left, (std::vector<std::string>{".a.mp4.checkpoint.safetensors", ".a.mp4.part",
                                            ".b.mp4.t2v-12-2.tmp.mp4", ".t2v-rc", "a.mp4", "b.mp4",
                                            "frames/.other.png.t2v-1-1.tmp.png"}));
}

TEST(RemoveLeftovers, KnowsTheNamesThatAtomicFileGives) {
  const test::TemporaryFolder folder;
  for (const auto& name : {std::string("a.mp4"), std::string(251, 'a') + ".mp4"}) {
    const AtomicFile file(folder / name);
    ASSERT_TRUE(std::filesystem::exists(file.temporary_path()));
    remove_leftovers({BatchItem{.file = name}}, folder.path());
    EXPECT_FALSE(std::filesystem::exists(file.temporary_path()));
  }
}

}  // namespace
}  // namespace t2v
