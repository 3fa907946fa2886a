// Texts as whole token streams: perplexity conventions cut them in their own ways.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "massact/text/tokenizer.h"

namespace massact {

/// Consecutive tokens of one source, without any BOS.
struct TokenStream {
  std::string name;
  std::string_view text;  ///< exactly what the tokens come from; empty for token files
  std::vector<std::int32_t> ids;
  std::vector<ByteSpan> spans;  ///< in the source's text; empty for token files
  std::int64_t text_begin = 0;  ///< where `text` begins in the source's text

  /// The first `count` tokens; the rest from `begin` on. Their texts are cut accordingly.
  TokenStream head(std::int64_t count) const;
  TokenStream tail(std::int64_t begin) const;
};

/// Streams, and the memory that their texts lie in.
struct TokenStreams {
  std::vector<TokenStream> streams;
  std::vector<std::shared_ptr<const void>> storage;

  std::string names() const;
  std::int64_t token_count() const;
};

struct StreamOptions {
  /// Read no more tokens than this over all sources.
  std::int64_t enough = kAllTokens;
  /// Put the lines of each file together as the paper's code does with the rows of wikitext-2-raw:
  /// "" for a blank line, else the line with its newline, joined by two newlines.
  bool wikitext_rows = false;
};

/// Text files; "-" is standard input, the documents of a .jsonl file are joined by one space.
TokenStreams streams_of_files(std::span<const std::filesystem::path> paths,
                              const Tokenizer& tokenizer, const StreamOptions& options);
TokenStreams streams_of_text(std::string text, std::string name, const Tokenizer& tokenizer,
                             const StreamOptions& options);
/// A token file; every row of a 2-D .npy is a stream. Ids must be below `vocab_size`.
TokenStreams streams_of_tokens(const std::filesystem::path& path, std::int64_t vocab_size,
                               const StreamOptions& options);

}  // namespace massact
