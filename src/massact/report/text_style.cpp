#include "massact/report/text_style.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <iterator>

namespace massact {
namespace {

struct CodePoint {
  std::uint32_t value = 0;
  std::size_t bytes = 1;
  bool valid = false;
};

CodePoint decode(std::string_view text) {
  const auto first = static_cast<unsigned char>(text[0]);
  if (first < 0x80) return {first, 1, true};
  const std::size_t bytes = first >= 0xF0 ? 4 : first >= 0xE0 ? 3 : 2;
  if (first < 0xC2 || first > 0xF4 || text.size() < bytes) return {first, 1, false};
  std::uint32_t value = first & (0xFFu >> (bytes + 1));
  for (std::size_t i = 1; i < bytes; ++i) {
    const auto next = static_cast<unsigned char>(text[i]);
    if ((next & 0xC0) != 0x80) return {first, 1, false};
    value = (value << 6) | (next & 0x3Fu);
  }
  const bool overlong = (bytes == 3 && value < 0x800) || (bytes == 4 && value < 0x10000);
  if (overlong || value > 0x10FFFF || (value >= 0xD800 && value < 0xE000)) return {first, 1, false};
  return {value, bytes, true};
}

bool within(std::uint32_t value, std::uint32_t low, std::uint32_t high) {
  return value >= low && value <= high;
}

// The blocks that matter in practice; terminals themselves disagree about the rest.
int width_of(std::uint32_t c) {
  const bool combining = within(c, 0x0300, 0x036F) || within(c, 0x200B, 0x200F) ||
                         within(c, 0xFE00, 0xFE0F) || within(c, 0x1AB0, 0x1AFF);
  if (combining) return 0;
  const bool wide = within(c, 0x1100, 0x115F) || within(c, 0x2E80, 0xA4CF) ||
                    within(c, 0xAC00, 0xD7A3) || within(c, 0xF900, 0xFAFF) ||
                    within(c, 0xFE30, 0xFE6F) || within(c, 0xFF00, 0xFF60) ||
                    within(c, 0x1F300, 0x1FAFF) || within(c, 0x20000, 0x3FFFD);
  return wide ? 2 : 1;
}

// C0, DEL and C1 move the cursor or worse; bidirectional overrides rearrange what stands beside.
bool is_control(std::uint32_t c) {
  return c < 0x20 || within(c, 0x7F, 0x9F) || within(c, 0x202A, 0x202E) ||
         within(c, 0x2066, 0x2069) || c == 0x2028 || c == 0x2029 || c == 0xFEFF;
}

}  // namespace

int display_width(std::string_view text) {
  int columns = 0;
  while (!text.empty()) {
    const CodePoint point = decode(text);
    columns += point.valid ? width_of(point.value) : 1;
    text.remove_prefix(point.bytes);
  }
  return columns;
}

std::string shorten(std::string_view text, int columns, const TextStyle& style) {
  if (display_width(text) <= columns) return std::string(text);
  const std::string_view mark = style.utf8 ? "…" : "...";
  const int room = columns - display_width(mark);
  if (room <= 0) return std::string(static_cast<std::size_t>(std::max(columns, 0)), '.');
  std::string out;
  int used = 0;
  while (!text.empty()) {
    const CodePoint point = decode(text);
    used += point.valid ? width_of(point.value) : 1;
    if (used > room) break;
    out.append(text.substr(0, point.bytes));
    text.remove_prefix(point.bytes);
  }
  return out.append(mark);
}

std::string pad_right(std::string_view text, int columns) {
  const int missing = std::max(0, columns - display_width(text));
  return std::string(text) + std::string(static_cast<std::size_t>(missing), ' ');
}

std::string pad_left(std::string_view text, int columns) {
  const int missing = std::max(0, columns - display_width(text));
  return std::string(static_cast<std::size_t>(missing), ' ') + std::string(text);
}

std::string bar(double fraction, int columns, const TextStyle& style) {
  if (!(fraction > 0) || columns <= 0) return "";
  fraction = std::min(fraction, 1.0);
  if (!style.utf8) {
    return std::string(static_cast<std::size_t>(std::lround(fraction * columns)), '#');
  }
  static constexpr const char* kEighths[] = {"", "▏", "▎", "▍", "▌", "▋", "▊", "▉"};
  const auto eighths = static_cast<int>(std::lround(fraction * columns * 8));
  std::string out;
  for (int i = 0; i < eighths / 8; ++i) out += "█";
  return out + kEighths[eighths % 8];
}

std::string printable(std::string_view text, const TextStyle& style) {
  std::string out;
  while (!text.empty()) {
    const CodePoint point = decode(text);
    if (!point.valid) {
      out += fmt::format("\\x{:02X}", point.value);
    } else if (point.value == '\n') {
      out += "\\n";
    } else if (point.value == '\t') {
      out += "\\t";
    } else if (is_control(point.value) && point.value < 0x100) {
      out += fmt::format("\\x{:02X}", point.value);
    } else if (is_control(point.value) || (point.value >= 0x80 && !style.utf8)) {
      out += fmt::format("\\u{{{:X}}}", point.value);
    } else {
      out.append(text.substr(0, point.bytes));
    }
    text.remove_prefix(point.bytes);
  }
  return out;
}

namespace {

constexpr std::string_view kUnits[] = {"%", "pp", "MiB", "GiB", "KiB"};
constexpr std::string_view kSigns[] = {"±", "+-", "×", "x"};

// The word that `text` begins with.
std::string_view first_word(std::string_view text) { return text.substr(0, text.find(' ')); }

// A number is read with its unit, its error and its factor: no line ends between them.
bool stay_together(std::string_view word, std::string_view next) {
  const auto is_sign = [&](std::string_view one) {
    return std::find(std::begin(kSigns), std::end(kSigns), one) != std::end(kSigns);
  };
  const bool number = !word.empty() && word.back() >= '0' && word.back() <= '9';
  const bool unit = std::any_of(std::begin(kUnits), std::end(kUnits),
                                [&](std::string_view one) { return next.starts_with(one); });
  return is_sign(word) || (number && (unit || is_sign(next)));
}

// The end of what `text` begins with and no line may break.
std::size_t unbroken(std::string_view text) {
  std::string_view word = first_word(text);
  std::size_t end = word.size();
  while (end < text.size()) {
    const std::string_view next = first_word(text.substr(end + 1));
    if (!stay_together(word, next)) break;
    end += 1 + next.size();
    word = next;
  }
  return end;
}

}  // namespace

std::string wrap(std::string_view text, const TextStyle& style) {
  std::string out;
  int column = 0;
  const auto break_line = [&] {
    out += '\n';
    column = 0;
  };
  while (!text.empty()) {
    const std::size_t end = unbroken(text);
    std::string_view word = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    if (column > 0 && column + 1 + display_width(word) > style.width) {
      break_line();
    } else if (column > 0) {
      out += ' ';
      ++column;
    }
    while (!word.empty()) {
      const CodePoint point = decode(word);
      const int columns = point.valid ? width_of(point.value) : 1;
      if (column > 0 && column + columns > style.width) break_line();
      out.append(word.substr(0, point.bytes));
      column += columns;
      word.remove_prefix(point.bytes);
    }
  }
  return out;
}

}  // namespace massact
