#include "batch/plan_batch.h"

#include <gtest/gtest.h>

#include <set>

#include "errors.h"
#include "paths.h"

namespace t2v {
namespace {

class PlanBatch : public ::testing::Test {
 protected:
  BatchRequest request(const std::string& text, PromptsFormat format = PromptsFormat::text) const {
    BatchRequest request;
    request.prompts = parse_prompts("p", text, format);
    request.defaults.model = test::shipped_model().string();
    request.folder = folder_ / "out";
    return request;
  }
  void expect_mistakes(const BatchRequest& request, const std::vector<std::string>& parts,
                       ErrorKind kind = ErrorKind::usage) const {
    test::expect_error(kind, parts, [&] { plan_batch(request); });
    EXPECT_FALSE(std::filesystem::exists(folder_ / "out"));  // nothing is left behind
  }
  test::TemporaryFolder folder_;
};

TEST_F(PlanBatch, IdentityAndSeedComeFromTheItemNotFromItsPosition) {
  const auto before = plan_batch(request("a red circle\na blue ring\na red circle\n"));
  const auto after = plan_batch(request("a green star\na blue ring\na red circle\na red circle\n"));
  ASSERT_EQ(before.size(), 3U);
  EXPECT_EQ(before[0].id, after[2].id);
  EXPECT_EQ(before[1].id, after[1].id);
  EXPECT_EQ(before[2].id, after[3].id);
  for (const auto& [one, two] : {std::pair{0, 2}, std::pair{1, 1}, std::pair{2, 3}})
    EXPECT_EQ(before[one].plan.clips[0].seed, after[two].plan.clips[0].seed);
  EXPECT_NE(before[0].plan.clips[0].seed, before[2].plan.clips[0].seed);
  EXPECT_TRUE(before[0].id.starts_with("a-red-circle-")) << before[0].id;
}

TEST_F(PlanBatch, TheBatchsSeedChangesEverySeedButThoseThatItemsGive) {
  auto asked = request(R"({"prompt": "a"}
{"prompt": "b", "seed": 7, "count": 2})",
                       PromptsFormat::jsonl);
  const auto before = plan_batch(asked);
  asked.defaults.seed = 1;
  const auto after = plan_batch(asked);
  ASSERT_EQ(after.size(), 3U);
  EXPECT_NE(before[0].plan.clips[0].seed, after[0].plan.clips[0].seed);
  EXPECT_EQ(after[1].plan.clips[0].seed, 7);
  EXPECT_EQ(after[2].plan.clips[0].seed, 8);
}

TEST_F(PlanBatch, ACountMakesMoreItemsAndLeavesTheFirstAsItWas) {
  auto asked = request("a red circle\n");
  const auto one = plan_batch(asked);
  asked.defaults.count = 3;
  const auto three = plan_batch(asked);
  ASSERT_EQ(three.size(), 3U);
  EXPECT_EQ(three[0].id, one[0].id);
  EXPECT_EQ(three[0].settings_hash, one[0].settings_hash);
  EXPECT_EQ(three[2].id, one[0].id + ".2");
  EXPECT_EQ(three[2].plan.clips[0].seed, one[0].plan.clips[0].seed + 2);
}

TEST_F(PlanBatch, NamesAreFilledInWithinTheFolder) {
  auto asked = request(R"({"id": "x{1}", "prompt": "bad id"})", PromptsFormat::jsonl);
  expect_mistakes(asked, {"p:1:2: 'id'"});
  asked = request(R"({"id": "x1", "prompt": "A Red Circle!"}
{"id": "x2", "prompt": "b", "output": "{{own}}/{id}.mkv"})",
                  PromptsFormat::jsonl);
  asked.name = "{index:03}-{prompt}-{id}.mp4";
  const auto items = plan_batch(asked);
  EXPECT_EQ(items[0].file, "000-a-red-circle-x1.mp4");
  EXPECT_EQ(items[1].file, "{own}/x2.mkv");
  EXPECT_EQ(items[1].plan.clips[0].output, (folder_ / "out/{own}/x2.mkv").string());
  EXPECT_TRUE(std::filesystem::is_directory(folder_ / "out/{own}"));
}

TEST_F(PlanBatch, NamesThatLeaveTheFolderAreRefused) {
  for (const char* name :
       {"../x.mp4", "a/../../x.mp4", "/tmp/x.mp4", "..", ".t2v/x.mp4", "-", "./.t2v/x.mp4"})
    expect_mistakes(
        request(std::string(R"({"prompt": "a", "output": ")") + name + "\"}", PromptsFormat::jsonl),
        {"p:1:17: 'output'"});
  expect_mistakes(request(R"({"prompt": "a", "save_latents": "../x.safetensors"})", PromptsFormat::jsonl),
                  {"'save_latents'", "leaves"});
  expect_mistakes(request(R"({"prompt": "a", "trace": "/tmp/trace"})", PromptsFormat::jsonl),
                  {"'trace'", "leaves"});
  auto dated = request("a\n");
  dated.name = "{date}.mp4";  // would be another name tomorrow
  expect_mistakes(dated, {"{date}", "{id}"});
}

TEST_F(PlanBatch, ALinkThatLeadsOutOfTheFolderIsRefused) {
  const auto asked = request(R"({"prompt": "a", "output": "link/x.mp4"})", PromptsFormat::jsonl);
  std::filesystem::create_directory(folder_ / "out");
  std::filesystem::create_directory_symlink("/tmp", folder_ / "out/link");
  test::expect_error(ErrorKind::usage, {"p:1:17", "symbolic link"}, [&] { plan_batch(asked); });
}

TEST_F(PlanBatch, AFileThatIsALinkOutOfTheFolderIsRefused) {
  const auto asked = request(R"({"prompt": "a", "output": "x.mp4"})", PromptsFormat::jsonl);
  std::filesystem::create_directory(folder_ / "out");
  std::filesystem::create_symlink("../elsewhere.mp4", folder_ / "out/x.mp4");
  test::expect_error(ErrorKind::usage, {"p:1:17", "symbolic link"}, [&] { plan_batch(asked); });
  std::filesystem::remove(folder_ / "out/x.mp4");
  std::filesystem::create_symlink("y.mp4", folder_ / "out/x.mp4");
  EXPECT_EQ(plan_batch(asked).size(), 1U);
}

TEST_F(PlanBatch, NamesThatAreTooLongAreRefusedWithTheirPlace) {
  const auto entry = [&](const std::string& key, const std::string& value) {
    return request(R"({"prompt": "a", ")" + key + "\": \"" + value + "\"}", PromptsFormat::jsonl);
  };
  const std::string fine(251, 'a'), over(252, 'a');
  expect_mistakes(entry("output", over + ".mp4"), {"p:1:17", "256 bytes"});
  expect_mistakes(entry("output", over + "aaaa/x.mp4"), {"p:1:17", "256 bytes"});
  expect_mistakes(entry("save_latents", over + ".safetensors"), {"p:1:17", "264 bytes"});
  expect_mistakes(entry("trace", over + "aaaa"), {"p:1:17", "256 bytes"});
  auto folder = request("a\n");
  folder.folder = folder_ / (over + "aaaa");
  expect_mistakes(folder, {"256 bytes"});
  EXPECT_EQ(plan_batch(entry("output", fine + ".mp4")).size(), 1U);
  auto sidecar = entry("output", fine + ".mp4");
  sidecar.defaults.sidecar = true;
  test::expect_error(ErrorKind::usage, {"p:1:", ".mp4.json", "260 bytes"}, [&] { plan_batch(sidecar); });
  auto flags = request("a\n");
  flags.name = over + "{index:04}.mp4";
  test::expect_error(ErrorKind::usage, {"260 bytes"}, [&] { plan_batch(flags); });
}

TEST_F(PlanBatch, CollisionsAreRefused) {
  auto asked = request("a\nb\n");
  asked.name = "clip.mp4";
  expect_mistakes(asked, {"p:2:1", "is written by line 1 already", "{id}"});
  expect_mistakes(request(R"({"prompt": "a", "id": "x"}
{"prompt": "b", "id": "x"})",
                          PromptsFormat::jsonl),
                  {"p:2:17: the id 'x' is that of line 1 already"});
}

TEST_F(PlanBatch, EveryMistakeIsShownAtOnceWithItsPlace) {
  expect_mistakes(request(R"({"prompt": "a", "fps": 0}
{"prompt": "b", "guidance_scale": -1}
{"steps": 3}
{"promtp": "c"}
{"prompt": "d", "count": 0}
{"prompt": "e", "seed": -1})",
                          PromptsFormat::jsonl),
                  {"p:1:17: --fps", "p:2:17: --guidance-scale", "p:3:1: a prompt is needed",
                   "p:4:2: unknown key", "p:5:17: 'count'", "p:6:17: 'seed'", "6 mistakes"});
}

TEST_F(PlanBatch, TheSameMistakeOfManyItemsIsOneLineAndKeepsItsKind) {
  auto asked = request("a\nb\nc\n");
  asked.defaults.model = "no-such-model";
  expect_mistakes(asked, {"p:1:1: ", "no-such-model", "(and the same for 2 more entries)"},
                  ErrorKind::bad_input);
}

TEST_F(PlanBatch, AFileWithoutPromptsIsRefused) {
  expect_mistakes(request("# nothing\n"), {"holds no prompt"});
  expect_mistakes(request("prompt\n", PromptsFormat::csv), {"holds no prompt"});
}

TEST_F(PlanBatch, DeviceAndThreadsAreNoPartOfTheSettings) {
  auto asked = request("a\n");
  const auto before = plan_batch(asked);
  asked.defaults.threads = 1;
  asked.defaults.device = "cpu";
  EXPECT_EQ(plan_batch(asked)[0].settings_hash, before[0].settings_hash);
  asked.defaults.dtype = "bfloat16";
  EXPECT_NE(plan_batch(asked)[0].settings_hash, before[0].settings_hash);
}

TEST_F(PlanBatch, AShardHasItsOwnItemsAsTheWholeBatchHasThem) {
  auto asked = request("a\nb\na\nc\nd\n");
  asked.name = "{index}/{id}.mp4";
  asked.defaults.count = 2;
  asked.shard = {1, 3, ""};
  const auto own = plan_batch(asked);
  for (const auto& [name, there] : {std::pair{"1", true}, std::pair{"2", false}, std::pair{"4", true}})
    EXPECT_EQ(std::filesystem::exists(folder_ / "out" / name), there) << name;
  asked.shard = {};
  const auto all = plan_batch(asked);
  ASSERT_EQ(all.size(), 10U);
  ASSERT_EQ(own.size(), 3U);
  for (std::size_t i = 0; i < own.size(); ++i) {
    const auto& same = all[1 + 3 * i];
    EXPECT_EQ(own[i].position, same.position);
    EXPECT_EQ(own[i].id, same.id);
    EXPECT_EQ(own[i].file, same.file);
    EXPECT_EQ(own[i].settings, same.settings);
    EXPECT_EQ(own[i].plan.clips[0].seed, same.plan.clips[0].seed);
  }
}

TEST_F(PlanBatch, AShardWithoutItemsIsEmpty) {
  auto asked = request("a\n");
  asked.shard = {1, 2, ""};
  EXPECT_TRUE(plan_batch(asked).empty());
}

// Ids and names concern all shards; how a clip is to be made concerns its own.
TEST_F(PlanBatch, AShardRefusesWhatOtherShardsWouldShareWithItAndNoMore) {
  const auto of_shard = [&](const std::string& text, int64_t index) {
    auto asked = request(text, PromptsFormat::jsonl);
    asked.shard = {index, 2, ""};
    return asked;
  };
  for (const int64_t index : {0, 1}) {
    expect_mistakes(of_shard(R"({"prompt": "a"}
{"prompt": "b", "stepps": 1})",
                             index),
                    {"p:2:17: unknown key"});
    expect_mistakes(of_shard(R"({"prompt": "a", "output": "x.mp4"}
{"prompt": "b", "output": "x.mp4"})",
                             index),
                    {"p:2:17", "line 1 already"});
    expect_mistakes(of_shard(R"({"prompt": "a"}
{"prompt": "b", "output": "../x.mp4"})",
                             index),
                    {"p:2:17: 'output'"});
  }
  const auto bad = R"({"prompt": "a"}
{"prompt": "b", "fps": 0})";
  expect_mistakes(of_shard(bad, 1), {"p:2:17: --fps"});
  EXPECT_EQ(plan_batch(of_shard(bad, 0)).size(), 1U);
}

TEST_F(PlanBatch, FoldersOfSavedLatentsMayHaveBraces) {
  const auto items = plan_batch(
      request(R"({"prompt": "a", "save_latents": "{{x}}/a.safetensors"})", PromptsFormat::jsonl));
  EXPECT_EQ(items[0].plan.clips[0].save_latents, (folder_ / "out/{x}/a.safetensors").string());
  EXPECT_TRUE(std::filesystem::is_directory(folder_ / "out/{x}"));
  EXPECT_FALSE(std::filesystem::exists(folder_ / "out/{{x}}"));
}

// A link to itself is to every user what a folder is that may not be read.
TEST_F(PlanBatch, AFolderThatCannotBeLookedAtIsNamed) {
  std::filesystem::create_symlink("loop", folder_ / "loop");
  auto asked = request("a\n");
  asked.folder = folder_ / "loop";
  test::expect_error(ErrorKind::output, {(folder_ / "loop").string()}, [&] { plan_batch(asked); });
}

TEST(SplitTemplate, TheFolderEndsBeforeTheFirstField) {
  const auto expect_split = [](const std::string& pattern, const std::string& folder,
                               const std::string& name) {
    const auto split = split_template(pattern);
    EXPECT_EQ(split.folder, folder);
    EXPECT_EQ(split.name, name);
  };
  expect_split("out/{index:04}-{prompt}.mp4", "out", "{index:04}-{prompt}.mp4");
  expect_split("a/b/{id}/c.mp4", "a/b", "{id}/c.mp4");
  expect_split("{id}.mp4", ".", "{id}.mp4");
  expect_split("/{id}.mp4", "/", "{id}.mp4");
  expect_split("out/clip.mp4", "out", "clip.mp4");
  expect_split("out/frames/%05d.png", "out/frames", "%05d.png");
}

}  // namespace
}  // namespace t2v
