// Texts and token files as the sequences that a model is run on.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "massact/text/tokenizer.h"

namespace massact {

/// One chunk of one source.
struct Sequence {
  std::vector<std::int32_t> tokens;
  std::vector<ByteSpan> spans;  // in the source's text; empty for BOS. No spans: token file
  std::int32_t source = 0;
  bool has_bos = false;  // tokens[0] is the tokenizer's BOS
};

/// automatic: as the tokenizer's own configuration says (token files: none is added).
enum class BosPolicy { automatic, always, never };

struct CorpusOptions {
  std::int64_t seq_len = 2048;     // tokens per sequence, BOS included
  std::int64_t max_sequences = 0;  // the first so many chunks; 0: all
  BosPolicy bos = BosPolicy::automatic;
  bool keep_short = false;  // a source without a full chunk becomes one short sequence
};

/// Where sequences come from.
struct CorpusSource {
  std::string name;
  std::string_view text;  // what spans point into; empty for token files
};

/// A token with the characters around it in its text.
struct TokenContext {
  std::string before, token, after;
};

/// Sequences cut one after the other from the start of each source; what is left at the end of a
/// source is dropped. A source is tokenised once, and only as far as `max_sequences` needs. Keeps
/// the texts; the tokenizer must outlive it. Immutable and thread-safe.
class Corpus {
 public:
  static Corpus from_text(std::string text, std::string name, const Tokenizer& tokenizer,
                          const CorpusOptions& options);

  /// Text files, each its own source; "-" is standard input. In a file that ends in .jsonl every
  /// line is an object whose field "text" is a document; documents are joined by one space.
  static Corpus from_files(std::span<const std::filesystem::path> paths, const Tokenizer& tokenizer,
                           const CorpusOptions& options);

  /// A .npy array of integers (1-D: one stream; 2-D: every row a source of its own) or a nanoGPT /
  /// llm.c .bin. Ids must be below `vocab_size`. `tokenizer` (may be null) shows texts and gives
  /// the BOS that BosPolicy::always needs.
  static Corpus from_tokens(const std::filesystem::path& path, std::int64_t vocab_size,
                            const CorpusOptions& options, const Tokenizer* tokenizer = nullptr);

  // All three throw Error naming the source if there is no text, no full chunk (and not
  // keep_short), or an id out of range; UsageError for options that cannot be met.

  const std::vector<Sequence>& sequences() const { return sequences_; }
  const std::vector<CorpusSource>& sources() const { return sources_; }
  /// In words (list_sources).
  std::string source_names() const;
  const Tokenizer* tokenizer() const { return tokenizer_; }
  /// The effective policy: true if every sequence begins with a BOS that was added.
  bool adds_bos() const { return adds_bos_; }

  /// What a person should see for one token; "#17" without a tokenizer.
  std::string token_text(std::int64_t sequence, std::int64_t position) const;
  /// The texts of all tokens of one sequence.
  std::vector<std::string> token_texts(std::int64_t sequence) const;
  /// The token and up to so many characters around it, from the text, or for token files from the
  /// decoded neighbours within the sequence.
  TokenContext context(std::int64_t sequence, std::int64_t position, std::int64_t chars_before,
                       std::int64_t chars_after) const;

 private:
  Corpus(const Tokenizer* tokenizer, const CorpusOptions& options, bool automatic_bos);

  void add_text(std::string name, std::string_view text);
  void add_tokens(const Encoding& encoding);
  std::int64_t wanted_tokens() const;
  bool is_full() const;
  void require_sequences() const;
  const Sequence& sequence_at(std::int64_t sequence, std::int64_t position) const;

  const Tokenizer* tokenizer_;
  CorpusOptions options_;
  bool adds_bos_;
  std::vector<std::shared_ptr<const void>> storage_;  // the texts' memory
  std::vector<CorpusSource> sources_;
  std::vector<Sequence> sequences_;
  std::int64_t longest_source_ = 0;  // in tokens, for the error when no chunk is full
};

}  // namespace massact
