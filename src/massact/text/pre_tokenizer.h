// Cutting a normalised text into the words within which a BPE model may merge.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
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

/// Immutable and thread-safe.
class PreTokenizer {
 public:
  struct Options {
    bool add_prefix_space = false;       // ByteLevel's: a space before a text without one
    std::optional<Metaspace> metaspace;  // applied before the splits
    std::vector<SplitStep> splits;       // each cuts the pieces of the one before
  };

  PreTokenizer() = default;
  explicit PreTokenizer(Options options) : options_(std::move(options)) {}

  /// The changes made to a whole section of text before it is cut.
  AlignedText prepare(const AlignedText& section) const;

  /// Gets a word; false stops.
  using Sink = std::function<bool(std::string_view word)>;
  /// Cuts `text` (prepared) into words, in order; returns false if stopped. Words are views into
  /// `text` and never empty.
  bool split(std::string_view text, const Sink& sink) const;

 private:
  Options options_;
};

/// The pattern of GPT-2's ByteLevel pre-tokenizer.
extern const std::string_view kGpt2Pattern;
/// The patterns that LLaMA 3 and Qwen 2 split by.
extern const std::string_view kLlama3Pattern;
extern const std::string_view kQwen2Pattern;

}  // namespace massact
