// Tokens that are recognised in the text before the model sees it (special tokens and others).
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace massact {

/// One added token; the flags mean what they mean in HF's `tokenizer.json`.
struct AddedToken {
  std::string content;
  std::int32_t id = 0;
  bool single_word = false;  // only where no word character touches it
  bool lstrip = false;       // takes the white space before it
  bool rstrip = false;       // takes the white space behind it
  bool normalized = false;   // looked for in the normalised text
};

/// Finds a set of tokens in a text: leftmost, of those the longest. Immutable and thread-safe.
class AddedTokens {
 public:
  AddedTokens() = default;
  explicit AddedTokens(std::vector<AddedToken> tokens);

  bool empty() const { return tokens_.empty(); }

  /// Gets bytes [begin, end) of the text, and the token found there or null; false stops.
  using Sink = std::function<bool(std::size_t begin, std::size_t end, const AddedToken* token)>;
  /// Cuts `text` into tokens and what lies between them (never empty). False if stopped.
  bool split(std::string_view text, const Sink& sink) const;

 private:
  const AddedToken* longest_at(std::string_view text, std::size_t at) const;

  std::vector<AddedToken> tokens_;
  // A trie over bytes: (node, byte) -> node; node -> token. Node 0 is the root.
  std::unordered_map<std::uint64_t, std::uint32_t> edges_;
  std::vector<std::int32_t> token_of_node_;
  std::array<bool, 256> first_bytes_{};
};

}  // namespace massact
