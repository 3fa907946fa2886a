// Byte-pair encoding: words to token ids by merging neighbours in the order of their rank. One
// model for byte-level BPE, BPE over characters with byte fallback, and sentencepiece-style
// vocabularies whose scores say the order. Knows nothing of files.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "massact/text/pair_table.h"
#include "massact/text/word_model.h"

namespace massact {

/// Two tokens that may merge, into what, and how early (0 first; equal ranks from the left).
struct BpeMerge {
  std::int32_t left, right, result;
  std::uint32_t rank;
};

/// The model. Immutable and thread-safe; encoding needs a BpeEncoder per thread.
class BpeModel final : public WordModel {
 public:
  struct Options {
    bool byte_level = false;     // words start as bytes, not as characters
    bool byte_fallback = false;  // characters without a token become `<0x0A>` tokens
    bool fuse_unknown = false;   // neighbouring unknown characters make one unknown token
    bool ignore_merges = false;  // a word that is a token is that token, whatever the merges say
    std::optional<std::int32_t> unknown;  // without it, unknown characters are dropped
    std::string prefix;                   // written before all but a word's first symbol
    std::string suffix;                   // written behind a word's last symbol
  };

  /// `pieces[id]` is the text of token id (the raw bytes, for byte_level); empty: not to be
  /// produced. Ids in merges are indices of pieces. Of equal pieces the first counts.
  BpeModel(std::vector<std::string> pieces, std::span<const BpeMerge> merges, Options options);

  /// A sentencepiece-style vocabulary: two neighbours merge if their joined text is a piece, the
  /// one with the highest score first. Pieces marked false in `mergeable` are never made so.
  static BpeModel from_scores(std::vector<std::string> pieces, std::span<const float> scores,
                              const std::vector<bool>& mergeable, Options options);

  std::int64_t size() const override { return size_; }
  const std::string& piece(std::int32_t id) const override {
    return pieces_[static_cast<std::size_t>(id)];
  }
  std::unique_ptr<WordEncoder> encoder() const override;
  bool can_cut(std::string_view left, std::string_view right) const override;
  std::optional<std::int32_t> find(std::string_view piece) const;

 private:
  friend class BpeEncoder;
  struct Merged {
    std::uint32_t rank = 0;
    std::int32_t id = 0;
  };
  struct Nothing {};
  struct TextHash {
    using is_transparent = void;
    std::size_t operator()(std::string_view text) const {
      return std::hash<std::string_view>{}(text);
    }
  };

  void index_neighbours(std::span<const BpeMerge> merges);
  std::vector<std::int32_t> edge_symbols(std::int32_t id, bool last) const;

  std::vector<std::string> pieces_;  // [size()...) are single characters that are no tokens
  std::int64_t size_ = 0;
  Options options_;
  std::unordered_map<std::string, std::int32_t, TextHash, std::equal_to<>> id_of_piece_;
  std::array<std::int32_t, 256> byte_ids_;  // of a byte, or of its fallback token; -1: none
  PairTable<Merged> merges_;
  // Pairs of first symbols between which some merge can reach across. Everywhere else a word can
  // be cut without changing its tokens, so that texts without pre-tokenizer stay fast.
  PairTable<Nothing> neighbours_;
};

/// The tokens of words seen lately. Direct-mapped: a word evicts the one in its place.
class WordCache {
 public:
  /// Appends the tokens of `word`, or returns false if it is not there.
  bool find(std::string_view word, std::uint32_t offset, std::vector<WordToken>& tokens) const;
  /// Remembers `tokens`, whose offsets start at `offset`, if the word is short.
  void insert(std::string_view word, std::uint32_t offset, std::span<const WordToken> tokens);

 private:
  static constexpr std::size_t kSlots = 1 << 15;
  static constexpr std::size_t kWordBytes = 23;
  static constexpr std::size_t kTokens = 8;
  struct Slot {
    std::array<char, kWordBytes> word;
    std::uint8_t length = 0;  // 0: free
    std::array<std::int32_t, kTokens> ids;
    std::array<std::uint8_t, kTokens> ends;
    std::uint8_t count = 0;
  };
  static std::size_t slot_of(std::string_view word);

  std::vector<Slot> slots_;  // empty until enough words were seen for it to pay
  std::size_t seen_ = 0;
};

/// Encodes words with one model, remembering recent ones.
class BpeEncoder final : public WordEncoder {
 public:
  explicit BpeEncoder(const BpeModel& model) : model_(model) {}

  /// The sink gets the tokens of parts between which no merge is possible.
  bool encode(std::string_view word, const Sink& sink) override;

 private:
  struct Symbol {
    std::int32_t id;
    std::int32_t previous, next;  // -1: none
    std::uint32_t begin, end;
  };
  struct Candidate {
    std::uint32_t rank, at;
    std::int32_t id;
    bool operator>(const Candidate& other) const {
      return rank != other.rank ? rank > other.rank : at > other.at;
    }
  };

  bool take_whole(std::string_view word);
  bool is_cut(std::size_t symbol) const;
  bool next_part(std::string_view word);
  void add_symbol(std::int32_t id, std::size_t begin, std::size_t end);
  std::size_t add_character(std::string_view word, std::size_t at);
  void add_unknown(std::size_t begin, std::size_t end);
  bool add_bytes(std::string_view text, std::size_t begin, std::size_t end);
  std::string_view affixed(std::string_view word, std::size_t begin, std::size_t end);
  void finish_part(std::string_view word, std::size_t count);
  void merge(std::size_t count);
  void propose(std::int32_t left);
  void emit(const Symbol& symbol, std::string_view word);

  const BpeModel& model_;
  std::vector<Symbol> symbols_;  // of the part being read, and a look ahead
  std::size_t at_ = 0;           // bytes of the word read into symbols_
  std::vector<Candidate> heap_;
  std::vector<WordToken> part_;
  std::string affixed_;
  WordCache cache_;
};

}  // namespace massact
