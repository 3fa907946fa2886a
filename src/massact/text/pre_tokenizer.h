// Cutting a normalised text into the words within which a BPE model may merge.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "massact/text/aligned_text.h"
#include "massact/text/regex.h"

namespace massact {

/// What becomes of the matches of a split's pattern (names as in HF tokenizers).
enum class SplitBehavior { isolated, removed, contiguous, merged_with_previous, merged_with_next };

/// One cut: by the matches of a pattern, or by what lies between them (`invert`).
struct SplitStep {
  Regex pattern;
  SplitBehavior behavior = SplitBehavior::isolated;
  bool invert = false;
};

/// Replaces spaces by a visible mark, and puts one in front.
struct Metaspace {
  enum class PrependScheme { always, first, never };
  std::string mark = "\u2581";
  PrependScheme prepend = PrependScheme::always;
};

/// ByteLevel's: puts a space before a text without one.
struct PrefixSpace {};

/// ByteLevel's: writes bytes as visible characters.
struct ByteCharacters {};

/// Immutable and thread-safe.
class PreTokenizer {
 public:
  /// Changes of a whole piece of text, then cuts, each of the pieces of the one before.
  struct Stage {
    std::vector<std::variant<Metaspace, PrefixSpace, ByteCharacters>> changes;
    std::vector<SplitStep> splits;
  };

  PreTokenizer() = default;
  /// Each stage works on every word of the one before. Throws Error if there are more steps than a
  /// tokenizer needs.
  explicit PreTokenizer(std::vector<Stage> stages);

  /// True if a text is one word.
  bool keeps_whole() const;
  /// A text as one word, if keeps_whole().
  AlignedText whole(const AlignedText& section) const;

  /// Gets a word, which begins `offset` bytes into the text whose origins are given; false stops.
  /// Offsets in one text increase.
  using Sink =
      std::function<bool(std::string_view word, std::int64_t offset, OriginCursor& origins)>;
  /// Cuts `section` into words, in order; returns false if stopped. Words are never empty.
  bool split(const AlignedText& section, const Sink& sink) const;

 private:
  class Run;
  std::vector<Stage> stages_;
};

/// The pattern of GPT-2's ByteLevel pre-tokenizer.
extern const std::string_view kGpt2Pattern;
/// The patterns that LLaMA 3 and Qwen 2 split by.
extern const std::string_view kLlama3Pattern;
extern const std::string_view kQwen2Pattern;

}  // namespace massact
