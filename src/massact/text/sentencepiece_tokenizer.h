// sentencepiece models (`tokenizer.model`), through the sentencepiece library.
#pragma once

#include <filesystem>
#include <memory>

#include "massact/text/tokenizer.h"

namespace massact {

/// Opens a sentencepiece model (BPE or unigram). Control tokens written in a text are not
/// recognised, as in sentencepiece itself. `adds_bos` follows `add_bos_token` of a
/// `tokenizer_config.json` beside the file; without one it is true if the model has a BOS.
///
/// Long texts are encoded in parts cut at a space between two ASCII letters or digits, if no piece
/// of the model reaches across a space; where two segmentations of a unigram model tie, rounding
/// could then choose differently than over the whole text at once.
std::unique_ptr<Tokenizer> open_sentencepiece(const std::filesystem::path& model);

}  // namespace massact
