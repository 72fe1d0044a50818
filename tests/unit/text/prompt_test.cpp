#include "text/prompt.h"

#include <gtest/gtest.h>

#include "base/json.h"
#include "paths.h"
#include "t2v/error.h"
#include "text/prompt_html.h"
#include "text/prompt_mojibake.h"
#include "text/unicode_text.h"

namespace t2v {
namespace {

TEST(Prompt, IsCleanedAsTheReferenceCleansIt) {
  const auto golden = read_json(test::golden("text_cleaning.json"));
  ASSERT_GT(golden.at("cases").size(), 300u);
  for (const auto& c : golden.at("cases")) {
    EXPECT_EQ(clean_prompt(c.at("text").get<std::string>()), c.at("cleaned").get<std::string>())
        << "for " << c.at("text").dump(-1, ' ', true);
  }
}

TEST(Prompt, StaysAsItIsWhenClean) {
  for (const std::string text :
       {"a red circle", "naïve café", "漢字", "кот сидит на окне", "5 × 3 = 15", "a <b> c"})
    EXPECT_EQ(clean_prompt(text), text);
}

TEST(Prompt, ThatIsNotUtf8IsRefused) {
  for (const std::string text : {"\xff", "a\xc3", "\xc0\x80", "\xed\xa0\x80", "\xf4\x90\x80\x80"}) {
    try {
      clean_prompt(text);
      FAIL() << "accepted " << testing::PrintToString(text);
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::usage);
    }
  }
}

TEST(Prompt, HtmlReferencesFollowHtmlsRules) {
  const auto unescaped = [](std::u32string_view text) {
    return encode_utf8(html_unescape(std::u32string(text)));
  };
  EXPECT_EQ(unescaped(U"&notit; &notin; &copy2 &ampx &am; &"), "¬it; ∉ ©2 &x &am; &");
  EXPECT_EQ(unescaped(U"&#x41;&#65&#150;&#0;&#xD800;&#x7FFFFFFFFFFFFFFFFFF;&#1;|"), "AA–\ufffd\ufffd\ufffd|");
  EXPECT_EQ(unescaped(U"&acE;"), "∾̳");  // a name of two characters
}

TEST(Prompt, ClosedReferencesNeedTheirSemicolon) {
  const auto unescaped = [](std::u32string_view text) {
    return encode_utf8(unescape_closed_references(std::u32string(text)));
  };
  EXPECT_EQ(unescaped(U"&copy &copy; &EACUTE; &SZLIG; &eAcute; &#59; &#12abc; &#233;"),
            "&copy © É SS &eAcute; &#59; &#12abc; é");
}

TEST(Prompt, WrongEncodingsAreUndoneRepeatedly) {
  EXPECT_EQ(encode_utf8(fix_encoding(U"schÃ¶n")), "schön");
  EXPECT_EQ(encode_utf8(fix_encoding(U"ÃƒÂ©")), "é");
  EXPECT_EQ(encode_utf8(fix_encoding(U"été")), "été");
  EXPECT_EQ(encode_utf8(fix_c1_controls(U"\u0093x\u0094\u0081")), "“x”\u0081");
}

}  // namespace
}  // namespace t2v
