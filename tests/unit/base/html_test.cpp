#include "base/html.h"

#include <gtest/gtest.h>

namespace t2v {
namespace {

TEST(Html, NothingLeavesItsElementOrAttribute) {
  EXPECT_EQ(escape_html("a <b> & \"c\" 'd'"), "a &lt;b&gt; &amp; &quot;c&quot; &#39;d&#39;");
  EXPECT_EQ(escape_html("ring é 環"), "ring é 環");
  EXPECT_EQ(escape_html(std::string("a\0b\x1b\xff", 5)), "a\uFFFDb\uFFFD\uFFFD");
}

TEST(Html, NoCharacterReordersItsSurroundings) {
  EXPECT_EQ(escape_html("a\u202Eb\u2066c\u2069"), "a\uFFFDb\uFFFDc\uFFFD");
  EXPECT_EQ(escape_html("\u2029\u202F\u2065\u206A دائرة"), "\u2029\u202F\u2065\u206A دائرة");
}

// Source: RFC 4648, section 10.
TEST(Html, Base64IsTheStandards) {
  EXPECT_EQ(base64(""), "");
  EXPECT_EQ(base64("f"), "Zg==");
  EXPECT_EQ(base64("fo"), "Zm8=");
  EXPECT_EQ(base64("foobar"), "Zm9vYmFy");
  EXPECT_EQ(base64("\xff\xfe\xfd"), "//79");
  EXPECT_EQ(data_uri("image/jpeg", "foo"), "data:image/jpeg;base64,Zm9v");
}

}  // namespace
}  // namespace t2v
