#include "batch/csv.h"

namespace t2v {

namespace {

class CsvParser {
 public:
  explicit CsvParser(std::string_view text) : text_(text) {}

  CsvTable parse() {
    while (!at_end()) row();
    return std::move(table_);
  }

 private:
  bool at_end() const { return position_ == text_.size(); }
  bool at_line_end() const {
    return at_end() || text_[position_] == '\n' ||
           (text_[position_] == '\r' && position_ + 1 < text_.size() && text_[position_ + 1] == '\n');
  }
  char take() {
    const char c = text_[position_++];
    if (c == '\n')
      place_ = {place_.line + 1, 1};
    else if ((static_cast<unsigned char>(c) & 0xC0) != 0x80)  // continuation bytes of UTF-8 belong to the
                                                              // character before
      ++place_.column;
    return c;
  }
  void complain(const Place& place, const char* what) { table_.defects.push_back({place, what}); }

  void row() {
    std::vector<CsvCell> cells;
    for (bool more = true; more;) {
      cells.push_back(!at_end() && text_[position_] == '"' ? quoted_cell() : plain_cell());
      more = !at_end() && text_[position_] == ',';
      if (more) take();
    }
    if (!at_end() && text_[position_] == '\r') take();
    if (!at_end()) take();
    if (cells.size() > 1 || !cells.front().text.empty()) table_.rows.push_back(std::move(cells));
  }

  CsvCell plain_cell() {
    CsvCell cell{place_, ""};
    while (!at_line_end() && text_[position_] != ',') {
      if (text_[position_] == '"')
        complain(place_, "a quote within a cell; put the whole cell in quotes and double the quotes inside");
      cell.text += take();
    }
    return cell;
  }

  CsvCell quoted_cell() {
    CsvCell cell{place_, ""};
    take();
    while (true) {
      if (at_end()) {
        complain(cell.place, "the quote that opens here is never closed");
        return cell;
      }
      const char c = take();
      if (c != '"') {
        cell.text += c;
      } else if (!at_end() && text_[position_] == '"') {
        cell.text += take();
      } else {
        break;
      }
    }
    if (!at_line_end() && text_[position_] != ',') {
      complain(place_, "text after a closing quote; quotes inside a cell are doubled");
      while (!at_line_end() && text_[position_] != ',') take();
    }
    return cell;
  }

  std::string_view text_;
  std::size_t position_ = 0;
  Place place_;
  CsvTable table_;
};

}  // namespace

CsvTable parse_csv(std::string_view text) { return CsvParser(text).parse(); }

}  // namespace t2v
