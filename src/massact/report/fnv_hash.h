// A hash for recognising what was seen before. Not for security.
#pragma once

#include <fmt/format.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace massact {

/// FNV-1a, 64 bits (Fowler, Noll, Vo).
class FnvHash {
 public:
  void add(const void* data, std::size_t bytes) {
    const auto* at = static_cast<const unsigned char*>(data);
    for (std::size_t i = 0; i < bytes; ++i) value_ = (value_ ^ at[i]) * 0x100000001B3ULL;
  }
  /// The text and its end: "ab", "c" is not "a", "bc".
  void add(std::string_view text) {
    add(text.data(), text.size());
    add("\0", 1);
  }
  /// 16 hexadecimal digits.
  std::string digits() const { return fmt::format("{:016x}", value_); }

 private:
  std::uint64_t value_ = 0xCBF29CE484222325ULL;
};

}  // namespace massact
