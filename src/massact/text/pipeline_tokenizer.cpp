#include "massact/text/pipeline_tokenizer.h"

#include <algorithm>
#include <cctype>

#include "massact/base/error.h"
#include "massact/base/interrupt.h"
#include "massact/text/byte_level.h"
#include "massact/text/utf8.h"

namespace massact {
namespace {

constexpr std::size_t kBlockBytes = 1 << 18;

}  // namespace

// What one call of encode works with.
struct PipelineTokenizer::Run {
  std::unique_ptr<WordEncoder> encoder;
  std::int64_t enough;
  Encoding encoding;

  bool has_enough() const { return static_cast<std::int64_t>(encoding.ids.size()) >= enough; }
  void add(std::int32_t id, ByteSpan span) {
    encoding.ids.push_back(id);
    encoding.spans.push_back(span);
  }
};

PipelineTokenizer::PipelineTokenizer(TokenizerParts parts)
    : parts_(std::move(parts)),
      other_text_(std::move(parts_.other_text)),
      vocab_size_(parts_.model->size()) {
  std::vector<AddedToken> raw, normalized;
  for (AddedToken token : parts_.added_tokens) {
    vocab_size_ = std::max<std::int64_t>(vocab_size_, std::int64_t{token.id} + 1);
    other_text_[token.id] = token.content;
    if (token.normalized) {
      token.content = parts_.normalizer.apply(AlignedText(token.content)).view();
      normalized.push_back(std::move(token));
    } else {
      raw.push_back(std::move(token));
    }
  }
  raw_tokens_ = AddedTokens(std::move(raw));
  normalized_tokens_ = AddedTokens(std::move(normalized));
  if (normalized_tokens_.empty() && parts_.normalizer.changes_spaces_only() &&
      parts_.pre_tokenizer.keeps_whole()) {
    const AlignedText space = parts_.normalizer.apply(AlignedText(" "), false);
    inner_space_ = parts_.pre_tokenizer.whole(space).view();
  }
}

Encoding PipelineTokenizer::encode(std::string_view text, std::int64_t enough) const {
  Run run{parts_.model->encoder(), enough, {}};
  const AlignedText original(text);
  const AlignedText clean = is_valid_utf8(text) ? original : replace_invalid_utf8(original);
  raw_tokens_.split(clean.view(), [&](std::size_t begin, std::size_t end, const AddedToken* token) {
    const auto first = static_cast<std::int64_t>(begin);
    const auto last = static_cast<std::int64_t>(end);
    if (token == nullptr) return encode_section(clean.slice(first, last), run);
    run.add(token->id, clean.origin(first, last));
    return !run.has_enough();
  });
  return std::move(run.encoding);
}

// Texts without pre-tokenizer are worked on in blocks, so that the start of a long one is there at
// once: a block ends before a space that no merge crosses.
bool PipelineTokenizer::encode_section(const AlignedText& section, Run& run) const {
  for (std::size_t begin = 0; begin < section.view().size();) {
    const std::size_t end = block_end(section.view(), begin);
    const AlignedText block =
        section.slice(static_cast<std::int64_t>(begin), static_cast<std::int64_t>(end));
    if (!encode_block(block, begin == 0, run)) return false;
    begin = end;
  }
  return true;
}

std::size_t PipelineTokenizer::block_end(std::string_view section, std::size_t begin) const {
  if (inner_space_.empty()) return section.size();
  for (std::size_t at = begin + kBlockBytes; at < section.size(); ++at) {
    const auto before = static_cast<unsigned char>(section[at - 1]);
    if (section[at] == ' ' && before < 0x80 && std::isalnum(before) != 0 &&
        parts_.model->can_cut(section.substr(at - 1, 1), inner_space_))
      return at;
  }
  return section.size();
}

bool PipelineTokenizer::encode_block(const AlignedText& block, bool at_start, Run& run) const {
  const AlignedText normal = parts_.normalizer.apply(block, at_start);
  return normalized_tokens_.split(normal.view(),
                                  [&](std::size_t begin, std::size_t end, const AddedToken* token) {
                                    const auto first = static_cast<std::int64_t>(begin);
                                    const auto last = static_cast<std::int64_t>(end);
                                    if (token == nullptr)
                                      return encode_piece(normal.slice(first, last), run);
                                    run.add(token->id, normal.origin(first, last));
                                    return !run.has_enough();
                                  });
}

bool PipelineTokenizer::encode_piece(const AlignedText& piece, Run& run) const {
  return parts_.pre_tokenizer.split(
      piece, [&](std::string_view word, std::int64_t offset, OriginCursor& origins) {
        return run.encoder->encode(word, [&](std::span<const WordToken> tokens) {
          for (const WordToken& token : tokens)
            run.add(token.id, origins.span(offset + token.begin, offset + token.end));
          if ((run.encoding.ids.size() & 0xFFF) == 0) check_interrupted();
          return !run.has_enough();
        });
      });
}

// The text of a piece as the file writes it.
std::string PipelineTokenizer::piece_bytes(std::string text) const {
  const DecodeOptions& decode = parts_.decode;
  const int byte = decode.byte_tokens ? byte_of_token(text) : -1;
  if (byte >= 0) return std::string(1, static_cast<char>(byte));
  for (const auto& [from, to] : decode.replacements) text = replaced(std::move(text), from, to);
  if (!decode.word_end.empty() && text.ends_with(decode.word_end))
    text.replace(text.size() - decode.word_end.size(), decode.word_end.size(), " ");
  if (!decode.inner_prefix.empty()) {
    if (text.starts_with(decode.inner_prefix)) return text.substr(decode.inner_prefix.size());
    return " " + text;
  }
  return decode.byte_characters ? bytes_of_byte_level(text).value_or(text) : text;
}

std::string PipelineTokenizer::token_bytes(std::int32_t id) const {
  require(id >= 0 && id < vocab_size_, "token id", "expected an id below {}, got {}", vocab_size_,
          id);
  if (const auto other = other_text_.find(id); other != other_text_.end()) return other->second;
  if (id >= parts_.model->size()) return {};
  return piece_bytes(parts_.model->piece(id));
}

std::string PipelineTokenizer::decode(std::span<const std::int32_t> ids) const {
  std::string text;
  for (const std::int32_t id : ids) text += token_bytes(id);
  if (parts_.decode.strip_first_space && text.starts_with(' ')) text.erase(0, 1);
  if (!parts_.decode.word_end.empty() && text.ends_with(' ')) text.pop_back();
  return replace_invalid_utf8(text);
}

std::string PipelineTokenizer::token_text(std::int32_t id) const {
  return printable(token_bytes(id));
}

}  // namespace massact
