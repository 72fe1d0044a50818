#include "batch/prompts_file.h"

#include <gtest/gtest.h>

#include <random>

#include "base/json_keys.h"
#include "errors.h"
#include "paths.h"

namespace t2v {
namespace {

std::vector<std::string> messages_of(const PromptsFile& file) {
  std::vector<std::string> messages;
  for (const auto& defect : file.defects) messages.push_back(defect.message);
  return messages;
}

void expect_messages(const PromptsFile& file, const std::vector<std::string>& beginnings) {
  const auto messages = messages_of(file);
  ASSERT_EQ(messages.size(), beginnings.size()) << ::testing::PrintToString(messages);
  for (std::size_t i = 0; i < beginnings.size(); ++i)
    EXPECT_EQ(messages[i].substr(0, beginnings[i].size()), beginnings[i]);
}

TEST(PromptsFile, TextHasAPromptALine) {
  const auto file = parse_prompts(
      "p.txt", "\xEF\xBB\xBF# colours\n  a red circle \r\n\n\ta blue ring # not a comment\n",
      PromptsFormat::text);
  ASSERT_EQ(file.entries.size(), 2U);
  EXPECT_EQ(file.entries[0].settings.prompt, "a red circle");
  EXPECT_EQ(file.entries[0].place, (Place{2, 3}));
  EXPECT_EQ(file.entries[1].settings.prompt, "a blue ring # not a comment");
  EXPECT_EQ(file.entries[1].place, (Place{4, 2}));
}

TEST(PromptsFile, TextThatIsNoPromptIsNamedByLineAndColumn) {
  const auto file = parse_prompts("p.txt", "fine\n  ü\x01x\nalso \xff\n", PromptsFormat::text);
  expect_messages(file, {"p.txt:2:4: control character U+0001", "p.txt:3:6: invalid UTF-8"});
  EXPECT_EQ(file.entries.size(), 1U);
}

TEST(PromptsFile, JsonLinesSetAnyGenerateSetting) {
  const auto file = parse_prompts("p.jsonl",
                                  R"({"prompt": "a", "steps": 4, "fps": 8.5, "sidecar": true, "seed": null}

{"id": 12, "prompt": "ü"})",
                                  PromptsFormat::jsonl);
  EXPECT_TRUE(file.defects.empty()) << messages_of(file).front();
  ASSERT_EQ(file.entries.size(), 2U);
  EXPECT_EQ(file.entries[0].settings.steps, 4);
  EXPECT_EQ(file.entries[0].settings.fps, 8.5);
  EXPECT_EQ(file.entries[0].settings.sidecar, true);
  EXPECT_FALSE(file.entries[0].settings.seed);
  EXPECT_EQ(file.entries[0].places.at("steps"), (Place{1, 17}));
  EXPECT_EQ(file.entries[1].id, "12");
  EXPECT_EQ(file.entries[1].place, (Place{3, 1}));
}

TEST(PromptsFile, EveryMistakeOfJsonLinesIsNamedByLineAndColumn) {
  const auto file = parse_prompts("p.jsonl", R"({"promt": "x", "steps": "ten"}
{"prompt": "a" "b"}
[1]
  {"prompt": "ü", "frames": 5, "frames": 6}
{"id": "../a", "prompt": "a\u0007"}
{"prompt": {"deep": [[1]]}}
{"prompt": "good"}
)",
                                  PromptsFormat::jsonl);
  expect_messages(file,
                  {"p.jsonl:1:2: unknown key 'promt'; did you mean 'prompt'?",
                   "p.jsonl:1:16: 'steps' should be an integer, found \"ten\"",
                   "p.jsonl:2:18: bad JSON: syntax error", "p.jsonl:3:1: each line should be a JSON object",
                   "p.jsonl:4:32: the key 'frames' stands twice", "p.jsonl:5:2: 'id' should be",
                   "p.jsonl:5:16: 'prompt': control character U+0007", "p.jsonl:6:2: 'prompt' should be"});
  EXPECT_TRUE(file.entries.back().whole);
  EXPECT_FALSE(file.entries.front().whole);
}

TEST(PromptsFile, JsonThatIsTooDeepOrTooLongIsRefused) {
  const auto deep = parse_prompts("p.jsonl",
                                  "{\"prompt\": " + std::string(2000, '[') + std::string(2000, ']') + "}",
                                  PromptsFormat::jsonl);
  expect_messages(deep, {"p.jsonl:1:1: JSON nested deeper"});
  const auto longer = parse_prompts("p.jsonl", "{\"prompt\": \"" + std::string(2 << 20, 'a') + "\"}",
                                    PromptsFormat::jsonl);
  expect_messages(longer, {"p.jsonl:1:1: 2097166 bytes of JSON"});
}

TEST(PromptsFile, CsvColumnsAreSettings) {
  const auto file = parse_prompts("p.csv", "id,prompt,steps\na,\"one, two\",4\nb,three,\n",
                                  PromptsFormat::csv);
  EXPECT_TRUE(file.defects.empty());
  ASSERT_EQ(file.entries.size(), 2U);
  EXPECT_EQ(file.entries[0].id, "a");
  EXPECT_EQ(file.entries[0].settings.prompt, "one, two");
  EXPECT_EQ(file.entries[0].settings.steps, 4);
  EXPECT_FALSE(file.entries[1].settings.steps);
}

TEST(PromptsFile, EveryMistakeOfCsvIsNamedByLineAndColumn) {
  expect_messages(parse_prompts("p.csv", "prompt,stepps,prompt\na,1,b\n", PromptsFormat::csv),
                  {"p.csv:1:8: unknown key 'stepps'; did you mean 'steps'?",
                   "p.csv:1:15: the column 'prompt' stands twice"});
  expect_messages(
      parse_prompts("p.csv", "prompt,steps\na\n\"b\nc\",x\nd,\"1\"2\ne,1,2\nf,\x07\n", PromptsFormat::csv),
      {"p.csv:2:1: 1 cells, but the header has 2 columns",
       "p.csv:4:4: 'steps' should be a whole number, found 'x'", "p.csv:5:6: text after a closing quote",
       "p.csv:6:1: 3 cells", "p.csv:7:3: 'steps' should be a whole number"});
}

TEST(PromptsFile, JsonArraysHoldObjectsAndPrompts) {
  const auto file = parse_prompts("p.json", R"([
  {
    "prompt": "ü",
    "steps": 4
  }, "a [blue], \"round\" ring",
  {"id": 12, "prompt": "c"}
]
)",
                                  PromptsFormat::json);
  EXPECT_TRUE(file.defects.empty()) << messages_of(file).front();
  ASSERT_EQ(file.entries.size(), 3U);
  EXPECT_EQ(file.entries[0].settings.steps, 4);
  EXPECT_EQ(file.entries[0].place, (Place{2, 3}));
  EXPECT_EQ(file.entries[0].places.at("steps"), (Place{4, 5}));
  EXPECT_EQ(file.entries[1].settings.prompt, "a [blue], \"round\" ring");
  EXPECT_EQ(file.entries[1].place, (Place{5, 6}));
  EXPECT_EQ(file.entries[2].id, "12");
  EXPECT_TRUE(parse_prompts("p.json", " [ ] \n", PromptsFormat::json).defects.empty());
}

TEST(PromptsFile, EveryMistakeOfAJsonArrayIsNamedByLineAndColumn) {
  expect_messages(parse_prompts("p.json", R"([{"promt": "a"},
  {"prompt": "b"
   "steps": 3}, , 7,
 "c\u0007", {"prompt": "d"},
] x)",
                                PromptsFormat::json),
                  {"p.json:1:3: unknown key 'promt'; did you mean 'prompt'?", "p.json:3:10: bad JSON",
                   "p.json:3:17: an item is missing", "p.json:3:19: each item should be a JSON object",
                   "p.json:4:2: 'prompt': control character U+0007", "p.json:5:1: an item is missing",
                   "p.json:5:3: text after the end of the array"});
  expect_messages(parse_prompts("p.json", "\n[{\"prompt\": \"a\"}", PromptsFormat::json),
                  {"p.json:2:1: the array that begins here is never closed"});
  expect_messages(parse_prompts("p.json", "{\"prompt\": \"a\"}", PromptsFormat::json),
                  {"p.json:1:1: should be an array of JSON objects"});
}

TEST(PromptsFile, OnlyTextFilesAndStreamsAreTextWithoutBeingCalledSo) {
  for (const char* name : {"p.yaml", "p.json", "p.toml", "p.md", "p.tsv", "prompts"})
    test::expect_error(ErrorKind::usage, {name, ".jsonl", "--format"},
                       [&] { guess_prompts_format(name, "- prompt: a red circle\n"); });
  test::expect_error(ErrorKind::usage, {"p.json", ".jsonl", "--format"},
                     [] { guess_prompts_format("p.json", "{\n  \"prompt\": \"a\"\n}\n"); });
  test::expect_error(ErrorKind::usage, {"p.toml"}, [] { guess_prompts_format("p.toml", "[[prompts]]\n"); });
  EXPECT_EQ(guess_prompts_format("p.txt", "[\n"), PromptsFormat::text);
  EXPECT_EQ(guess_prompts_format("-", "[cinematic] a red circle\n"), PromptsFormat::text);
  EXPECT_EQ(guess_prompts_format("/dev/fd/63", "a red circle\n"), PromptsFormat::text);
}

TEST(PromptsFile, JsonOfEitherKindIsKnownByItsText) {
  for (const char* name : {"-", "p.JSON"}) {
    EXPECT_EQ(guess_prompts_format(name, "[\n  {\"prompt\": 1}]"), PromptsFormat::json);
    EXPECT_EQ(guess_prompts_format(name, "[\"a\"]"), PromptsFormat::json);
    EXPECT_EQ(guess_prompts_format(name, "{\"prompt\": \"a\"}\n{\"prompt\": \"b\"}\n"), PromptsFormat::jsonl);
  }
  EXPECT_EQ(guess_prompts_format("prompts", "\n{\"prompt\": \"a\"}\n"), PromptsFormat::jsonl);
  EXPECT_EQ(guess_prompts_format("prompts", "id,prompt\na,b\n"), PromptsFormat::csv);
}

TEST(PromptsFile, TheFormatComesFromTheNameThenFromTheText) {
  EXPECT_EQ(guess_prompts_format("a.TXT", "{\"prompt\": 1}"), PromptsFormat::text);
  EXPECT_EQ(guess_prompts_format("a.csv", ""), PromptsFormat::csv);
  EXPECT_EQ(guess_prompts_format("a.ndjson", ""), PromptsFormat::jsonl);
  EXPECT_EQ(guess_prompts_format("-", "\n  {\"prompt\": \"a\"}"), PromptsFormat::jsonl);
  EXPECT_EQ(guess_prompts_format("-", "prompt,steps\na,1"), PromptsFormat::csv);
  EXPECT_EQ(guess_prompts_format("-", "\xEF\xBB\xBFid,prompt\r\n"), PromptsFormat::csv);
  EXPECT_EQ(guess_prompts_format("-", "a red circle, rising\n"), PromptsFormat::text);
  EXPECT_EQ(guess_prompts_format("-", ""), PromptsFormat::text);
  test::expect_error(ErrorKind::usage, {"--format", "xml"}, [] { parse_prompts_format("xml"); });
}

TEST(PromptsFile, WhatCannotBeReadIsRefused) {
  const test::TemporaryFolder folder;
  test::expect_error(ErrorKind::usage, {"missing.txt", "cannot be read"},
                     [&] { read_prompts((folder / "missing.txt").string()); });
  test::expect_error(ErrorKind::usage, {"folder"}, [&] { read_prompts(folder.path().string()); });
  std::filesystem::create_symlink("loop", folder / "loop");
  test::expect_error(ErrorKind::usage, {"loop/p.txt", "cannot be read"},
                     [&] { read_prompts((folder / "loop/p.txt").string()); });
}

// Any bytes give entries and defects, never a crash or an endless loop.
TEST(PromptsFile, SurvivesRandomBytes) {
  std::mt19937 random(7);
  const std::string letters = "{}[]\",:\\\n\r #aü0\x01\xff";
  for (int round = 0; round < 5'000; ++round) {
    std::string text;
    for (auto length = random() % 60; length > 0; --length) text += letters[random() % letters.size()];
    for (const auto format :
         {PromptsFormat::text, PromptsFormat::jsonl, PromptsFormat::json, PromptsFormat::csv}) {
      const auto file = parse_prompts("p", (random() % 2 == 0 ? "prompt,id\n" : "") + text, format);
      for (const auto& defect : file.defects) ASSERT_TRUE(defect.message.starts_with("p:")) << defect.message;
    }
    guess_prompts_format("-", text);
  }
}

TEST(JsonKeys, FindsThoseOfTheOutermostObject) {
  const auto keys = find_json_keys(R"({"a": {"b": 1}, "c\"\u0064" : ["e", {"f": "g"}], "a": ":"})");
  ASSERT_EQ(keys.size(), 3U);
  EXPECT_EQ(keys[0], (std::pair<std::string, std::size_t>{"a", 1}));
  EXPECT_EQ(keys[1], (std::pair<std::string, std::size_t>{"c\"d", 16}));
  EXPECT_EQ(keys[2].first, "a");
}

}  // namespace
}  // namespace t2v
