#include "massact/text/unigram.h"

#include <algorithm>
#include <limits>

#include "massact/base/error.h"
#include "massact/text/utf8.h"

namespace massact {

namespace {

constexpr double kUnknownPenalty = 10.0;

}  // namespace

class UnigramEncoder final : public WordEncoder {
 public:
  explicit UnigramEncoder(const UnigramModel& model) : model_(model) {}

  bool encode(std::string_view word, const Sink& sink) override {
    require(word.size() < std::numeric_limits<std::uint32_t>::max(), "text",
            "expected words of less than 4 GiB, got {} bytes", word.size());
    search(word);
    tokens_.clear();
    // From the end to the beginning.
    for (std::size_t end = word.size(); end > 0; end = best_[end].begin) {
      const Best& best = best_[end];
      const auto begin = static_cast<std::uint32_t>(best.begin);
      const bool unknown = is_unknown(best.id);
      if (unknown && !tokens_.empty() && is_unknown(tokens_.back().id)) {
        tokens_.back().begin = begin;
      } else {
        tokens_.push_back({best.id, begin, static_cast<std::uint32_t>(end)});
      }
    }
    std::reverse(tokens_.begin(), tokens_.end());
    return model_.options_.byte_fallback ? sink(with_bytes(word)) : sink(tokens_);
  }

 private:
  // The best way to write the word up to here: its last piece.
  struct Best {
    double score = 0;
    std::size_t begin = 0;
    std::int32_t id = -1;  // none yet
  };

  bool is_unknown(std::int32_t id) const { return model_.options_.unknown == id; }

  void offer(std::size_t begin, std::size_t end, std::int32_t id, double score) {
    Best& best = best_[end];
    const double sum = score + best_[begin].score;
    if (best.id < 0 || sum > best.score) best = {sum, begin, id};
  }

  void search(std::string_view word) {
    best_.assign(word.size() + 1, {});
    for (std::size_t at = 0; at < word.size();) {
      const std::size_t next = at + static_cast<std::size_t>(utf8_length(word[at]));
      bool has_character = false;
      std::int32_t node = 0;
      for (std::size_t end = at; end < word.size();) {
        const auto* child = model_.edges_.find(node, static_cast<unsigned char>(word[end]));
        if (child == nullptr) break;
        node = *child;
        const std::int32_t id = model_.token_of_node_[static_cast<std::size_t>(node)];
        ++end;
        if (id < 0) continue;
        offer(at, end, id, model_.pieces_[static_cast<std::size_t>(id)].score);
        has_character = has_character || end == next;
      }
      if (!has_character) {
        require(model_.options_.unknown.has_value(), "tokenizer",
                "expected characters of the vocabulary, got {:?} (the model has no unknown token)",
                word.substr(at, next - at));
        offer(at, next, *model_.options_.unknown, model_.unknown_score_);
      }
      at = next;
    }
  }

  // The tokens with unknown ones as their bytes.
  std::span<const WordToken> with_bytes(std::string_view word) {
    bytes_.clear();
    for (const WordToken& token : tokens_) {
      const auto text = word.substr(token.begin, token.end - token.begin);
      const auto id_of = [&](char byte) {
        return model_.byte_ids_[static_cast<unsigned char>(byte)];
      };
      const bool all =
          is_unknown(token.id) && text != model_.piece(token.id) &&
          std::all_of(text.begin(), text.end(), [&](char byte) { return id_of(byte) >= 0; });
      if (!all) {
        bytes_.push_back(token);
        continue;
      }
      for (std::uint32_t i = token.begin; i < token.end; ++i)
        bytes_.push_back({id_of(word[i]), i, i + 1});
    }
    return bytes_;
  }

  const UnigramModel& model_;
  std::vector<Best> best_;
  std::vector<WordToken> tokens_;
  std::vector<WordToken> bytes_;
};

UnigramModel::UnigramModel(std::vector<Piece> pieces, Options options)
    : pieces_(std::move(pieces)), options_(options), token_of_node_(1, -1) {
  byte_ids_.fill(-1);
  double lowest = std::numeric_limits<double>::infinity();
  for (std::size_t i = 0; i < pieces_.size(); ++i) {
    const auto id = static_cast<std::int32_t>(i);
    lowest = std::min(lowest, pieces_[i].score);
    const std::string& text = pieces_[i].text;
    if (const int byte = byte_of_token(text); byte >= 0)
      byte_ids_[static_cast<std::size_t>(byte)] = id;
    if (text.empty()) continue;
    std::int32_t node = 0;
    for (const char c : text) {
      const auto byte = static_cast<unsigned char>(c);
      if (const auto* child = edges_.find(node, byte)) {
        node = *child;
        continue;
      }
      const auto added = static_cast<std::int32_t>(token_of_node_.size());
      edges_.set(node, byte, added);
      token_of_node_.push_back(-1);
      node = added;
    }
    token_of_node_[static_cast<std::size_t>(node)] = id;
  }
  unknown_score_ = lowest - kUnknownPenalty;
}

std::unique_ptr<WordEncoder> UnigramModel::encoder() const {
  return std::make_unique<UnigramEncoder>(*this);
}

}  // namespace massact
