// sentencepiece's table of replacements ("precompiled charsmap"), applied as HF tokenizers does.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "massact/text/aligned_text.h"

namespace massact {

/// A table of short texts and what they become: a double-array trie, and texts ended by NUL.
class Charsmap {
 public:
  /// Reads the table (bytes, not base64). Throws Error naming `where` if it is cut short.
  Charsmap(std::string_view bytes, std::string_view where);

  /// Replaces grapheme clusters of less than six bytes that start with an entry, else the
  /// characters that do.
  AlignedText apply(const AlignedText& text) const;

 private:
  std::optional<std::string_view> replacement(std::string_view chunk) const;

  std::vector<std::uint32_t> trie_;
  std::string texts_;
};

/// The bytes that `text` writes in base64; throws Error naming `where` if it is none.
std::string bytes_of_base64(std::string_view text, std::string_view where);

}  // namespace massact
