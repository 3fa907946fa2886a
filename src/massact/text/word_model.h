// What turns words into tokens: the interface of BPE, Unigram, WordPiece and WordLevel.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace massact {

/// One token of a word: bytes [begin, end) of it.
struct WordToken {
  std::int32_t id;
  std::uint32_t begin, end;
};

/// Encodes words with one model, remembering what helps. Not thread-safe.
class WordEncoder {
 public:
  /// Gets tokens, in order; false stops.
  using Sink = std::function<bool(std::span<const WordToken>)>;

  virtual ~WordEncoder() = default;
  /// Encodes `word` (not empty, valid UTF-8 unless the model works on bytes) in parts, with offsets
  /// in `word`. False if stopped. Throws Error if the model has no token for it.
  virtual bool encode(std::string_view word, const Sink& sink) = 0;
};

/// A vocabulary with a rule. Immutable and thread-safe.
class WordModel {
 public:
  virtual ~WordModel() = default;

  virtual std::int64_t size() const = 0;
  /// The text of token `id` in [0, size()); empty if no text makes it.
  virtual const std::string& piece(std::int32_t id) const = 0;
  /// An encoder; the model must outlive it.
  virtual std::unique_ptr<WordEncoder> encoder() const = 0;
  /// True if words can be cut between these two characters without changing their tokens.
  virtual bool can_cut(std::string_view, std::string_view) const { return false; }
};

}  // namespace massact
