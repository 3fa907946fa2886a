#include "massact/eval/window.h"

#include <algorithm>

#include "massact/base/error.h"

namespace massact::eval {
namespace {

using Ids = std::span<const std::int32_t>;

// Reads all of `ids` but what no row is left to predict from; targets are those from `first` on.
Window window_of(Ids read, std::int64_t first, Ids targets) {
  return {{read.begin(), read.end()}, first - 1, {targets.begin(), targets.end()}};
}

Ids part(Ids ids, std::int64_t begin, std::int64_t end) {
  return ids.subspan(static_cast<std::size_t>(begin), static_cast<std::size_t>(end - begin));
}

void require_length(std::int64_t seq_len) {
  if (seq_len < 2) fail_usage("--seq-len", "expected at least 2 for perplexity, got {}", seq_len);
}

}  // namespace

std::string_view name_of(Convention convention) {
  switch (convention) {
    case Convention::hf:
      return "hf";
    case Convention::lm_eval:
      return "lm-eval";
    case Convention::llama_cpp:
      break;
  }
  return "llama.cpp";
}

Convention parse_convention(std::string_view name, std::string_view where) {
  for (const auto convention : {Convention::hf, Convention::lm_eval, Convention::llama_cpp}) {
    if (name == name_of(convention)) return convention;
  }
  fail_usage(where, "expected hf, lm-eval or llama.cpp, got '{}'", name);
}

std::vector<Window> hf_windows(Ids ids, std::int64_t seq_len, std::optional<std::int32_t> bos) {
  require_length(seq_len);
  const std::int64_t step = seq_len - (bos ? 1 : 0);
  std::vector<Window> windows;
  for (std::int64_t begin = 0; begin + step <= std::ssize(ids); begin += step) {
    std::vector<std::int32_t> chunk;
    if (bos) chunk.push_back(*bos);
    const Ids body = part(ids, begin, begin + step);
    chunk.insert(chunk.end(), body.begin(), body.end());
    windows.push_back(window_of(chunk, 1, Ids(chunk).subspan(1)));
  }
  return windows;
}

std::vector<Window> llama_cpp_windows(Ids ids, std::int64_t seq_len,
                                      std::optional<std::int32_t> bos) {
  if (seq_len < 3) {
    fail_usage("--seq-len", "expected at least 3 with --ppl llama.cpp, got {}", seq_len);
  }
  std::vector<std::int32_t> stream;
  if (bos) stream.push_back(*bos);
  stream.insert(stream.end(), ids.begin(), ids.end());
  std::vector<Window> windows;
  for (std::int64_t begin = 0; begin + seq_len <= std::ssize(stream); begin += seq_len) {
    if (bos) stream[static_cast<std::size_t>(begin)] = *bos;
    const Ids chunk = part(stream, begin, begin + seq_len);
    const std::int64_t first = seq_len / 2 + 1;
    windows.push_back(window_of(chunk, first, part(chunk, std::min(first, seq_len), seq_len)));
  }
  return windows;
}

std::vector<Window> rolling_windows(Ids ids, std::int64_t seq_len, std::int32_t prefix) {
  require_length(seq_len);
  std::vector<std::int32_t> stream = {prefix};
  stream.insert(stream.end(), ids.begin(), ids.end());
  const std::int64_t last = std::ssize(ids);
  std::vector<Window> windows;
  for (std::int64_t done = 0; done < last;) {
    const std::int64_t end = std::min(done + seq_len, last);
    const std::int64_t begin = std::max<std::int64_t>(0, end - seq_len);
    windows.push_back(
        window_of(part(stream, begin, end), done + 1 - begin, part(stream, done + 1, end + 1)));
    done = end;
  }
  return windows;
}

Window continuation_window(Ids context, Ids continuation, std::int64_t max_positions) {
  require(!context.empty() && !continuation.empty(), "request",
          "expected a context and a continuation of at least one token each, got {} and {}",
          context.size(), continuation.size());
  std::vector<std::int32_t> all(context.begin(), context.end());
  all.insert(all.end(), continuation.begin(), continuation.end());
  const std::int64_t count = std::ssize(all);
  const std::int64_t begin = std::max<std::int64_t>(0, count - (max_positions + 1));
  const std::int64_t scored = std::min<std::int64_t>(std::ssize(continuation), max_positions);
  return window_of(part(all, begin, count - 1), count - scored - begin,
                   part(all, count - scored, count));
}

}  // namespace massact::eval
