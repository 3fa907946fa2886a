// The pipeline of a tokenizer: added tokens, normaliser, pre-tokenizer, model, and back.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "massact/text/added_tokens.h"
#include "massact/text/normalizer.h"
#include "massact/text/pre_tokenizer.h"
#include "massact/text/tokenizer.h"
#include "massact/text/word_model.h"

namespace massact {

/// How ids become text again.
struct DecodeOptions {
  // In every piece, the first is replaced by the second (not empty), in this order.
  std::vector<std::pair<std::string, std::string>> replacements = {};
  bool byte_characters = false;    // pieces are written in GPT-2's visible characters
  bool byte_tokens = false;        // `<0x0A>` stands for its byte
  bool strip_first_space = false;  // one space is dropped from the start of the text
  std::string word_end = "";       // pieces that end so stand before a space ("</w>")
  std::string inner_prefix = "";   // pieces that begin so stand behind no space ("##")
};

/// The parts of a PipelineTokenizer, from whatever file they were read.
struct TokenizerParts {
  std::unique_ptr<const WordModel> model;
  std::vector<AddedToken> added_tokens;
  Normalizer normalizer;
  PreTokenizer pre_tokenizer;
  DecodeOptions decode;
  std::optional<std::int32_t> bos, eos;
  bool adds_bos = false;
  std::unordered_map<std::int32_t, std::string> other_text;  // of tokens the model never produces
};

/// See Tokenizer; the order of work is HF tokenizers'.
class PipelineTokenizer final : public Tokenizer {
 public:
  explicit PipelineTokenizer(TokenizerParts parts);

  std::int64_t vocab_size() const override { return vocab_size_; }
  Encoding encode(std::string_view text, std::int64_t enough = kAllTokens) const override;
  std::string decode(std::span<const std::int32_t> ids) const override;
  std::string token_text(std::int32_t id) const override;
  std::optional<std::int32_t> bos() const override { return parts_.bos; }
  std::optional<std::int32_t> eos() const override { return parts_.eos; }
  bool adds_bos() const override { return parts_.adds_bos; }

 private:
  struct Run;
  bool encode_section(const AlignedText& section, Run& run) const;
  bool encode_block(const AlignedText& block, bool at_start, Run& run) const;
  std::size_t block_end(std::string_view section, std::size_t begin) const;
  bool encode_piece(const AlignedText& piece, Run& run) const;
  std::string token_bytes(std::int32_t id) const;
  std::string piece_bytes(std::string text) const;

  TokenizerParts parts_;
  AddedTokens raw_tokens_;         // looked for in the text as it is
  AddedTokens normalized_tokens_;  // looked for in the normalised text
  std::unordered_map<std::int32_t, std::string> other_text_;
  std::int64_t vocab_size_ = 0;
  std::string inner_space_;  // what a space inside a text becomes; empty: texts cannot be cut
};

}  // namespace massact
