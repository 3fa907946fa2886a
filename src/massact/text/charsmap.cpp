#include "massact/text/charsmap.h"

#include <unicode/brkiter.h>
#include <unicode/utext.h>

#include <limits>
#include <memory>
#include <span>

#include "massact/base/error.h"
#include "massact/io/little_endian.h"
#include "massact/text/utf8.h"

namespace massact {
namespace {

constexpr std::size_t kLongestCluster = 6;  // longer ones are replaced character by character

// The parts of a trie's unit.
bool has_leaf(std::uint32_t unit) { return (unit >> 8 & 1) != 0; }
std::uint32_t value_of(std::uint32_t unit) { return unit & 0x7FFFFFFFu; }
std::uint32_t label_of(std::uint32_t unit) { return unit & 0x800000FFu; }
std::size_t offset_of(std::uint32_t unit) { return unit >> 10 << ((unit & 1u << 9) >> 6); }

// The ends of the grapheme clusters of a text.
class Clusters {
 public:
  explicit Clusters(std::string_view text) {
    UErrorCode status = U_ZERO_ERROR;
    text_ = utext_openUTF8(nullptr, text.data(), static_cast<std::int64_t>(text.size()), &status);
    iterator_.reset(icu::BreakIterator::createCharacterInstance(icu::Locale::getRoot(), status));
    if (U_SUCCESS(status)) iterator_->setText(text_, status);
    require(U_SUCCESS(status), "charsmap", "expected ICU's break data, got {}",
            u_errorName(status));
  }
  ~Clusters() {
    iterator_.reset();
    utext_close(text_);
  }
  Clusters(const Clusters&) = delete;
  Clusters& operator=(const Clusters&) = delete;

  /// The end of the next cluster; the text must not be at its end.
  std::size_t next() { return static_cast<std::size_t>(iterator_->next()); }

 private:
  UText* text_ = nullptr;
  std::unique_ptr<icu::BreakIterator> iterator_;
};

}  // namespace

Charsmap::Charsmap(std::string_view bytes, std::string_view where) {
  const auto raw = std::as_bytes(std::span(bytes));
  require(raw.size() >= 4, where, "expected a charsmap, got {} bytes", raw.size());
  const auto trie_bytes = load_little_endian<std::uint32_t>(raw, 0);
  require(trie_bytes % 4 == 0 && trie_bytes >= 4 && trie_bytes <= raw.size() - 4, where,
          "expected a trie within {} bytes, got one of {}", raw.size() - 4, trie_bytes);
  for (std::size_t at = 4; at < 4 + trie_bytes; at += 4)
    trie_.push_back(load_little_endian<std::uint32_t>(raw, at));
  texts_ = bytes.substr(4 + trie_bytes);
  require(is_valid_utf8(texts_) && (texts_.empty() || texts_.back() == '\0'), where,
          "expected replacements in UTF-8, each ended by a zero byte");
}

// HF tokenizers takes the shortest entry that `chunk` starts with, for the whole chunk.
std::optional<std::string_view> Charsmap::replacement(std::string_view chunk) const {
  std::size_t node = offset_of(trie_[0]);
  for (const char c : chunk) {
    const auto byte = static_cast<unsigned char>(c);
    node ^= byte;
    if (byte == 0 || node >= trie_.size() || label_of(trie_[node]) != byte) return std::nullopt;
    const std::uint32_t unit = trie_[node];
    node ^= offset_of(unit);
    if (!has_leaf(unit)) continue;
    if (node >= trie_.size() || value_of(trie_[node]) >= texts_.size()) return std::nullopt;
    return std::string_view(texts_.c_str() + value_of(trie_[node]));
  }
  return std::nullopt;
}

AlignedText Charsmap::apply(const AlignedText& text) const {
  const std::string_view view = text.view();
  if (view.empty()) return text;
  require(view.size() <= std::numeric_limits<std::int32_t>::max(), "normalizer",
          "expected a text of less than 2 GiB, got {} bytes", view.size());
  Clusters clusters(view);
  AlignedWriter writer(text);
  const auto replace = [&](std::size_t begin, std::size_t end) {
    const auto content = replacement(view.substr(begin, end - begin));
    if (!content) return false;
    writer.keep_until(static_cast<std::int64_t>(begin));
    writer.replace_until(static_cast<std::int64_t>(end), *content);
    return true;
  };
  for (std::size_t begin = 0; begin < view.size();) {
    const std::size_t end = clusters.next();
    if (end - begin >= kLongestCluster || !replace(begin, end)) {
      for (std::size_t at = begin; at < end;) {
        const std::size_t first = at;
        next_character(view, at);
        replace(first, at);
      }
    }
    begin = end;
  }
  return writer.finish();
}

std::string bytes_of_base64(std::string_view text, std::string_view where) {
  constexpr std::string_view kDigits =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  while (text.ends_with('=')) text.remove_suffix(1);
  std::string bytes;
  std::uint32_t buffer = 0;
  int bits = 0;
  for (const char c : text) {
    const auto digit = kDigits.find(c);
    require(digit != std::string_view::npos, where, "expected base64, got the character {:?}",
            std::string_view(&c, 1));
    buffer = buffer << 6 | static_cast<std::uint32_t>(digit);
    bits += 6;
    if (bits < 8) continue;
    bits -= 8;
    bytes += static_cast<char>(buffer >> bits & 0xFF);
  }
  return bytes;
}

}  // namespace massact
