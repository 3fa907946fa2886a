// Text to token ids and back, with the place in the text that every token came from.
#pragma once

#include <cstdint>
#include <filesystem>
#include <limits>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace massact {

/// Bytes [begin, end) of the original text. Empty for tokens that stand for no text.
struct ByteSpan {
  std::int64_t begin = 0;
  std::int64_t end = 0;
  bool operator==(const ByteSpan&) const = default;
};

/// Token ids and, for each, the bytes of the original text it covers. Spans are in order; a token
/// made of a part of a character that was replaced (normalised) covers the whole character.
struct Encoding {
  std::vector<std::int32_t> ids;
  std::vector<ByteSpan> spans;
};

/// All of a text.
inline constexpr std::int64_t kAllTokens = std::numeric_limits<std::int64_t>::max();

/// A tokenizer. Const methods may be called from several threads at once.
class Tokenizer {
 public:
  virtual ~Tokenizer() = default;

  /// One more than the largest token id.
  virtual std::int64_t vocab_size() const = 0;

  /// The ids of `text` as HF's `encode(text, add_special_tokens=False)`: nothing is added at the
  /// ends, special tokens written in the text are recognised where the format does so. Ill-formed
  /// UTF-8 counts as U+FFFD (one per maximal ill-formed part, as Python's errors="replace").
  /// Stops once it has at least `enough` tokens: what it returns is then a prefix of the encoding
  /// of the whole text.
  virtual Encoding encode(std::string_view text, std::int64_t enough = kAllTokens) const = 0;

  /// The text of `ids`; special tokens as they are written, bytes that are not UTF-8 as U+FFFD.
  /// Throws on an id outside [0, vocab_size()).
  virtual std::string decode(std::span<const std::int32_t> ids) const = 0;

  /// What a person should see for one token: its text (" the", "\n", "<s>"), or its bytes as
  /// `<0xE2>` if they are no text by themselves. Throws on an id outside [0, vocab_size()).
  virtual std::string token_text(std::int32_t id) const = 0;

  virtual std::optional<std::int32_t> bos() const = 0;
  virtual std::optional<std::int32_t> eos() const = 0;

  /// True if the tokenizer's own configuration puts `bos()` before an encoded text (the formats
  /// differ in how: see `open_tokenizer`).
  virtual bool adds_bos() const = 0;
};

/// Opens the tokenizer of a model. `path` is a file, or a directory in which `tokenizer.json`,
/// else `tokenizer.model` or `spiece.model` (sentencepiece), else `vocab.json` with `merges.txt`,
/// else OpenAI CLIP's `bpe_simple_vocab_16e6.txt` (`.gz`), else `tokenizer.bin` or `tok*.bin`
/// (llama2.c) is taken. A `.gguf` file holds its tokenizer.
///
/// BOS: for `tokenizer.json` and `vocab.json`, `add_bos_token` of a `tokenizer_config.json` beside
/// it decides if present, else whether the post-processor's template starts with a special token,
/// as HF transformers 5 does; for `tokenizer.model`, `add_bos_token` or true if the model has a BOS
/// (as LLaMA); for llama2.c, always; for GGUF, `tokenizer.ggml.add_bos_token` or llama.cpp's
/// default. Throws Error naming file and field for anything malformed or not supported.
std::unique_ptr<Tokenizer> open_tokenizer(const std::filesystem::path& path);

}  // namespace massact
