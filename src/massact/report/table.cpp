#include "massact/report/table.h"

#include <algorithm>
#include <numeric>
#include <span>
#include <string_view>

namespace massact {
namespace {

constexpr int kGap = 2;
constexpr int kLeastName = 8;  // columns that are left of a row's name

std::vector<int> column_widths(const TableRows& rows) {
  std::vector<int> widths;
  for (const auto& row : rows) {
    widths.resize(std::max(widths.size(), row.size()));
    for (std::size_t c = 0; c < row.size(); ++c) {
      widths[c] = std::max(widths[c], display_width(row[c]));
    }
  }
  return widths;
}

bool is_number(std::string_view cell) {
  constexpr std::string_view kBefore = "+-x ";
  const std::string_view times = "×";
  if (cell.starts_with(times)) cell.remove_prefix(times.size());
  const std::size_t first = cell.find_first_not_of(kBefore);
  return first != std::string_view::npos && cell[first] >= '0' && cell[first] <= '9';
}

// The widest number outside of the first column.
int widest_number(const TableRows& rows) {
  int width = 0;
  for (const auto& row : rows) {
    for (std::size_t c = 1; c < row.size(); ++c) {
      if (is_number(row[c])) width = std::max(width, display_width(row[c]));
    }
  }
  return width;
}

int width_of(std::span<const int> widths) {
  const int gaps = kGap * std::max(0, static_cast<int>(widths.size()) - 1);
  return std::accumulate(widths.begin(), widths.end(), gaps);
}

// The first column, then those of [begin, end).
std::string piece(const TableRows& rows, const std::vector<int>& widths, std::size_t begin,
                  std::size_t end, const TextStyle& style) {
  std::string out;
  for (const auto& row : rows) {
    std::string line = row.empty() ? "" : pad_right(shorten(row[0], widths[0], style), widths[0]);
    for (std::size_t c = begin; c < std::min(end, row.size()); ++c) {
      line += std::string(kGap, ' ') + pad_left(shorten(row[c], widths[c], style), widths[c]);
    }
    line.erase(line.find_last_not_of(' ') + 1);
    out += line + "\n";
  }
  return out;
}

}  // namespace

int table_width(const TableRows& rows) { return width_of(column_widths(rows)); }

std::string table_text(const TableRows& rows, const TextStyle& style) {
  std::vector<int> widths = column_widths(rows);
  if (widths.empty()) return "";
  if (width_of(widths) > style.width) {
    // Room for the name of a row and one more column, whatever they hold; a name may be cut, a
    // number may not.
    const int beside_numbers = style.width - kGap - widest_number(rows);
    const int names = std::max(std::min(style.width / 2, beside_numbers), kLeastName);
    widths[0] = std::min(widths[0], std::max(1, std::min(names, style.width / 2)));
    const int room = std::max(1, style.width - widths[0] - kGap);
    for (std::size_t c = 1; c < widths.size(); ++c) widths[c] = std::min(widths[c], room);
  }
  std::string out;
  std::size_t begin = 1;
  do {
    int used = widths[0];
    std::size_t end = begin;
    while (end < widths.size() && (end == begin || used + kGap + widths[end] <= style.width)) {
      used += kGap + widths[end++];
    }
    if (!out.empty()) out += '\n';
    out += piece(rows, widths, begin, end, style);
    begin = end;
  } while (begin < widths.size());
  return out;
}

}  // namespace massact
