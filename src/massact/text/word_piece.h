// Models that look words up: WordLevel (whole words) and WordPiece (the longest pieces first).
#pragma once

#include <unordered_map>
#include <vector>

#include "massact/text/word_model.h"

namespace massact {

/// The vocabulary of such a model. Immutable and thread-safe.
class WordPieceModel final : public WordModel {
 public:
  struct Options {
    std::optional<std::int32_t> unknown;  // without it, unknown words are an error
    std::string prefix;                   // of all but a word's first piece ("##")
    std::int64_t longest_word = 0;        // in characters; longer ones are unknown
    bool whole_words = false;             // WordLevel: a word is one piece
  };

  /// `pieces[id]` is the text of token id; empty: not to be produced.
  WordPieceModel(std::vector<std::string> pieces, Options options);
  WordPieceModel(const WordPieceModel&) = delete;
  WordPieceModel& operator=(const WordPieceModel&) = delete;

  std::int64_t size() const override { return static_cast<std::int64_t>(pieces_.size()); }
  const std::string& piece(std::int32_t id) const override {
    return pieces_[static_cast<std::size_t>(id)];
  }
  std::unique_ptr<WordEncoder> encoder() const override;

 private:
  friend class WordPieceEncoder;

  std::vector<std::string> pieces_;
  Options options_;
  std::unordered_map<std::string_view, std::int32_t> ids_;  // views into pieces_
  std::size_t longest_piece_ = 0;                           // in bytes
};

}  // namespace massact
