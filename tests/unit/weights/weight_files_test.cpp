#include "weights/weight_files.h"

#include <gtest/gtest.h>

#include "bytes.h"
#include "errors.h"
#include "paths.h"

namespace t2v {
namespace {

namespace fs = std::filesystem;

class FindWeightFiles : public testing::Test {
 protected:
  void add(const std::string& name, const std::string& bytes = "") const {
    test::write_bytes(folder / name, bytes);
  }
  void refused(const std::vector<std::string>& parts) const {
    auto all = parts;
    all.push_back(folder.path().string());
    test::expect_error(ErrorKind::bad_input, all, [&] { find_weight_files(folder.path(), "m"); });
  }
  test::TemporaryFolder folder;
};

TEST_F(FindWeightFiles, TakesTheSingleFileBeforeAnIndex) {
  add("m.safetensors");
  add("m.safetensors.index.json", "not read");
  const auto found = find_weight_files(folder.path(), "m");
  EXPECT_EQ(found.files, std::vector<fs::path>{folder / "m.safetensors"});
  EXPECT_TRUE(found.index.empty());
}

TEST_F(FindWeightFiles, GivesEachShardOnce) {
  add("m-1.safetensors");
  add("m-2.safetensors");
  add("m.safetensors.index.json",
      R"({"weight_map": {"a": "m-2.safetensors", "b": "m-1.safetensors", "c": "m-2.safetensors"}})");
  const auto found = find_weight_files(folder.path(), "m");
  EXPECT_EQ(found.files, (std::vector<fs::path>{folder / "m-1.safetensors", folder / "m-2.safetensors"}));
  EXPECT_EQ(found.index, folder / "m.safetensors.index.json");
  EXPECT_EQ(found.shard_of.at("c"), "m-2.safetensors");
}

TEST_F(FindWeightFiles, NamesShardsThatAreNotThere) {
  add("m-1.safetensors");
  add("m.safetensors.index.json",
      R"({"weight_map": {"a": "m-1.safetensors", "b": "m-2.safetensors", "c": "m-3.safetensors",
                         "d": "m-4.safetensors", "e": "m-5.safetensors"}})");
  refused({"m.safetensors.index.json", "5 files, of which 4 are not there",
           "m-2.safetensors, m-3.safetensors, m-4.safetensors, …", "Fetch"});
}

TEST_F(FindWeightFiles, SaysWhatIsThereInstead) {
  refused({"m.safetensors", "m.safetensors.index.json", "the folder is empty"});
  add("config.json");
  refused({"there are no weights"});
  add("m.bin");
  refused({"m.bin, a pickled file", "convert"});
  add("other.safetensors");
  refused({"other.safetensors", "rename it to m.safetensors"});
  add("m-00001-of-00002.safetensors");
  refused({"m-00001-of-00002.safetensors without its index", "Fetch m.safetensors.index.json"});
  add("m.fp16.safetensors");
  refused({"m.fp16.safetensors, the variant 'fp16'", "rename it to m.safetensors"});
  add("m.safetensors.index.fp16.json");
  refused({"m.safetensors.index.fp16.json, of the variant 'fp16'", "rename it to m.safetensors.index.json"});
  fs::create_symlink("blobs/m", folder / "m.safetensors");
  refused({"m.safetensors is a link to 'blobs/m', which is not there"});
}

TEST_F(FindWeightFiles, NamesPickledFilesOfEveryEnding) {
  for (const std::string name : {"m.bin", "m.pt", "m.pth", "m.ckpt", "m.pkl"}) {
    add(name);
    refused({name + ", a pickled file"});
    fs::remove(folder / name);
  }
}

TEST_F(FindWeightFiles, NamesAFileOfWhichNothingCanBeTold) {
  fs::create_symlink("m.safetensors", folder / "m.safetensors");
  refused({"m.safetensors: cannot be read", "symbolic links"});
  fs::remove(folder / "m.safetensors");
  test::expect_error(ErrorKind::bad_input, {(folder / "absent").string(), "cannot be read"},
                     [&] { find_weight_files(folder / "absent", "m"); });
}

}  // namespace
}  // namespace t2v
