#include "massact/text/byte_level.h"

#include <array>
#include <cstdint>

#include "massact/text/utf8.h"

namespace massact {
namespace {

// Printable Latin-1 bytes stand for themselves; the others are U+0100 onwards, in order.
constexpr char32_t kFirstMoved = 0x100;
constexpr char32_t kMoved = 68;

constexpr bool stands_for_itself(char32_t c) {
  return (c >= '!' && c <= '~') || (c >= 0xA1 && c <= 0xAC) || (c >= 0xAE && c <= 0xFF);
}

constexpr std::array<std::uint8_t, kMoved> moved_bytes() {
  std::array<std::uint8_t, kMoved> bytes{};
  std::size_t next = 0;
  for (char32_t byte = 0; byte < 256; ++byte)
    if (!stands_for_itself(byte)) bytes[next++] = static_cast<std::uint8_t>(byte);
  return bytes;
}

}  // namespace

std::optional<std::string> bytes_of_byte_level(std::string_view text) {
  static constexpr std::array<std::uint8_t, kMoved> kBytes = moved_bytes();
  std::string bytes;
  for (std::size_t at = 0; at < text.size();) {
    const char32_t c = next_character(text, at);
    if (stands_for_itself(c)) {
      bytes += static_cast<char>(c);
    } else if (c >= kFirstMoved && c < kFirstMoved + kMoved) {
      bytes += static_cast<char>(kBytes[c - kFirstMoved]);
    } else {
      return std::nullopt;
    }
  }
  return bytes;
}

std::vector<std::string> byte_level_alphabet() {
  std::vector<std::string> alphabet;
  const auto add = [&](bool themselves) {
    for (int byte = 0; byte < 256; ++byte) {
      const auto value = static_cast<unsigned char>(byte);
      if (stands_for_itself(value) != themselves) continue;
      append_utf8(alphabet.emplace_back(), byte_level_character(value));
    }
  };
  add(true);
  add(false);
  return alphabet;
}

char32_t byte_level_character(unsigned char byte) {
  static constexpr std::array<char32_t, 256> kCharacters = [] {
    std::array<char32_t, 256> characters{};
    char32_t moved = kFirstMoved;
    for (char32_t c = 0; c < 256; ++c) characters[c] = stands_for_itself(c) ? c : moved++;
    return characters;
  }();
  return kCharacters[byte];
}

}  // namespace massact
