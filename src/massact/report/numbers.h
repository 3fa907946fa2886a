// Numbers as people read them.
#pragma once

#include <string>

namespace massact {

/// Four significant digits, thousands separated: 0.01234, 76.5, 2,622, 1.25e+09.
std::string number(double value);

/// As `number`, always with its sign: +2,480, -0.31.
std::string signed_number(double value);

/// A standard error: two significant digits, written as `number` writes: 0.00025, 4.4, 160, 12,000.
std::string error_number(double value);

/// 0.25 -> "25 %", 1 -> "100 %", 0.0123 -> "1.2 %".
std::string percent(double share);

}  // namespace massact
