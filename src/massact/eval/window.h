// What is scored: pieces of token streams with the tokens that they should predict. One shape for
// every convention of perplexity and for multiple choice.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

namespace massact::eval {

/// The model reads `tokens`; its prediction at row `first_row + i` is scored on `targets[i]`.
struct Window {
  std::vector<std::int32_t> tokens;
  std::int64_t first_row = 0;
  std::vector<std::int32_t> targets;
};

/// How perplexity is defined. The three give different numbers for the same text: always say which.
enum class Convention : std::uint8_t {
  hf,        ///< the paper's: full chunks, exp(mean over chunks of the chunk's mean loss)
  lm_eval,   ///< lm-evaluation-harness: every token scored once, rolling windows
  llama_cpp  ///< llama.cpp's tool: full chunks, only the second half of each scored
};

/// "hf", "lm-eval", "llama.cpp".
std::string_view name_of(Convention convention);
/// Throws UsageError naming `where`.
Convention parse_convention(std::string_view name, std::string_view where);

/// Full consecutive chunks of `seq_len`; all but a chunk's first token are targets. With `bos`
/// every chunk is that token and seq_len - 1 of the text's.
std::vector<Window> hf_windows(std::span<const std::int32_t> ids, std::int64_t seq_len,
                               std::optional<std::int32_t> bos);

/// Full consecutive chunks of `seq_len`; targets are the positions from seq_len / 2 + 1 on. With
/// `bos` the stream begins with it and it replaces every chunk's first token.
std::vector<Window> llama_cpp_windows(std::span<const std::int32_t> ids, std::int64_t seq_len,
                                      std::optional<std::int32_t> bos);

/// lm-evaluation-harness's rolling windows with one token of context: every id is a target once.
/// The first window reads `prefix`, each later one the id before its first target; the last one
/// reaches back, so that it reads `seq_len` ids as well.
std::vector<Window> rolling_windows(std::span<const std::int32_t> ids, std::int64_t seq_len,
                                    std::int32_t prefix);

/// lm-evaluation-harness's request: how likely is `continuation` after `context`? Of both together
/// the last `max_positions` + 1 ids are kept, so that the context may lose its beginning; of a
/// continuation longer than `max_positions` (which the harness refuses) only the end is scored.
/// Neither may be empty.
Window continuation_window(std::span<const std::int32_t> context,
                           std::span<const std::int32_t> continuation, std::int64_t max_positions);

}  // namespace massact::eval
