#include "massact/text/utf8.h"

#include <fmt/format.h>
#include <unicode/uchar.h>
#include <unicode/utf8.h>

namespace massact {

char32_t next_character(std::string_view text, std::size_t& at) {
  std::int64_t i = static_cast<std::int64_t>(at);
  const std::int64_t length = static_cast<std::int64_t>(text.size());
  UChar32 character = 0;
  U8_NEXT_OR_FFFD(text.data(), i, length, character);
  at = static_cast<std::size_t>(i);
  return static_cast<char32_t>(character);
}

bool is_valid_utf8(std::string_view text) {
  std::int64_t i = 0;
  const std::int64_t length = static_cast<std::int64_t>(text.size());
  while (i < length) {
    UChar32 character = 0;
    U8_NEXT(text.data(), i, length, character);
    if (character < 0) return false;
  }
  return true;
}

void append_utf8(std::string& text, char32_t character) {
  char buffer[4];
  std::int32_t length = 0;
  U8_APPEND_UNSAFE(buffer, length, character);
  text.append(buffer, static_cast<std::size_t>(length));
}

std::string replace_invalid_utf8(std::string_view text) {
  if (is_valid_utf8(text)) return std::string(text);
  std::string clean;
  clean.reserve(text.size() + 16);
  for (std::size_t at = 0; at < text.size();) append_utf8(clean, next_character(text, at));
  return clean;
}

bool is_white_space(char32_t character) {
  return u_isUWhiteSpace(static_cast<UChar32>(character)) != 0;
}

bool is_word_character(char32_t character) {
  const auto c = static_cast<UChar32>(character);
  const std::uint32_t category = U_GET_GC_MASK(c);
  const std::uint32_t marks_digits_connectors = U_GC_M_MASK | U_GC_ND_MASK | U_GC_PC_MASK;
  return (category & marks_digits_connectors) != 0 || u_isUAlphabetic(c) != 0 ||
         u_hasBinaryProperty(c, UCHAR_JOIN_CONTROL) != 0;
}

std::string byte_token(unsigned char byte) { return fmt::format("<0x{:02X}>", byte); }

int byte_of_token(std::string_view text) {
  if (text.size() != 6 || text.substr(0, 3) != "<0x" || text[5] != '>') return -1;
  const std::string_view digits = "0123456789ABCDEF";
  const auto high = digits.find(text[3]);
  const auto low = digits.find(text[4]);
  if (high == std::string_view::npos || low == std::string_view::npos) return -1;
  return static_cast<int>(high * 16 + low);
}

std::string replaced(std::string text, std::string_view from, std::string_view to) {
  for (auto at = text.find(from); at != std::string::npos; at = text.find(from, at + to.size()))
    text.replace(at, from.size(), to);
  return text;
}

std::string printable(std::string_view bytes) {
  if (is_valid_utf8(bytes)) return std::string(bytes);
  std::string text;
  for (const char byte : bytes) text += byte_token(static_cast<unsigned char>(byte));
  return text;
}

}  // namespace massact
