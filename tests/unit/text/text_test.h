// Helpers of the text tests: golden and shared files, small tokenizers.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <memory>
#include <string>

#include "massact/text/hf_tokenizer.h"
#include "massact/text/tokenizer.h"
#include "paths.h"

namespace massact::text_test {

inline std::filesystem::path golden(std::string_view name) {
  return testing_support::golden_folder() / "tokenizers" / name;
}

inline std::filesystem::path shared(std::string_view name) {
  return testing_support::shared_data() / name;
}

/// A tokenizer from the text of a tokenizer.json (and of a tokenizer_config.json).
inline std::unique_ptr<Tokenizer> tokenizer_of(std::string_view json,
                                               std::string_view config = "") {
  const JsonObject document(parse_json(json, "tokenizer.json"), "tokenizer.json");
  if (config.empty()) return read_hf_tokenizer(document, nullptr);
  const JsonObject settings(parse_json(config, "tokenizer_config.json"), "tokenizer_config.json");
  return read_hf_tokenizer(document, &settings);
}

/// A byte-level tokenizer of a few words: a 0, b 1, Ġ 2, ab 3, Ġab 4, Ċ 5, <s> 6, Ã 7, © 8.
inline std::string small_byte_level() {
  return R"({"added_tokens": [{"id": 6, "content": "<s>", "special": true}],
    "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false},
    "post_processor": {"type": "TemplateProcessing", "single": [
      {"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
      "special_tokens": {"<s>": {"id": "<s>", "ids": [6], "tokens": ["<s>"]}}},
    "decoder": {"type": "ByteLevel"},
    "model": {"type": "BPE", "vocab": {"a": 0, "b": 1, "Ġ": 2, "ab": 3, "Ġab": 4, "Ċ": 5, "Ã": 7,
      "©": 8}, "merges": ["a b", "Ġ ab"]}})";
}

}  // namespace massact::text_test
