// Tables for a terminal of any width.
#pragma once

#include <string>
#include <vector>

#include "massact/report/text_style.h"

namespace massact {

/// Rows of cells; the first row is the heading, the first column says what a row is. Rows may end
/// early.
using TableRows = std::vector<std::vector<std::string>>;

/// Columns padded to their widest cell, two spaces apart; the first left-aligned, the others right.
/// A table that is wider than the style's width is broken into tables under each other that hold
/// some of the columns each, all beginning with the first one. Where a cell has no room at all,
/// names are cut before numbers are.
std::string table_text(const TableRows& rows, const TextStyle& style);

/// Display columns that the table takes in one piece.
int table_width(const TableRows& rows);

}  // namespace massact
