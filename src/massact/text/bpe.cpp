#include "massact/text/bpe.h"

#include <algorithm>
#include <functional>
#include <limits>
#include <numeric>

#include "massact/base/error.h"
#include "massact/text/utf8.h"

namespace massact {
namespace {

constexpr std::size_t kWordsBeforeCache = 512;  // a cache is megabytes to clear
constexpr std::size_t kLongestPiece = 4096;

// The first or last symbol's text of a piece: one byte or one character.
std::string_view edge_text(std::string_view piece, bool last, bool bytes) {
  if (bytes) return last ? piece.substr(piece.size() - 1) : piece.substr(0, 1);
  if (!last) return piece.substr(0, static_cast<std::size_t>(utf8_length(piece.front())));
  std::size_t begin = piece.size() - 1;
  while (begin > 0 && (static_cast<unsigned char>(piece[begin]) & 0xC0) == 0x80) --begin;
  return piece.substr(begin);
}

}  // namespace

BpeModel::BpeModel(std::vector<std::string> pieces, std::span<const BpeMerge> merges,
                   Options options)
    : pieces_(std::move(pieces)),
      size_(static_cast<std::int64_t>(pieces_.size())),
      options_(std::move(options)),
      merges_(merges.size()) {
  id_of_piece_.reserve(pieces_.size());
  for (std::size_t id = 0; id < pieces_.size(); ++id)
    if (!pieces_[id].empty()) id_of_piece_.try_emplace(pieces_[id], static_cast<std::int32_t>(id));
  for (int byte = 0; byte < 256; ++byte) {
    const auto value = static_cast<unsigned char>(byte);
    const std::string text =
        options_.byte_level ? std::string(1, static_cast<char>(value)) : byte_token(value);
    const auto id = find(text);
    byte_ids_[value] = id.value_or(-1);
  }
  for (const BpeMerge& merge : merges)
    merges_.set(merge.left, merge.right, {merge.rank, merge.result});
  index_neighbours(merges);
}

std::optional<std::int32_t> BpeModel::find(std::string_view piece) const {
  const auto it = id_of_piece_.find(piece);
  if (it == id_of_piece_.end()) return std::nullopt;
  return it->second;
}

std::unique_ptr<WordEncoder> BpeModel::encoder() const {
  return std::make_unique<BpeEncoder>(*this);
}

bool BpeModel::can_cut(std::string_view left, std::string_view right) const {
  const auto first = find(left);
  const auto second = find(right);
  const bool whole = options_.ignore_merges || !options_.prefix.empty() || !options_.suffix.empty();
  return !whole && first && second && neighbours_.find(*first, *second) == nullptr;
}

// The first symbols with which token `id` can begin (or end) in a word.
std::vector<std::int32_t> BpeModel::edge_symbols(std::int32_t id, bool last) const {
  std::vector<std::int32_t> symbols;
  const std::string& text = piece(id);
  if (text.empty()) return {id};
  if (const auto edge = find(edge_text(text, last, options_.byte_level))) symbols.push_back(*edge);
  // Byte and unknown tokens are first symbols themselves, whatever their text.
  if (byte_of_token(text) >= 0 || options_.unknown == id) symbols.push_back(id);
  return symbols;
}

void BpeModel::index_neighbours(std::span<const BpeMerge> merges) {
  for (const BpeMerge& merge : merges)
    for (const std::int32_t left : edge_symbols(merge.left, true))
      for (const std::int32_t right : edge_symbols(merge.right, false))
        neighbours_.set(left, right, {});
}

BpeModel BpeModel::from_scores(std::vector<std::string> pieces, std::span<const float> scores,
                               const std::vector<bool>& mergeable, Options options) {
  const std::size_t size = pieces.size();
  std::unordered_map<std::string, std::int32_t, TextHash, std::equal_to<>> ids;
  for (std::size_t id = 0; id < size; ++id)
    if (!pieces[id].empty()) ids.try_emplace(pieces[id], static_cast<std::int32_t>(id));

  // Equal scores get equal ranks, so that of those the leftmost pair merges first.
  std::vector<std::int32_t> order(size);
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](std::int32_t a, std::int32_t b) {
    return scores[static_cast<std::size_t>(a)] > scores[static_cast<std::size_t>(b)];
  });
  std::vector<BpeMerge> merges;
  std::uint32_t rank = 0;
  for (std::size_t i = 0; i < size; ++i) {
    const auto id = static_cast<std::size_t>(order[i]);
    if (i > 0 && scores[id] != scores[static_cast<std::size_t>(order[i - 1])]) ++rank;
    const std::string text = pieces[id];
    if (!mergeable[id] || text.empty() || ids.at(text) != order[i]) continue;
    // A character that is no piece can still be one half: it gets an id behind the vocabulary.
    const auto half = [&](std::string_view part) -> std::int32_t {
      const auto it = ids.find(part);
      if (it != ids.end()) return it->second;
      if (static_cast<std::size_t>(utf8_length(part.front())) != part.size()) return -1;
      const auto added = static_cast<std::int32_t>(pieces.size());
      pieces.emplace_back(part);
      ids.emplace(part, added);
      return added;
    };
    require(text.size() <= kLongestPiece, "vocabulary",
            "expected pieces of at most {} bytes, got {} (token {})", kLongestPiece, text.size(),
            id);
    const auto first = static_cast<std::size_t>(utf8_length(text.front()));
    for (std::size_t cut = first; cut < text.size();
         cut += static_cast<std::size_t>(utf8_length(text[cut]))) {
      const std::int32_t left = half(std::string_view(text).substr(0, cut));
      if (left < 0) continue;
      const std::int32_t right = half(std::string_view(text).substr(cut));
      if (right >= 0) merges.push_back({left, right, order[i], rank});
    }
  }
  BpeModel model(std::move(pieces), merges, options);
  model.size_ = static_cast<std::int64_t>(size);
  return model;
}

std::size_t WordCache::slot_of(std::string_view word) {
  return std::hash<std::string_view>{}(word) % kSlots;
}

bool WordCache::find(std::string_view word, std::uint32_t offset,
                     std::vector<WordToken>& tokens) const {
  if (slots_.empty() || word.size() > kWordBytes) return false;
  const Slot& slot = slots_[slot_of(word)];
  if (std::string_view(slot.word.data(), slot.length) != word) return false;
  std::uint32_t begin = offset;
  for (std::size_t i = 0; i < slot.count; ++i) {
    const std::uint32_t end = offset + slot.ends[i];
    tokens.push_back({slot.ids[i], begin, end});
    begin = end;
  }
  return true;
}

void WordCache::insert(std::string_view word, std::uint32_t offset,
                       std::span<const WordToken> tokens) {
  if (word.size() > kWordBytes || tokens.size() > kTokens) return;
  if (slots_.empty() && ++seen_ < kWordsBeforeCache) return;
  if (slots_.empty()) slots_.resize(kSlots);
  std::uint32_t reached = offset;
  for (const WordToken& token : tokens) {
    if (token.begin != reached) return;  // a character was dropped: not worth a place
    reached = token.end;
  }
  if (reached != offset + word.size()) return;
  Slot& slot = slots_[slot_of(word)];
  std::copy(word.begin(), word.end(), slot.word.begin());
  slot.length = static_cast<std::uint8_t>(word.size());
  slot.count = static_cast<std::uint8_t>(tokens.size());
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    slot.ids[i] = tokens[i].id;
    slot.ends[i] = static_cast<std::uint8_t>(tokens[i].end - offset);
  }
}

bool BpeEncoder::encode(std::string_view word, const Sink& sink) {
  symbols_.clear();
  at_ = 0;
  if (take_whole(word)) return sink(part_);
  while (next_part(word))
    if (!sink(part_)) return false;
  return true;
}

void BpeEncoder::add_symbol(std::int32_t id, std::size_t begin, std::size_t end) {
  symbols_.push_back(
      {id, -1, -1, static_cast<std::uint32_t>(begin), static_cast<std::uint32_t>(end)});
}

// The symbol at [begin, end) with what is written around it in its place in the word.
std::string_view BpeEncoder::affixed(std::string_view word, std::size_t begin, std::size_t end) {
  const auto& options = model_.options_;
  const bool prefixed = begin > 0 && !options.prefix.empty();
  const bool suffixed = end == word.size() && !options.suffix.empty();
  const std::string_view text = word.substr(begin, end - begin);
  if (!prefixed && !suffixed) return text;
  affixed_ = prefixed ? options.prefix : "";
  affixed_ += text;
  if (suffixed) affixed_ += options.suffix;
  return affixed_;
}

// Adds the byte tokens of `text`, all within [begin, end) of the word, if all are there.
bool BpeEncoder::add_bytes(std::string_view text, std::size_t begin, std::size_t end) {
  const auto id_of = [&](char byte) { return model_.byte_ids_[static_cast<unsigned char>(byte)]; };
  for (const char byte : text)
    if (id_of(byte) < 0) return false;
  for (std::size_t i = 0; i < text.size(); ++i)
    add_symbol(id_of(text[i]), std::min(begin + i, end - 1), std::min(begin + i + 1, end));
  return true;
}

void BpeEncoder::add_unknown(std::size_t begin, std::size_t end) {
  const auto& options = model_.options_;
  if (!options.unknown) return;
  const bool fuse = options.fuse_unknown && !symbols_.empty() &&
                    symbols_.back().id == *options.unknown && symbols_.back().end == begin;
  if (fuse) {
    symbols_.back().end = static_cast<std::uint32_t>(end);
  } else {
    add_symbol(*options.unknown, begin, end);
  }
}

// Reads the character (or byte) at `at` into symbols_ and returns its end.
std::size_t BpeEncoder::add_character(std::string_view word, std::size_t at) {
  const auto& options = model_.options_;
  const std::size_t length =
      options.byte_level ? 1 : static_cast<std::size_t>(utf8_length(word[at]));
  const std::size_t end = at + length;
  const std::string_view text = affixed(word, at, end);
  if (options.byte_level && text.size() == 1) {
    const std::int32_t id = model_.byte_ids_[static_cast<unsigned char>(text[0])];
    id >= 0 ? add_symbol(id, at, end) : add_unknown(at, end);
  } else if (const auto id = model_.find(text)) {
    add_symbol(*id, at, end);
  } else if (!options.byte_fallback || !add_bytes(text, at, end)) {
    add_unknown(at, end);
  }
  return end;
}

// True if no merge reaches across the beginning of this symbol. What is written around symbols
// depends on the word's ends, so that words with it stay whole.
bool BpeEncoder::is_cut(std::size_t symbol) const {
  const auto& options = model_.options_;
  return options.prefix.empty() && options.suffix.empty() &&
         model_.neighbours_.find(symbols_[symbol - 1].id, symbols_[symbol].id) == nullptr;
}

// Reads symbols up to the first place that no merge crosses, and leaves their tokens in part_.
bool BpeEncoder::next_part(std::string_view word) {
  part_.clear();
  std::size_t checked = 1;  // symbols_[0, checked) hang together
  while (true) {
    for (; checked < symbols_.size(); ++checked) {
      if (!is_cut(checked)) continue;
      finish_part(word, checked);
      return true;
    }
    if (at_ < word.size()) {
      at_ = add_character(word, at_);
    } else if (symbols_.empty()) {
      return false;
    } else {
      finish_part(word, symbols_.size());
      return true;
    }
  }
}

bool BpeEncoder::take_whole(std::string_view word) {
  const auto id = model_.options_.ignore_merges ? model_.find(word) : std::nullopt;
  if (!id) return false;
  part_.assign(1, {*id, 0, static_cast<std::uint32_t>(word.size())});
  return true;
}

void BpeEncoder::finish_part(std::string_view word, std::size_t count) {
  const std::uint32_t begin = symbols_.front().begin;
  const std::uint32_t end = symbols_[count - 1].end;
  const std::string_view text = word.substr(begin, end - begin);
  if (count == 1 || !cache_.find(text, begin, part_)) {
    merge(count);
    for (std::int32_t i = 0; i >= 0; i = symbols_[static_cast<std::size_t>(i)].next)
      emit(symbols_[static_cast<std::size_t>(i)], word);
    if (count > 1) cache_.insert(text, begin, part_);
  }
  symbols_.erase(symbols_.begin(), symbols_.begin() + static_cast<std::ptrdiff_t>(count));
}

void BpeEncoder::propose(std::int32_t left) {
  if (left < 0) return;
  const Symbol& symbol = symbols_[static_cast<std::size_t>(left)];
  if (symbol.next < 0) return;
  const auto* merged =
      model_.merges_.find(symbol.id, symbols_[static_cast<std::size_t>(symbol.next)].id);
  if (merged == nullptr) return;
  heap_.push_back({merged->rank, static_cast<std::uint32_t>(left), merged->id});
  std::push_heap(heap_.begin(), heap_.end(), std::greater<>());
}

// Merges the first `count` symbols, lowest rank first, then leftmost: as HF tokenizers' heap does,
// which also goes on with an outdated candidate if the pair now there merges into the same token.
void BpeEncoder::merge(std::size_t count) {
  require(count < static_cast<std::size_t>(std::numeric_limits<std::int32_t>::max()), "text",
          "expected words of less than 2^31 characters, got {}", count);
  for (std::size_t i = 0; i < count; ++i) {
    symbols_[i].previous = static_cast<std::int32_t>(i) - 1;
    symbols_[i].next = i + 1 < count ? static_cast<std::int32_t>(i) + 1 : -1;
  }
  heap_.clear();
  for (std::size_t i = 0; i + 1 < count; ++i) propose(static_cast<std::int32_t>(i));
  while (!heap_.empty()) {
    const Candidate top = heap_.front();
    std::pop_heap(heap_.begin(), heap_.end(), std::greater<>());
    heap_.pop_back();
    Symbol& left = symbols_[top.at];
    if (left.id < 0 || left.next < 0) continue;
    Symbol& right = symbols_[static_cast<std::size_t>(left.next)];
    const auto* merged = model_.merges_.find(left.id, right.id);
    if (merged == nullptr || merged->id != top.id) continue;
    left.id = top.id;
    left.end = right.end;
    left.next = right.next;
    right.id = -1;  // gone
    if (left.next >= 0)
      symbols_[static_cast<std::size_t>(left.next)].previous = static_cast<std::int32_t>(top.at);
    propose(left.previous);
    propose(static_cast<std::int32_t>(top.at));
  }
}

void BpeEncoder::emit(const Symbol& symbol, std::string_view word) {
  if (symbol.id < model_.size_) {
    part_.push_back({symbol.id, symbol.begin, symbol.end});
    return;
  }
  // A character that only served to merge: it is no token.
  const auto id_of = [&](std::uint32_t at) {
    return model_.byte_ids_[static_cast<unsigned char>(word[at])];
  };
  bool as_bytes = model_.options_.byte_fallback;
  for (std::uint32_t i = symbol.begin; i < symbol.end; ++i) as_bytes = as_bytes && id_of(i) >= 0;
  if (as_bytes) {
    for (std::uint32_t i = symbol.begin; i < symbol.end; ++i) part_.push_back({id_of(i), i, i + 1});
  } else if (model_.options_.unknown) {
    part_.push_back({*model_.options_.unknown, symbol.begin, symbol.end});
  }
}

}  // namespace massact
