#include "massact/text/word_piece.h"

#include <algorithm>
#include <limits>

#include "massact/base/error.h"
#include "massact/text/utf8.h"

namespace massact {

class WordPieceEncoder final : public WordEncoder {
 public:
  explicit WordPieceEncoder(const WordPieceModel& model) : model_(model) {}

  bool encode(std::string_view word, const Sink& sink) override {
    require(word.size() < std::numeric_limits<std::uint32_t>::max(), "text",
            "expected words of less than 4 GiB, got {} bytes", word.size());
    tokens_.clear();
    if (!(model_.options_.whole_words ? take_whole(word) : take_pieces(word))) {
      require(model_.options_.unknown.has_value(), "tokenizer",
              "expected words of the vocabulary, got {:?} (the model has no unknown token)",
              word.substr(0, 100));
      tokens_.assign(1, {*model_.options_.unknown, 0, static_cast<std::uint32_t>(word.size())});
    }
    return sink(tokens_);
  }

 private:
  bool take_whole(std::string_view word) {
    const auto it = model_.ids_.find(word);
    if (it == model_.ids_.end()) return false;
    tokens_.push_back({it->second, 0, static_cast<std::uint32_t>(word.size())});
    return true;
  }

  bool take_pieces(std::string_view word) {
    const auto starts_character = [](char c) {
      return (static_cast<unsigned char>(c) & 0xC0) != 0x80;
    };
    if (std::count_if(word.begin(), word.end(), starts_character) > model_.options_.longest_word)
      return false;
    for (std::size_t begin = 0; begin < word.size();) {
      const std::string prefix = begin > 0 ? model_.options_.prefix : "";
      std::size_t end = std::min(word.size(), begin + model_.longest_piece_);
      std::int32_t found = -1;
      for (; end > begin; --end) {
        if (end < word.size() && !starts_character(word[end])) continue;
        text_ = prefix;
        text_ += word.substr(begin, end - begin);
        const auto it = model_.ids_.find(text_);
        if (it == model_.ids_.end()) continue;
        found = it->second;
        break;
      }
      if (found < 0) return false;
      tokens_.push_back(
          {found, static_cast<std::uint32_t>(begin), static_cast<std::uint32_t>(end)});
      begin = end;
    }
    return true;
  }

  const WordPieceModel& model_;
  std::vector<WordToken> tokens_;
  std::string text_;
};

WordPieceModel::WordPieceModel(std::vector<std::string> pieces, Options options)
    : pieces_(std::move(pieces)), options_(std::move(options)) {
  for (std::size_t id = 0; id < pieces_.size(); ++id) {
    if (pieces_[id].empty()) continue;
    ids_.emplace(pieces_[id], static_cast<std::int32_t>(id));
    longest_piece_ = std::max(longest_piece_, pieces_[id].size());
  }
}

std::unique_ptr<WordEncoder> WordPieceModel::encoder() const {
  return std::make_unique<WordPieceEncoder>(*this);
}

}  // namespace massact
