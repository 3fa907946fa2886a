// The model section of a tokenizer.json.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "massact/io/json.h"
#include "massact/text/merges.h"
#include "massact/text/word_model.h"

namespace massact {

/// The tokens of a model as its file writes them.
struct HfVocabulary {
  std::vector<std::string> texts;  // by id; empty: an id without token
  IdsByText ids;                   // views into texts

  std::optional<std::int32_t> find(std::string_view text) const;
};

/// A token id of a file with `tokens` tokens: whole, and not absurdly far behind them. Throws Error
/// naming `where`.
std::int32_t checked_hf_id(const nlohmann::json& value, std::size_t tokens, std::string_view where);

/// A model and its vocabulary. `byte_level` says that words come as bytes, not in GPT-2's visible
/// characters (BPE only).
struct HfModel {
  HfVocabulary vocabulary;
  std::unique_ptr<const WordModel> model;
};

/// The model's kind: "BPE", "Unigram", "WordPiece" or "WordLevel". Throws Error for others.
std::string hf_model_type(const JsonObject& model);

/// Reads the section; throws Error naming the field.
HfModel read_hf_model(const JsonObject& model, bool byte_level);

}  // namespace massact
