#include "pipeline/plan/output_template.h"

#include <gtest/gtest.h>

#include <regex>

#include "base/utf8.h"
#include "errors.h"

namespace t2v {
namespace {

const OutputFields fields{7, 1234567, "A Red Circle, bouncing!"};

TEST(ExpandOutput, ReplacesFields) {
  EXPECT_EQ(expand_output("clip.mp4", fields), "clip.mp4");
  EXPECT_EQ(expand_output("out/{index:04}-{prompt}-{seed}.mp4", fields),
            "out/0007-a-red-circle-bouncing-1234567.mp4");
  EXPECT_EQ(expand_output("{index}{seed:04}", fields), "71234567");
  EXPECT_EQ(expand_output("{{{index}}}-%05d.png", fields), "{7}-%05d.png");
  EXPECT_TRUE(std::regex_match(expand_output("{date}.mp4", fields), std::regex(R"(\d{4}-\d\d-\d\d\.mp4)")));
}

TEST(ExpandOutput, KeepsThePromptInTheFolder) {
  EXPECT_EQ(expand_output("{prompt}", {0, 0, "../../etc/passwd"}), "etc-passwd");
  EXPECT_EQ(expand_output("{prompt}", {0, 0, "{seed} / {date}"}), "seed-date");
  EXPECT_EQ(expand_output("{prompt}", {0, 0, "赤い円"}), "clip");
  EXPECT_EQ(expand_output("{prompt}", {0, 0, ""}), "clip");
  EXPECT_EQ(expand_output("{prompt}", {0, 0, std::string(500, 'a')}), std::string(60, 'a'));
}

TEST(ExpandOutput, RefusesUnknownFields) {
  const std::vector<std::pair<std::string, std::string>> cases = {{"{name}.mp4", "{name}"},
                                                                  {"{}.mp4", "{}"},
                                                                  {"{index:abc}.mp4", "index"},
                                                                  {"{index:004}.mp4", "004"},
                                                                  {"{prompt:04}.mp4", "{prompt:04}"},
                                                                  {"{seed:-4}.mp4", "{seed:-4}"},
                                                                  {"clip{index.mp4", "'{' without '}'"}};
  for (const auto& [pattern, part] : cases)
    test::expect_error(ErrorKind::usage, {"output name", part},
                       [&, pattern = pattern] { expand_output(pattern, fields); });
}

TEST(DistinguishesClips, NeedsTheIndexOrTheSeed) {
  for (const char* pattern : {"{index}.mp4", "{seed}.mp4", "{index:04}.mp4", "{prompt}-{seed:9}.mp4"})
    EXPECT_TRUE(distinguishes_clips(pattern)) << pattern;
  for (const char* pattern : {"clip.mp4", "{prompt}.mp4", "{date}.mp4", "{{index}}.mp4"})
    EXPECT_FALSE(distinguishes_clips(pattern)) << pattern;
}

TEST(NameThatFits, ShortensLongNamesOnly) {
  EXPECT_EQ(name_that_fits("clip.mp4", ".x"), "clip.mp4.x");
  const std::string full(253, 'a');
  EXPECT_EQ(name_that_fits(full, ".x"), full + ".x");
  const auto shortened = name_that_fits(full + "a", ".x");
  EXPECT_EQ(shortened.size(), 255U);
  EXPECT_TRUE(shortened.ends_with(".x"));
  EXPECT_NE(shortened, name_that_fits(full + "b", ".x"));  // two clips do not meet in one name
  std::string umlauts;
  for (int i = 0; i < 127; ++i) umlauts += "\xc3\xa4";
  EXPECT_FALSE(find_text_defect(name_that_fits(umlauts, ".x")));  // not cut within a character
  EXPECT_FALSE(find_text_defect(name_that_fits("a" + umlauts, ".x")));
}

}  // namespace
}  // namespace t2v
