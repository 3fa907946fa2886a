// Reader of HF's `tokenizer.json` with the `tokenizer_config.json` beside it.
#pragma once

#include <filesystem>
#include <memory>
#include <string_view>

#include "massact/io/json.h"
#include "massact/text/pipeline_tokenizer.h"

namespace massact {

/// Builds the tokenizer that a `tokenizer.json` document describes; `config` is the parsed
/// `tokenizer_config.json` or null. Throws Error naming the field for anything malformed, and for
/// components that are not supported.
///
/// Supported: models BPE (without dropout), Unigram, WordPiece, WordLevel; normalizers Sequence,
/// NFC, NFD, NFKC, NFKD, Prepend, Replace, Lowercase, Strip, StripAccents, BertNormalizer,
/// Precompiled, ByteLevel; pre-tokenizers Sequence, ByteLevel, Metaspace, Split, Digits,
/// Punctuation, Whitespace, WhitespaceSplit, BertPreTokenizer, CharDelimiterSplit; decoders
/// Sequence, ByteLevel, Metaspace, Replace (of a text), ByteFallback, Fuse, Strip, WordPiece,
/// BPEDecoder; post-processors TemplateProcessing, ByteLevel, RobertaProcessing, BertProcessing,
/// Sequence (only to learn of the BOS).
std::unique_ptr<Tokenizer> read_hf_tokenizer(const JsonObject& document, const JsonObject* config);

/// Reads the file and, if there, `tokenizer_config.json` beside it.
std::unique_ptr<Tokenizer> open_hf_tokenizer(const std::filesystem::path& tokenizer_json);

/// The parts of the document that say how text is cut and changed (used by read_hf_tokenizer).
struct HfTextParts {
  Normalizer normalizer;
  std::vector<PreTokenizer::Stage> stages;
  bool byte_level = false;  // the model gets bytes instead of GPT-2's visible characters
  DecodeOptions decode;
};
/// `takes_bytes` says whether the model can work on bytes.
HfTextParts read_hf_text_parts(const JsonObject& document, bool takes_bytes);

}  // namespace massact
