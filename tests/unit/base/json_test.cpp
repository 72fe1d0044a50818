#include "base/json.h"

#include <gtest/gtest.h>

#include <string_view>

#include <fstream>

#include "bytes.h"
#include "errors.h"
#include "paths.h"

namespace t2v {
namespace {

TEST(ParseJson, NamesLineAndColumnOfASyntaxError) {
  test::expect_error(ErrorKind::bad_input, {"config.json", "line 2, column 8"},
                     [] { parse_json("{\n  \"a\": ]\n}", "config.json"); });
  test::expect_error(ErrorKind::bad_input, {"config.json", "bad JSON"},
                     [] { parse_json("", "config.json"); });
  test::expect_error(ErrorKind::bad_input, {"line 1, column 4"}, [] { parse_json("{} x", "config.json"); });
  test::expect_error(ErrorKind::bad_input, {"config.json"}, [] { parse_json("\"\xff\"", "config.json"); });
}

TEST(ParseJson, ThrowsTheKindThatTheCallerNames) {
  test::expect_error(ErrorKind::usage, {"settings"}, [] { parse_json("{", "settings", ErrorKind::usage); });
}

TEST(ParseJson, BoundsTheNesting) {
  const auto nested = [](std::size_t depth) { return std::string(depth, '[') + std::string(depth, ']'); };
  EXPECT_NO_THROW(parse_json(nested(64), "config.json"));
  for (const std::size_t depth : {std::size_t{70}, std::size_t{100'000}})
    test::expect_error(ErrorKind::bad_input, {"config.json", "deeper than 64"},
                       [&] { parse_json(nested(depth), "config.json"); });
  test::expect_error(ErrorKind::bad_input, {"deeper than 64"},
                     [&] { parse_json(std::string(100'000, '['), "config.json"); });
}

TEST(ParseJson, RefusesAKeyThatStandsTwiceInOneObject) {
  test::expect_error(ErrorKind::bad_input, {"config.json", "'steps'", "twice"},
                     [] { parse_json(R"({"steps": 1, "steps": 2})", "config.json"); });
  test::expect_error(ErrorKind::bad_input, {"'b'"},
                     [] { parse_json(R"({"a": [{"b": 1, "c": {"b": 2}, "b": 3}]})", "config.json"); });
  EXPECT_NO_THROW(parse_json(R"({"a": {"x": 1}, "b": {"x": 1}, "x": [{"a": 1}, {"a": 2}]})", "config.json"));
  JsonLimits lenient;
  lenient.refuse_duplicate_keys = false;
  EXPECT_NO_THROW(parse_json(R"({"a": 1, "a": 2})", "config.json", ErrorKind::bad_input, lenient));
}

TEST(ParseJson, BoundsTheSize) {
  JsonLimits limits;
  limits.bytes = 10;
  EXPECT_NO_THROW(parse_json("[1, 2, 34]", "config.json", ErrorKind::bad_input, limits));
  test::expect_error(ErrorKind::bad_input, {"config.json", "11 bytes", "at most 10"},
                     [&] { parse_json("[1, 2, 345]", "config.json", ErrorKind::bad_input, limits); });
}

TEST(ReadJson, NamesAGitLfsPointer) {
  const test::TemporaryFolder folder;
  test::write_bytes(folder / "config.json", test::lfs_pointer);
  test::expect_error(ErrorKind::bad_input,
                     {(folder / "config.json").string(), "Git LFS pointer", "git lfs pull"},
                     [&] { read_json(folder / "config.json"); });
}

TEST(ReadJson, NamesAFileThatCannotBeReadOrIsTooLarge) {
  const test::TemporaryFolder folder;
  std::ofstream(folder / "large.json") << "[1, 2, 345]";
  JsonLimits limits;
  limits.bytes = 10;
  test::expect_error(ErrorKind::bad_input, {(folder / "absent.json").string(), "cannot be read"},
                     [&] { read_json(folder / "absent.json"); });
  test::expect_error(ErrorKind::bad_input, {folder.path().string()}, [&] { read_json(folder.path()); });
  test::expect_error(ErrorKind::bad_input, {(folder / "large.json").string(), "11 bytes"},
                     [&] { read_json(folder / "large.json", ErrorKind::bad_input, limits); });
}

TEST(ParseJson, ANulByteIsNoEnd) {
  using namespace std::string_view_literals;
  test::expect_error(ErrorKind::bad_input, {"t2v.json", "NUL byte"},
                     [] { parse_json("{\"a\": 1}\0 {\"b"sv, "t2v.json"); });
}

TEST(JsonGet, NamesTheKeyTheTypeAndWhatWasFound) {
  const Json object = {{"steps", "many"}, {"fps", true}, {"list", {1, "two"}},
                       {"none", nullptr}, {"real", 1.5}, {"huge", 18446744073709551615ULL}};
  test::expect_error(ErrorKind::bad_input, {"t2v.json", "'width'", "missing"},
                     [&] { json_get<int64_t>(object, "width", "t2v.json"); });
  test::expect_error(ErrorKind::bad_input, {"'steps'", "an integer", "\"many\""},
                     [&] { json_get<int64_t>(object, "steps", "t2v.json"); });
  test::expect_error(ErrorKind::bad_input, {"'real'", "an integer", "1.5"},
                     [&] { json_get<int64_t>(object, "real", "t2v.json"); });
  test::expect_error(ErrorKind::bad_input, {"'fps'", "a number", "true"},
                     [&] { json_get<double>(object, "fps", "t2v.json"); });
  test::expect_error(ErrorKind::bad_input, {"'steps'", "true or false"},
                     [&] { json_get<bool>(object, "steps", "t2v.json"); });
  test::expect_error(ErrorKind::bad_input, {"'list'"},
                     [&] { json_get<std::vector<int64_t>>(object, "list", "t2v.json"); });
  test::expect_error(ErrorKind::bad_input, {"'steps'", "missing"},
                     [&] { json_get<int64_t>(Json::array(), "steps", "t2v.json"); });
  test::expect_error(ErrorKind::bad_input, {"'huge'", "a smaller integer", "18446744073709551615"},
                     [&] { json_get<int64_t>(object, "huge", "t2v.json"); });
  EXPECT_EQ(json_get_or<int64_t>(object, "none", 7, "t2v.json"), 7);
  EXPECT_EQ(json_get_or<int64_t>(object, "width", 7, "t2v.json"), 7);
}

TEST(JsonGet, ListsOfIntegersHoldNothingElse) {
  const Json object = {{"good", {{1, 2}, {3, -4}}},
                       {"real", {1, 2.5}},
                       {"beyond", {1e90}},
                       {"huge", {18446744073709551615ULL}}};
  using Pairs = std::vector<std::array<int64_t, 2>>;
  EXPECT_EQ(json_get<Pairs>(object, "good", "t2v.json"), (Pairs{{1, 2}, {3, -4}}));
  for (const char* key : {"real", "beyond", "huge"})
    test::expect_error(ErrorKind::bad_input, {"t2v.json", key, "a list of integers"},
                       [&] { json_get<std::vector<int64_t>>(object, key, "t2v.json"); });
}

TEST(JsonSize, BoundsAPositiveInteger) {
  const Json object = {{"zero", 0}, {"less", -3}, {"ten", 10}, {"eleven", 11}};
  EXPECT_EQ(json_size(object, "ten", "config.json", 10), 10);
  for (const char* key : {"zero", "less", "eleven"})
    test::expect_error(ErrorKind::bad_input, {"config.json", key, "between 1 and 10"},
                       [&] { json_size(object, key, "config.json", 10); });
}

}  // namespace
}  // namespace t2v
