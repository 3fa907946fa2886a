// Human-readable sizes and durations, and their parsing.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace massact {

/// 1536 -> "1.5 KiB"; three significant digits, binary units.
std::string format_bytes(std::uint64_t bytes);

/// The same, rounded up: what it says is at least `bytes`.
std::string format_bytes_up(std::uint64_t bytes);

/// "3GiB", "512M", "1.5g", "4096" -> bytes. Binary units; throws UsageError naming `where`.
std::uint64_t parse_bytes(std::string_view text, std::string_view where);

/// 75.3 -> "1m15s"; 0.25 -> "0.25s".
std::string format_seconds(double seconds);

/// 1234567 -> "1,234,567".
std::string format_count(std::uint64_t count);

/// 1, "window" -> "1 window"; 1200, "window" -> "1,200 windows".
std::string counted(std::int64_t count, std::string_view noun);

}  // namespace massact
