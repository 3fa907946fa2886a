// What a tokenizer does to a text before it is cut up: Unicode forms, replacements.
#pragma once

#include <string>
#include <variant>
#include <vector>

#include "massact/text/aligned_text.h"
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
  using Step = std::variant<UnicodeForm, Prepend, Replace>;

  Normalizer() = default;
  explicit Normalizer(std::vector<Step> steps) : steps_(std::move(steps)) {}

  bool empty() const { return steps_.empty(); }
  /// `text` (valid UTF-8) after all steps, aligned to the original of `text`.
  AlignedText apply(const AlignedText& text) const;

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

}  // namespace massact
