// The unigram model: of all ways to write a word as pieces, the one with the highest sum of scores.
#pragma once

#include <array>
#include <vector>

#include "massact/text/pair_table.h"
#include "massact/text/word_model.h"

namespace massact {

/// As HF tokenizers computes it: a character that is no piece by itself counts as unknown, at the
/// lowest score minus 10, and neighbouring unknown ones make one token. Immutable and thread-safe.
class UnigramModel final : public WordModel {
 public:
  struct Piece {
    std::string text;
    double score;
  };
  struct Options {
    std::optional<std::int32_t> unknown;  // without it, unknown characters are an error
    bool byte_fallback = false;           // unknown characters become `<0x0A>` tokens
  };

  /// Of equal pieces the last counts.
  UnigramModel(std::vector<Piece> pieces, Options options);

  std::int64_t size() const override { return static_cast<std::int64_t>(pieces_.size()); }
  const std::string& piece(std::int32_t id) const override {
    return pieces_[static_cast<std::size_t>(id)].text;
  }
  std::unique_ptr<WordEncoder> encoder() const override;

 private:
  friend class UnigramEncoder;

  std::vector<Piece> pieces_;
  Options options_;
  double unknown_score_ = 0;
  std::array<std::int32_t, 256> byte_ids_{};  // -1: none
  // A trie over bytes: (node, byte) -> node; node -> token or -1. Node 0 is the root.
  PairTable<std::int32_t> edges_;
  std::vector<std::int32_t> token_of_node_;
};

}  // namespace massact
