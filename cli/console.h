// Where a report goes and how it may look there: width and colour of the terminal, aligned tables.
#pragma once

#include <iosfwd>
#include <string>
#include <string_view>
#include <vector>

namespace attest::cli {

enum class Colour { plain, good, bad, doubtful, quiet, strong };

struct Console {
  std::ostream& out;      // the report
  std::ostream& notes;    // progress and errors
  bool colours = false;   // `out` is a terminal and NO_COLOR is not set
  bool progress = false;  // `notes` is a terminal: a line may be rewritten in place
  int width = 110;        // columns of the terminal; 110 where there is none

  // `text` in a colour where colours are allowed, else as it is.
  std::string paint(Colour colour, std::string_view text) const;
};

// stdout and stderr as they are now; reads NO_COLOR, TERM and COLUMNS.
Console standard_console();

// A table whose columns align: the first column to the left, the rest to the right, unless told otherwise.
class TextTable {
 public:
  struct Cell {
    std::string text;
    Colour colour = Colour::plain;
  };
  enum class Align { left, right };

  explicit TextTable(std::vector<std::string> header);
  void align(std::size_t column, Align align);
  // As many cells as the header has; throws std::invalid_argument otherwise.
  void add(std::vector<Cell> row);
  std::size_t rows() const { return rows_.size(); }
  // Every line indented by two blanks; no blanks at the ends of lines. Split::columns: a table wider than the
  // console becomes blocks of columns that each repeat the first column.
  enum class Split { never, columns };
  void print(const Console& console, Split split = Split::never) const;

 private:
  void print_block(const Console& console, const std::vector<std::size_t>& columns) const;

  std::vector<Cell> header_;
  std::vector<Align> align_;
  std::vector<std::size_t> widths_;
  std::vector<std::vector<Cell>> rows_;
};

}  // namespace attest::cli
