// How llama.cpp cuts words, by the name in a GGUF file's `tokenizer.ggml.pre`.
#pragma once

#include <string_view>
#include <vector>

namespace massact {

struct GgufSplitting {
  std::vector<std::string_view> patterns;  // each cuts the pieces of the one before
  bool ignore_merges = false;              // takes whole words that are tokens
  bool adds_bos = false;                   // unless `add_bos_token` says otherwise
};

/// Throws Error naming `where` for a name that is not known, with those that are. Files from before
/// the field (an empty name) and "default" are cut as llama.cpp does it without better knowledge.
GgufSplitting gguf_splitting(std::string_view pre, std::string_view where);

}  // namespace massact
