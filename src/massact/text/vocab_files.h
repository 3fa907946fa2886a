// Tokenizers in the files from before tokenizer.json: vocab.json with merges.txt, and CLIP's list.
#pragma once

#include <filesystem>
#include <memory>
#include <string_view>

#include "massact/text/tokenizer.h"

namespace massact {

/// Opens a directory's `vocab.json` and `merges.txt` (GPT-2, OPT, CodeGen, RoBERTa, Qwen2, CLIP).
/// How text is cut follows `tokenizer_class` of a `tokenizer_config.json` beside them, GPT-2's
/// without one; special tokens come from it, `special_tokens_map.json` and `added_tokens.json`.
/// Throws Error naming file and field.
std::unique_ptr<Tokenizer> open_vocab_files(const std::filesystem::path& directory);

/// Opens OpenAI CLIP's `bpe_simple_vocab_16e6.txt`, plain or gzipped: 512 byte tokens, 48,894
/// merges and two special tokens. Text is lower-cased; a text's own `<|startoftext|>` is
/// recognised.
std::unique_ptr<Tokenizer> open_clip_vocabulary(const std::filesystem::path& file);

}  // namespace massact
