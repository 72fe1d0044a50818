#include "base/utf8.h"

#include <gtest/gtest.h>

#include <vector>

namespace t2v {
namespace {

TEST(FindTextDefect, AcceptsUnicodeTextWithTabsAndNewlines) {
  for (const char* text : {"", "a red circle", "tab\tand\r\nnewline", "größer", "赤い円", "\xF0\x9F\x8E\xAC",
                           "\xF4\x8F\xBF\xBF", "\xEF\xBF\xBF", "\xC2\xA0"})
    EXPECT_FALSE(find_text_defect(text)) << text;
}

TEST(FindTextDefect, NamesTheByteAndTheDefect) {
  using namespace std::string_literals;
  struct Case {
    std::string text;
    std::size_t byte_offset;
    const char* what;
  };
  const std::vector<Case> cases = {
      {"a\0b"s, 1, "NUL byte"},
      {"ab\x07", 2, "control character U+0007"},
      {"\x1b[31m", 0, "control character U+001B"},
      {"a\x7f", 1, "control character U+007F"},
      {"é\xC2\x85", 2, "control character U+0085"},
      {"ab\xff", 2, "invalid UTF-8"},
      {"ab\x80", 2, "invalid UTF-8"},    // a continuation without a lead
      {"\xC0\xAF", 0, "invalid UTF-8"},  // overlong '/'
      {"\xC1\x81", 0, "invalid UTF-8"},
      {"x\xE0\x80\xAF", 1, "invalid UTF-8"},      // overlong in three bytes
      {"x\xF0\x80\x80\xAF", 1, "invalid UTF-8"},  // in four
      {"\xED\xA0\x80", 0, "invalid UTF-8"},       // surrogate
      {"\xED\xBF\xBF", 0, "invalid UTF-8"},
      {"\xF4\x90\x80\x80", 0, "invalid UTF-8"},  // above U+10FFFF
      {"\xF5\x80\x80\x80", 0, "invalid UTF-8"},
      {"caf\xC3", 3, "invalid UTF-8"},  // cut sequences
      {"\xE8\xB5", 0, "invalid UTF-8"},
      {"a\xF0\x9F\x8E", 1, "invalid UTF-8"},
      {"\xC3(", 0, "invalid UTF-8"},
  };
  for (const auto& c : cases) {
    const auto defect = find_text_defect(c.text);
    ASSERT_TRUE(defect) << c.what << " at " << c.byte_offset;
    EXPECT_EQ(defect->byte_offset, c.byte_offset) << c.what;
    EXPECT_EQ(defect->what, c.what);
  }
}

TEST(Printable, LeavesNothingThatATerminalObeys) {
  EXPECT_EQ(printable("größer\t赤\n"), "größer\t赤\n");
  EXPECT_EQ(printable("a\x1b[31mb\r\x07"), "a\xEF\xBF\xBD[31mb\xEF\xBF\xBD\xEF\xBF\xBD");
  EXPECT_EQ(printable("x\xC2\x9B!\xff\x7f"), "x\xEF\xBF\xBD!\xEF\xBF\xBD\xEF\xBF\xBD");
}

TEST(NearestName, SpendsNoTimeOnANameOfMegabytes) {
  // At a nanosecond a step, comparing it would take an hour.
  EXPECT_FALSE(
      nearest_name(std::string(50'000'000, 'x'), std::vector<std::string>(10'000, "guidance_scale")));
}

TEST(NearestName, FindsAMisspeltNameAndNothingFarOff) {
  const std::vector<std::string> names = {"steps", "seed", "guidance_scale", "negative_prompt"};
  EXPECT_EQ(nearest_name("step", names), "steps");
  EXPECT_EQ(nearest_name("sede", names), "seed");
  EXPECT_EQ(nearest_name("guidence_scal", names), "guidance_scale");
  EXPECT_EQ(nearest_name("negativ_promt", names), "negative_prompt");
  EXPECT_FALSE(nearest_name("bananas", names));
  EXPECT_FALSE(nearest_name("x", std::vector<std::string>{}));
}

TEST(EditDistance, CountsInsertionsDeletionsAndSubstitutions) {
  EXPECT_EQ(edit_distance("", ""), 0U);
  EXPECT_EQ(edit_distance("abc", ""), 3U);
  EXPECT_EQ(edit_distance("", "abc"), 3U);
  EXPECT_EQ(edit_distance("kitten", "sitting"), 3U);
  EXPECT_EQ(edit_distance("ddim", "ddpm"), 1U);
}

}  // namespace
}  // namespace t2v
