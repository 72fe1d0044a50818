// Comma-separated values as RFC 4180 has them, with the place of every cell.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace t2v {

// A place in a text, from 1. Columns count characters, not bytes.
struct Place {
  int64_t line = 1;
  int64_t column = 1;
  friend auto operator<=>(const Place&, const Place&) = default;
};

struct CsvCell {
  Place place;
  std::string text;  // without its quotes
};

struct CsvDefect {
  Place place;
  std::string what;
};

struct CsvTable {
  std::vector<std::vector<CsvCell>> rows;  // lines that are empty are left out
  std::vector<CsvDefect> defects;
};

// Cells in double quotes may hold commas, line ends and doubled quotes. Lines end in LF or CRLF. What does
// not fit (a quote that is never closed, text after a closing quote, a quote within an unquoted cell) becomes
// a defect, and the parsing goes on behind it.
CsvTable parse_csv(std::string_view text);

}  // namespace t2v
