// How the text towers of CLIP and SigLIP want their texts: what HF's tokenizers make of them.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "massact/text/tokenizer.h"

namespace massact {

/// Ids of one text as CLIP reads it: start, text, end; a text that is too long loses its end but
/// not the token that says so. `length`: the tower's positions (77), which are not filled up: the
/// tower is causal and read at the end token, so that nothing behind it counts. Throws Error if the
/// tokenizer has no token for either.
std::vector<std::int32_t> clip_ids(const Tokenizer& tokenizer, std::string_view text,
                                   std::int64_t length);

/// SigLIP's settings, from the tokenizer_config.json beside its tokenizer.
struct SiglipText {
  std::int32_t pad = 0;
  /// ASCII punctuation is dropped (SigLIP); false: only case is folded (SigLIP 2).
  bool drops_punctuation = true;

  /// `folder`: where the tokenizer is. Without tokenizer_config.json: padded with the end token.
  static SiglipText read(const std::filesystem::path& folder, const Tokenizer& tokenizer);
};

/// The text as SigLIP's tokenizer sees it: in lower case, without ASCII punctuation, white space of
/// any length as one space, none at the ends. SigLIP 2's only folds case. `text` is UTF-8.
std::string siglip_canonical(std::string_view text, bool drops_punctuation);

/// Ids of one text as SigLIP reads it: canonical text and end token, filled up to `length` (64)
/// with the padding token. The tower sees the padding, as it did in training, and is read at the
/// last position.
std::vector<std::int32_t> siglip_ids(const Tokenizer& tokenizer, const SiglipText& settings,
                                     std::string_view text, std::int64_t length);

}  // namespace massact
