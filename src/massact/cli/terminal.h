// What is at the other end of stdout and stderr.
#pragma once

#include <string_view>

#include "massact/report/text_style.h"

namespace massact {

/// True if the stream is a terminal that can move its cursor (TERM is not "dumb").
bool is_terminal(int descriptor);

/// Style for text on file descriptor `descriptor` (1 or 2): the terminal's width (else COLUMNS,
/// else 100; never below 40), UTF-8 if the locale's variables say so, colours only on a terminal
/// and without NO_COLOR.
TextStyle text_style_of(int descriptor);

/// Writes to stdout and makes sure that it arrived. Throws Error (a full disk, a closed pipe).
void print(std::string_view text);

}  // namespace massact
