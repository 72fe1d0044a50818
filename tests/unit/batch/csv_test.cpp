#include "batch/csv.h"

#include <gtest/gtest.h>

namespace t2v {
namespace {

std::vector<std::vector<std::string>> texts_of(const CsvTable& table) {
  std::vector<std::vector<std::string>> rows;
  for (const auto& row : table.rows) {
    rows.emplace_back();
    for (const auto& cell : row) rows.back().push_back(cell.text);
  }
  return rows;
}

TEST(Csv, ReadsPlainAndQuotedCells) {
  const auto table = parse_csv("a,b,c\r\n1,\"x, y\",\"he said \"\"no\"\"\"\n,,\n\"two\nlines\",2,3");
  EXPECT_TRUE(table.defects.empty());
  EXPECT_EQ(texts_of(table),
            (std::vector<std::vector<std::string>>{
                {"a", "b", "c"}, {"1", "x, y", "he said \"no\""}, {"", "", ""}, {"two\nlines", "2", "3"}}));
}

TEST(Csv, KnowsThePlaceOfEveryCell) {
  const auto table = parse_csv("prompt,seed\n\"ü\nb\",7\n\nlast,8\n");
  ASSERT_EQ(table.rows.size(), 3U);
  EXPECT_EQ(table.rows[0][1].place, (Place{1, 8}));
  EXPECT_EQ(table.rows[1][0].place, (Place{2, 1}));
  EXPECT_EQ(table.rows[1][1].place, (Place{3, 4}));             // behind the line end in quotes
  EXPECT_EQ(table.rows[2][0].place, (Place{5, 1}));             // the empty line is no row, but counts
  EXPECT_EQ(parse_csv("ü,x").rows[0][1].place, (Place{1, 3}));  // characters, not bytes
}

TEST(Csv, CollectsDefectsAndGoesOn) {
  const auto table = parse_csv("a\"b,1\n\"c\"d,2\ne,3\n\"open,4\n");
  ASSERT_EQ(table.defects.size(), 3U);
  EXPECT_EQ(table.defects[0].place, (Place{1, 2}));
  EXPECT_EQ(table.defects[1].place, (Place{2, 4}));
  EXPECT_EQ(table.defects[2].place, (Place{4, 1}));
  EXPECT_NE(table.defects[2].what.find("never closed"), std::string::npos);
  EXPECT_EQ(table.rows[2][0].text, "e");
}

TEST(Csv, EndsWithoutALineEnd) {
  EXPECT_EQ(texts_of(parse_csv("a,")), (std::vector<std::vector<std::string>>{{"a", ""}}));
  EXPECT_EQ(texts_of(parse_csv("\"a\"")), (std::vector<std::vector<std::string>>{{"a"}}));
  EXPECT_TRUE(parse_csv("").rows.empty());
  EXPECT_TRUE(parse_csv("\n\r\n").rows.empty());
}

}  // namespace
}  // namespace t2v
