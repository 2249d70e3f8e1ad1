// Escape codes, terminal width and column widths.
#include "cli/console.h"

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <iostream>
#include <stdexcept>

namespace attest::cli {
namespace {

constexpr std::size_t kGap = 2;  // blanks between columns and before the first

std::string_view code(Colour colour) {
  switch (colour) {
    case Colour::plain:
      return "";
    case Colour::good:
      return "\x1b[32m";
    case Colour::bad:
      return "\x1b[1;31m";
    case Colour::doubtful:
      return "\x1b[33m";
    case Colour::quiet:
      return "\x1b[2m";
    case Colour::strong:
      return "\x1b[1m";
  }
  return "";
}

std::string_view variable(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

int terminal_width() {
  winsize size{};
  if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) return std::max<int>(size.ws_col, 60);
  const int columns = std::atoi(std::string(variable("COLUMNS")).c_str());
  return columns >= 60 ? columns : 110;
}

}  // namespace

std::string Console::paint(Colour colour, std::string_view text) const {
  if (!colours || colour == Colour::plain) return std::string(text);
  return fmt::format("{}{}\x1b[0m", code(colour), text);
}

Console standard_console() {
  const bool dumb = variable("TERM") == "dumb";
  return {.out = std::cout,
          .notes = std::cerr,
          .colours = isatty(STDOUT_FILENO) == 1 && variable("NO_COLOR").empty() && !dumb,
          .progress = isatty(STDERR_FILENO) == 1 && !dumb,
          .width = terminal_width()};
}

TextTable::TextTable(std::vector<std::string> header) {
  for (std::string& title : header) {
    widths_.push_back(title.size());
    align_.push_back(align_.empty() ? Align::left : Align::right);
    header_.push_back({std::move(title), Colour::quiet});
  }
}

void TextTable::align(std::size_t column, Align align) { align_.at(column) = align; }

void TextTable::add(std::vector<Cell> row) {
  if (row.size() != header_.size()) {
    throw std::invalid_argument(
        fmt::format("table row of {} cells under {} titles", row.size(), header_.size()));
  }
  for (std::size_t column = 0; column < row.size(); ++column) {
    widths_[column] = std::max(widths_[column], row[column].text.size());
  }
  rows_.push_back(std::move(row));
}

void TextTable::print(const Console& console, Split split) const {
  const std::size_t limit = split == Split::never ? SIZE_MAX : static_cast<std::size_t>(console.width);
  for (std::size_t next = 1; next < header_.size() || next == 1;) {
    std::vector<std::size_t> columns = {0};
    std::size_t width = kGap + widths_[0];
    while (next < header_.size() && (columns.size() == 1 || width + kGap + widths_[next] <= limit)) {
      width += kGap + widths_[next];
      columns.push_back(next++);
    }
    print_block(console, columns);
    if (next >= header_.size()) return;
    console.out << '\n';
  }
}

void TextTable::print_block(const Console& console, const std::vector<std::size_t>& columns) const {
  const auto line = [&](const std::vector<Cell>& row) {
    std::string text;
    std::size_t blanks = kGap;  // owed before the next cell, so that lines do not end in blanks
    for (std::size_t column : columns) {
      const Cell& cell = row[column];
      const std::size_t fill = widths_[column] - cell.text.size();
      const bool left = align_[column] == Align::left;
      text += std::string(blanks + (left ? 0 : fill), ' ') + console.paint(cell.colour, cell.text);
      blanks = kGap + (left ? fill : 0);
    }
    console.out << text << '\n';
  };
  line(header_);
  for (const auto& row : rows_) line(row);
}

}  // namespace attest::cli
