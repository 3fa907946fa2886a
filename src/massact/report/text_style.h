// How text is laid out for whoever reads it: a wide UTF-8 terminal, a 40-column one, a log file.
#pragma once

#include <string>
#include <string_view>

namespace massact {

struct TextStyle {
  int width = 100;      ///< columns to fill at most
  bool utf8 = false;    ///< block characters, ellipses and token text as they are; else ASCII
  bool colour = false;  ///< ANSI colours
};

/// Columns that UTF-8 `text` takes: wide (CJK, emoji) characters count 2, combining ones 0.
int display_width(std::string_view text);

/// `text` cut to at most `columns`, ending in "…" (ASCII style: "...") if anything was cut.
std::string shorten(std::string_view text, int columns, const TextStyle& style);

/// Padded with spaces to `columns`; left- or right-aligned. Longer text stays as it is.
std::string pad_right(std::string_view text, int columns);
std::string pad_left(std::string_view text, int columns);

/// A bar of `fraction` (0 to 1) of `columns`, in eighths of a column in UTF-8 style; not padded.
std::string bar(double fraction, int columns, const TextStyle& style);

/// One line that is safe to print: newlines and tabs as \n, \t; other control characters and bytes
/// that are no UTF-8 as \xHH; beyond ASCII as \u{HHHH} unless the style is UTF-8.
std::string printable(std::string_view text, const TextStyle& style);

/// Breaks `text` at spaces into lines of at most the style's width, not between a number and its
/// unit, error or factor ("36 ± 4 %"); words that are wider, anywhere.
std::string wrap(std::string_view text, const TextStyle& style);

}  // namespace massact
