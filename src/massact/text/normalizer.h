// What a tokenizer does to a text before it is cut up: Unicode forms, replacements.
#pragma once

#include <memory>
#include <string>
#include <variant>
#include <vector>

#include "massact/text/aligned_text.h"
#include "massact/text/charsmap.h"
#include "massact/text/regex.h"

namespace massact {

enum class UnicodeForm { nfc, nfd, nfkc, nfkd };

/// A chain of steps, applied in order. Immutable and thread-safe.
class Normalizer {
 public:
  /// Puts `text` before a text that is not empty.
  struct Prepend {
    std::string text;
  };
  /// Replaces every match of `pattern` by `content`.
  struct Replace {
    std::variant<std::string, Regex> pattern;  // a string is looked for literally
    std::string content;
  };
  /// Every character's own lower case, whatever stands beside it.
  struct Lowercase {};
  /// Drops white space at the ends.
  struct Strip {
    bool left = true, right = true;
  };
  /// Drops marks: all, or (as BERT does) only those that take no space.
  struct StripAccents {
    bool nonspacing_only = false;
  };
  /// BERT's cleaning: drops control characters, turns white space into spaces.
  struct CleanText {};
  /// Puts spaces around CJK ideographs.
  struct SpaceIdeographs {};
  /// Writes bytes as GPT-2's visible characters.
  struct ByteCharacters {};
  using Step = std::variant<UnicodeForm, Prepend, Replace, Lowercase, Strip, StripAccents,
                            CleanText, SpaceIdeographs, ByteCharacters, Charsmap>;

  Normalizer() = default;
  /// Throws Error if there are more steps than a tokenizer needs.
  explicit Normalizer(std::vector<Step> steps);

  bool empty() const { return steps_.empty(); }
  /// `text` (valid UTF-8) after all steps, aligned to the original of `text`. `at_start` is false
  /// for the later parts of a longer text, before which nothing is put. Throws Error if the text
  /// grows out of all proportion.
  AlignedText apply(const AlignedText& text, bool at_start = true) const;

  /// True if nothing but spaces is replaced: then a text can be normalised in parts.
  bool changes_spaces_only() const;

 private:
  std::vector<Step> steps_;
};

/// Replaces every occurrence of `literal` (not empty) in `text` by `content`.
AlignedText replace_all(const AlignedText& text, std::string_view literal,
                        std::string_view content);

/// Replaces every match of `pattern` in `text` by `content`.
AlignedText replace_all(const AlignedText& text, const Regex& pattern, std::string_view content);

/// Puts `prefix` before `text`.
AlignedText prepend(const AlignedText& text, std::string_view prefix);

/// Writes the bytes of `text` as GPT-2's visible characters.
AlignedText byte_characters(const AlignedText& text);

/// Refuses a text that a tokenizer's steps made much longer (`bytes`) than the `original_bytes` it
/// had.
void check_growth(std::size_t bytes, std::size_t original_bytes);

}  // namespace massact
