// The tokenizer inside a GGUF file.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "massact/io/gguf_metadata.h"
#include "massact/text/tokenizer.h"

namespace massact {

/// What the `tokenizer.ggml.*` fields of a GGUF file say.
struct GgufVocabulary {
  std::string model;  // "gpt2": byte-level BPE; "llama": sentencepiece BPE with scores
  std::string pre;    // how a "gpt2" vocabulary splits words
  std::vector<std::string> tokens;
  std::vector<float> scores;        // "llama"
  std::vector<std::int64_t> types;  // 1 normal, 2 unknown, 3 control, 4 user, 5 unused, 6 byte
  std::vector<std::string> merges;  // "gpt2"
  std::optional<std::int64_t> bos, eos, unknown;
  std::optional<bool> add_bos;
  bool add_space_prefix = true;  // "llama"
};

/// Reads the fields; throws Error naming file and key.
GgufVocabulary read_gguf_vocabulary(const GgufMetadata& metadata);

/// Builds the tokenizer, which gives the ids that llama.cpp gives. Control and user-defined tokens
/// written in a text are recognised. Supported: model "gpt2" with the pre-tokenizers of
/// gguf_splitting.h; model "llama". Throws Error naming `where` and field.
std::unique_ptr<Tokenizer> make_gguf_tokenizer(const GgufVocabulary& vocabulary,
                                               std::string_view where);

std::unique_ptr<Tokenizer> open_gguf_tokenizer(const std::filesystem::path& path);

}  // namespace massact
