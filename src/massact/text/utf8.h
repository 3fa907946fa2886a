// UTF-8 as the tokenizers need it: decode, append, check, repair, and a few character classes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace massact {

/// U+FFFD, which stands for bytes that are not UTF-8.
inline constexpr char32_t kReplacementCharacter = 0xFFFD;

/// True if `text` is well-formed UTF-8 (no surrogates, no overlong forms).
bool is_valid_utf8(std::string_view text);

/// Reads the character at `at` and moves `at` behind it. `at < text.size()`. A maximal ill-formed
/// part (Unicode 15, section 3.9, as Python's errors="replace") reads as U+FFFD.
char32_t next_character(std::string_view text, std::size_t& at);

/// Number of bytes of the character that starts with `lead`, in valid UTF-8.
constexpr int utf8_length(unsigned char lead) {
  return lead < 0x80 ? 1 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
}

/// Appends `character` as UTF-8.
void append_utf8(std::string& text, char32_t character);

/// `text` with every maximal ill-formed part replaced by U+FFFD.
std::string replace_invalid_utf8(std::string_view text);

/// Unicode's White_Space property (what \s means in HF tokenizers).
bool is_white_space(char32_t character);

/// What \w means in HF tokenizers: letters, marks, decimal digits, connectors, join controls.
bool is_word_character(char32_t character);

/// The name of a byte token, `<0x0A>`, as sentencepiece and HF write it.
std::string byte_token(unsigned char byte);

/// The byte that a byte token stands for, or -1 if `text` is not one.
int byte_of_token(std::string_view text);

/// `text` with every `from` (not empty) replaced by `to`.
std::string replaced(std::string text, std::string_view from, std::string_view to);

/// `bytes` for a person: themselves if they are UTF-8, else every byte as `<0xE2>`.
std::string printable(std::string_view bytes);

}  // namespace massact
