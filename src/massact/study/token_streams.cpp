#include "massact/study/token_streams.h"

#include <fmt/format.h>

#include <algorithm>

#include "massact/base/error.h"
#include "massact/text/corpus_files.h"

namespace massact {
namespace {

bool is_blank(std::string_view line) {
  return line.find_first_not_of(" \t\r\f\v") == std::string_view::npos;
}

std::string rows_joined(std::string_view text) {
  if (text.ends_with('\n')) text.remove_suffix(1);
  std::string joined;
  for (std::size_t at = 0; at <= text.size();) {
    const std::size_t end = std::min(text.find('\n', at), text.size());
    const std::string_view line = text.substr(at, end - at);
    if (at > 0) joined += "\n\n";
    if (!is_blank(line)) (joined += line) += '\n';
    at = end + 1;
  }
  return joined;
}

void add_text(TokenStreams& streams, std::string name, LoadedText loaded,
              const Tokenizer& tokenizer, const StreamOptions& options) {
  const std::int64_t wanted = options.enough - streams.token_count();
  if (wanted <= 0) return;
  if (options.wikitext_rows) {
    const auto joined = std::make_shared<const std::string>(rows_joined(loaded.text));
    loaded = {joined, *joined};
  }
  require(!loaded.text.empty(), name, "expected text, got an empty file");
  Encoding encoding = tokenizer.encode(loaded.text, wanted);
  TokenStream stream{std::move(name), loaded.text, std::move(encoding.ids),
                     std::move(encoding.spans), 0};
  streams.storage.push_back(std::move(loaded.storage));
  // The tokenizer may give a few more than wanted: it works in words.
  const bool cut = std::ssize(stream.ids) > wanted;
  streams.streams.push_back(cut ? stream.head(wanted) : std::move(stream));
}

}  // namespace

TokenStream TokenStream::head(std::int64_t count) const {
  if (count >= std::ssize(ids)) return *this;
  TokenStream part{name, text, {ids.begin(), ids.begin() + count}, {}, text_begin};
  if (spans.empty()) return part;
  part.spans.assign(spans.begin(), spans.begin() + count);
  const std::int64_t end = count == 0 ? text_begin : spans[static_cast<std::size_t>(count - 1)].end;
  part.text = text.substr(0, static_cast<std::size_t>(end - text_begin));
  return part;
}

TokenStream TokenStream::tail(std::int64_t begin) const {
  if (begin <= 0) return *this;
  begin = std::min(begin, static_cast<std::int64_t>(std::ssize(ids)));
  TokenStream part{name, text, {ids.begin() + begin, ids.end()}, {}, text_begin};
  if (spans.empty()) return part;
  part.spans.assign(spans.begin() + begin, spans.end());
  // Where the head ends, so that head and tail are the whole text.
  part.text_begin = spans[static_cast<std::size_t>(begin - 1)].end;
  part.text = text.substr(static_cast<std::size_t>(part.text_begin - text_begin));
  return part;
}

std::string TokenStreams::names() const {
  std::vector<std::string> all;
  for (const TokenStream& stream : streams) all.push_back(stream.name);
  return list_sources(all);
}

std::int64_t TokenStreams::token_count() const {
  std::int64_t count = 0;
  for (const TokenStream& stream : streams) count += std::ssize(stream.ids);
  return count;
}

TokenStreams streams_of_files(std::span<const std::filesystem::path> paths,
                              const Tokenizer& tokenizer, const StreamOptions& options) {
  if (paths.empty()) fail_usage("--text", "expected at least one file, got none");
  TokenStreams streams;
  for (const auto& path : paths) {
    add_text(streams, path == "-" ? "standard input" : path.string(), load_text(path), tokenizer,
             options);
  }
  return streams;
}

TokenStreams streams_of_text(std::string text, std::string name, const Tokenizer& tokenizer,
                             const StreamOptions& options) {
  TokenStreams streams;
  const auto kept = std::make_shared<const std::string>(std::move(text));
  add_text(streams, std::move(name), {kept, *kept}, tokenizer, options);
  return streams;
}

TokenStreams streams_of_tokens(const std::filesystem::path& path, std::int64_t vocab_size,
                               const StreamOptions& options) {
  TokenStreams streams;
  const TokenRows rows = load_tokens(path, options.enough);
  for (std::size_t row = 0; row < rows.size(); ++row) {
    TokenStream stream;
    stream.name = path.string();
    const std::string where =
        rows.size() == 1 ? stream.name : fmt::format("{} row {}", stream.name, row);
    for (std::size_t i = 0; i < rows[row].size(); ++i) {
      const std::int64_t id = rows[row][i];
      require(id >= 0 && id < vocab_size, where,
              "expected token ids from 0 to {}, got {} at token {}", vocab_size - 1, id, i);
      stream.ids.push_back(static_cast<std::int32_t>(id));
    }
    const std::int64_t wanted = options.enough - streams.token_count();
    if (wanted <= 0) break;
    streams.streams.push_back(stream.head(wanted));
  }
  return streams;
}

}  // namespace massact
