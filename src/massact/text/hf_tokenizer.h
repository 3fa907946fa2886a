// Reader of HF's `tokenizer.json` (BPE models) with the `tokenizer_config.json` beside it.
#pragma once

#include <filesystem>
#include <memory>
#include <string_view>

#include "massact/io/json.h"
#include "massact/text/bpe_tokenizer.h"

namespace massact {

/// Builds the tokenizer that a `tokenizer.json` document describes; `config` is the parsed
/// `tokenizer_config.json` or null. Throws Error naming the field for anything malformed, and for
/// components that are not supported.
///
/// Supported: model BPE (merges as strings or pairs, byte_fallback, fuse_unk, ignore_merges);
/// normalizers Sequence, NFC, NFD, NFKC, NFKD, Prepend, Replace; pre-tokenizers Sequence,
/// ByteLevel, Metaspace, Split, Digits, Punctuation, Whitespace, WhitespaceSplit; decoders
/// Sequence, ByteLevel, Metaspace, Replace, ByteFallback, Fuse, Strip; post-processors
/// TemplateProcessing, ByteLevel, RobertaProcessing, Sequence (only to learn of the BOS).
std::unique_ptr<Tokenizer> read_hf_tokenizer(const JsonObject& document, const JsonObject* config);

/// Reads the file and, if there, `tokenizer_config.json` beside it.
std::unique_ptr<Tokenizer> open_hf_tokenizer(const std::filesystem::path& tokenizer_json);

/// The parts of the document that say how text is cut and changed (used by read_hf_tokenizer).
struct HfTextParts {
  Normalizer normalizer;
  PreTokenizer::Options pre_tokenizer;
  bool byte_level = false;
  DecodeOptions decode;
};
HfTextParts read_hf_text_parts(const JsonObject& document);

}  // namespace massact
