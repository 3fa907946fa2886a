#include "massact/text/added_tokens.h"

#include <algorithm>

#include "massact/text/utf8.h"

namespace massact {
namespace {

std::uint64_t edge(std::uint32_t node, char byte) {
  return static_cast<std::uint64_t>(node) << 8 | static_cast<unsigned char>(byte);
}

// The character that ends right before `at`, in valid UTF-8; `at` > 0.
char32_t character_before(std::string_view text, std::size_t at, std::size_t& begin) {
  begin = at - 1;
  while (begin > 0 && (static_cast<unsigned char>(text[begin]) & 0xC0) == 0x80) --begin;
  std::size_t i = begin;
  return next_character(text, i);
}

bool word_touches(std::string_view text, std::size_t begin, std::size_t end) {
  std::size_t before = 0;
  if (begin > 0 && is_word_character(character_before(text, begin, before))) return true;
  return end < text.size() && is_word_character(next_character(text, end));
}

std::size_t strip_left(std::string_view text, std::size_t begin) {
  std::size_t before = 0;
  while (begin > 0 && is_white_space(character_before(text, begin, before))) begin = before;
  return begin;
}

std::size_t strip_right(std::string_view text, std::size_t end) {
  while (end < text.size()) {
    std::size_t behind = end;
    if (!is_white_space(next_character(text, behind))) break;
    end = behind;
  }
  return end;
}

}  // namespace

AddedTokens::AddedTokens(std::vector<AddedToken> tokens)
    : tokens_(std::move(tokens)), token_of_node_(1, -1) {
  for (std::size_t i = 0; i < tokens_.size(); ++i) {
    const std::string& content = tokens_[i].content;
    if (content.empty()) continue;
    first_bytes_[static_cast<unsigned char>(content[0])] = true;
    std::uint32_t node = 0;
    for (const char byte : content) {
      const auto [it, added] =
          edges_.try_emplace(edge(node, byte), static_cast<std::uint32_t>(token_of_node_.size()));
      if (added) token_of_node_.push_back(-1);
      node = it->second;
    }
    token_of_node_[node] = static_cast<std::int32_t>(i);
  }
}

const AddedToken* AddedTokens::longest_at(std::string_view text, std::size_t at) const {
  std::int32_t found = -1;
  std::uint32_t node = 0;
  for (; at < text.size(); ++at) {
    const auto next = edges_.find(edge(node, text[at]));
    if (next == edges_.end()) break;
    node = next->second;
    if (token_of_node_[node] >= 0) found = token_of_node_[node];
  }
  return found < 0 ? nullptr : &tokens_[static_cast<std::size_t>(found)];
}

bool AddedTokens::split(std::string_view text, const Sink& sink) const {
  std::size_t done = 0;
  std::size_t at = 0;
  while (at < text.size() && !tokens_.empty()) {
    const AddedToken* token =
        first_bytes_[static_cast<unsigned char>(text[at])] ? longest_at(text, at) : nullptr;
    if (token == nullptr) {
      ++at;
      continue;
    }
    std::size_t begin = at;
    std::size_t end = at + token->content.size();
    at = end;
    if (token->single_word && word_touches(text, begin, end)) continue;
    // A token before may have taken white space that this one starts with.
    if (begin < done) continue;
    if (token->lstrip) begin = std::max(done, strip_left(text, begin));
    if (token->rstrip) end = strip_right(text, end);
    if (done < begin && !sink(done, begin, nullptr)) return false;
    if (!sink(begin, end, token)) return false;
    done = end;
  }
  return done >= text.size() || sink(done, text.size(), nullptr);
}

}  // namespace massact
