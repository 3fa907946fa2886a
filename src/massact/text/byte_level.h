// GPT-2's way of writing bytes as visible characters in vocabulary files.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace massact {

/// The bytes that `text` (valid UTF-8) writes, or nothing if it has a character outside the
/// alphabet: "Ġthe" -> " the".
std::optional<std::string> bytes_of_byte_level(std::string_view text);

/// All 256 characters, in the order of GPT-2's and CLIP's vocabularies: bytes that stand for
/// themselves first.
std::vector<std::string> byte_level_alphabet();

/// The character that writes `byte`.
char32_t byte_level_character(unsigned char byte);

}  // namespace massact
