#include "massact/text/corpus.h"

#include <algorithm>

#include "massact/base/error.h"

#include "massact/text/corpus_files.h"
#include "massact/text/utf8.h"

namespace massact {
namespace {

bool is_continuation(char byte) { return (static_cast<unsigned char>(byte) & 0xC0) == 0x80; }

// The last `count` characters before `end`, and the first ones from `begin`.
std::string_view tail(std::string_view text, std::int64_t count) {
  std::size_t at = text.size();
  for (; at > 0 && count > 0; --count) do
      --at;
    while (at > 0 && is_continuation(text[at]));
  return text.substr(at);
}

std::string_view head(std::string_view text, std::int64_t count) {
  std::size_t at = 0;
  for (; at < text.size() && count > 0; --count) do
      ++at;
    while (at < text.size() && is_continuation(text[at]));
  return text.substr(0, at);
}

}  // namespace

Corpus::Corpus(const Tokenizer* tokenizer, const CorpusOptions& options, bool automatic_bos)
    : tokenizer_(tokenizer),
      options_(options),
      adds_bos_(options.bos == BosPolicy::always ||
                (options.bos == BosPolicy::automatic && automatic_bos)) {
  if (adds_bos_ && (tokenizer == nullptr || !tokenizer->bos().has_value()))
    fail_usage("--bos", "expected a tokenizer with a BOS token for \"yes\", got none (use \"no\")");
  const std::int64_t least = adds_bos_ ? 2 : 1;
  if (options.seq_len < least)
    fail_usage("--seq-len", "expected at least {} tokens, got {}", least, options.seq_len);
  if (options.max_sequences < 0)
    fail_usage("--sequences", "expected 0 (all) or more, got {}", options.max_sequences);
}

bool Corpus::is_full() const {
  return options_.max_sequences > 0 &&
         static_cast<std::int64_t>(sequences_.size()) >= options_.max_sequences;
}

std::int64_t Corpus::wanted_tokens() const {
  if (options_.max_sequences == 0) return kAllTokens;
  const std::int64_t body = options_.seq_len - (adds_bos_ ? 1 : 0);
  const auto left = options_.max_sequences - static_cast<std::int64_t>(sequences_.size());
  return left > kAllTokens / body ? kAllTokens : left * body;
}

void Corpus::add_text(std::string name, std::string_view text) {
  if (is_full()) return;
  require(!text.empty(), name, "expected text, got an empty file");
  Encoding encoding = tokenizer_->encode(text, wanted_tokens());
  require(!encoding.ids.empty(), name, "expected text with at least one token, got none");
  sources_.push_back({std::move(name), text});
  add_tokens(encoding);
}

void Corpus::add_tokens(const Encoding& encoding) {
  const auto source = static_cast<std::int32_t>(sources_.size() - 1);
  const auto count = static_cast<std::int64_t>(encoding.ids.size());
  const std::int64_t added = adds_bos_ ? 1 : 0;
  const std::int64_t body = options_.seq_len - added;
  longest_source_ = std::max(longest_source_, count + added);
  for (std::int64_t begin = 0; begin < count && !is_full(); begin += body) {
    const std::int64_t end = std::min(begin + body, count);
    const bool is_short = end - begin < body;
    if (is_short && (begin > 0 || !options_.keep_short)) break;
    Sequence sequence;
    sequence.source = source;
    const bool has_spans = !encoding.spans.empty();
    if (adds_bos_) {
      sequence.tokens.push_back(*tokenizer_->bos());
      const std::int64_t at = has_spans ? encoding.spans[static_cast<std::size_t>(begin)].begin : 0;
      if (has_spans) sequence.spans.push_back({at, at});
    }
    sequence.tokens.insert(sequence.tokens.end(), encoding.ids.begin() + begin,
                           encoding.ids.begin() + end);
    if (has_spans)
      sequence.spans.insert(sequence.spans.end(), encoding.spans.begin() + begin,
                            encoding.spans.begin() + end);
    sequence.has_bos = tokenizer_ != nullptr && tokenizer_->bos() == sequence.tokens.front();
    sequences_.push_back(std::move(sequence));
  }
}

std::string Corpus::source_names() const {
  std::vector<std::string> names;
  for (const CorpusSource& source : sources_) names.push_back(source.name);
  return list_sources(names);
}

void Corpus::require_sequences() const {
  if (!sequences_.empty()) return;
  fail(source_names(),
       "expected a text of at least one full sequence of {} tokens, got {} (longest file, "
       "with BOS if added; use a smaller --seq-len)",
       options_.seq_len, longest_source_);
}

Corpus Corpus::from_text(std::string text, std::string name, const Tokenizer& tokenizer,
                         const CorpusOptions& options) {
  Corpus corpus(&tokenizer, options, tokenizer.adds_bos());
  const auto kept = std::make_shared<const std::string>(std::move(text));
  corpus.storage_.push_back(kept);
  corpus.add_text(std::move(name), *kept);
  corpus.require_sequences();
  return corpus;
}

Corpus Corpus::from_files(std::span<const std::filesystem::path> paths, const Tokenizer& tokenizer,
                          const CorpusOptions& options) {
  Corpus corpus(&tokenizer, options, tokenizer.adds_bos());
  if (paths.empty()) fail_usage("--text", "expected at least one file, got none");
  for (const auto& path : paths) {
    if (corpus.is_full()) break;
    LoadedText loaded = load_text(path);
    corpus.storage_.push_back(std::move(loaded.storage));
    corpus.add_text(path == "-" ? "standard input" : path.string(), loaded.text);
  }
  corpus.require_sequences();
  return corpus;
}

Corpus Corpus::from_tokens(const std::filesystem::path& path, std::int64_t vocab_size,
                           const CorpusOptions& options, const Tokenizer* tokenizer) {
  Corpus corpus(tokenizer, options, false);
  const TokenRows rows = load_tokens(path, corpus.wanted_tokens());
  for (std::size_t row = 0; row < rows.size() && !corpus.is_full(); ++row) {
    const std::string name =
        rows.size() == 1 ? path.string() : fmt::format("{} row {}", path.string(), row);
    Encoding encoding;
    encoding.ids.reserve(rows[row].size());
    for (std::size_t i = 0; i < rows[row].size(); ++i) {
      const std::int64_t id = rows[row][i];
      require(id >= 0 && id < vocab_size, name, "expected token ids below {}, got {} at token {}",
              vocab_size, id, i);
      encoding.ids.push_back(static_cast<std::int32_t>(id));
    }
    require(!encoding.ids.empty(), name, "expected token ids, got none");
    corpus.sources_.push_back({path.string(), {}});
    corpus.add_tokens(encoding);
  }
  corpus.require_sequences();
  return corpus;
}

const Sequence& Corpus::sequence_at(std::int64_t sequence, std::int64_t position) const {
  require(sequence >= 0 && sequence < static_cast<std::int64_t>(sequences_.size()), "corpus",
          "expected a sequence below {}, got {}", sequences_.size(), sequence);
  const Sequence& chosen = sequences_[static_cast<std::size_t>(sequence)];
  require(position >= 0 && position < static_cast<std::int64_t>(chosen.tokens.size()), "corpus",
          "expected a position below {}, got {}", chosen.tokens.size(), position);
  return chosen;
}

std::string Corpus::token_text(std::int64_t sequence, std::int64_t position) const {
  const std::int32_t id =
      sequence_at(sequence, position).tokens[static_cast<std::size_t>(position)];
  const bool known = tokenizer_ != nullptr && id < tokenizer_->vocab_size();
  return known ? tokenizer_->token_text(id) : fmt::format("#{}", id);
}

std::vector<std::string> Corpus::token_texts(std::int64_t sequence) const {
  const auto count = sequence_at(sequence, 0).tokens.size();
  std::vector<std::string> texts;
  texts.reserve(count);
  for (std::size_t i = 0; i < count; ++i)
    texts.push_back(token_text(sequence, static_cast<std::int64_t>(i)));
  return texts;
}

TokenContext Corpus::context(std::int64_t sequence, std::int64_t position,
                             std::int64_t chars_before, std::int64_t chars_after) const {
  const Sequence& chosen = sequence_at(sequence, position);
  TokenContext context{{}, token_text(sequence, position), {}};
  if (!chosen.spans.empty()) {
    const std::string_view text = sources_[static_cast<std::size_t>(chosen.source)].text;
    const ByteSpan span = chosen.spans[static_cast<std::size_t>(position)];
    const auto begin = static_cast<std::size_t>(span.begin);
    context.before = replace_invalid_utf8(tail(text.substr(0, begin), chars_before));
    context.after =
        replace_invalid_utf8(head(text.substr(static_cast<std::size_t>(span.end)), chars_after));
    return context;
  }
  // One neighbour per character is enough: no token is shorter than what it shows.
  const auto count = static_cast<std::int64_t>(chosen.tokens.size());
  std::string before, after;
  for (std::int64_t i = std::max<std::int64_t>(0, position - chars_before); i < position; ++i)
    before += token_text(sequence, i);
  for (std::int64_t i = position + 1; i < std::min(count, position + 1 + chars_after); ++i)
    after += token_text(sequence, i);
  context.before = tail(before, chars_before);
  context.after = head(after, chars_after);
  return context;
}

}  // namespace massact
