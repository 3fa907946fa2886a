#include "massact/text/hf_model.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "massact/base/error.h"
#include "massact/text/bpe.h"
#include "massact/text/byte_level.h"
#include "massact/text/unigram.h"
#include "massact/text/word_piece.h"

namespace massact {
namespace {

constexpr std::int64_t kMaxIdGaps = 65536;   // ids that no token uses, beyond twice their number
constexpr std::int64_t kLongestWord = 1024;  // characters that WordPiece is given at once

HfVocabulary read_vocabulary(const JsonObject& model) {
  const nlohmann::json* field = model.find("vocab");
  require(field != nullptr && field->is_object() && !field->empty(), model.where("vocab"),
          "expected an object of tokens and ids, got {}",
          field == nullptr ? "nothing" : describe_json(*field));
  HfVocabulary vocabulary;
  std::vector<bool> used;
  for (const auto& [text, value] : field->items()) {
    const std::int32_t id = checked_hf_id(value, field->size(), model.where("vocab") + "." + text);
    const auto index = static_cast<std::size_t>(id);
    if (index >= used.size()) {
      used.resize(index + 1);
      vocabulary.texts.resize(index + 1);
    }
    require(!used[index], model.where("vocab"),
            "expected ids to be unique, got {} for {:?} and {:?}", id, vocabulary.texts[index],
            text);
    used[index] = true;
    vocabulary.texts[index] = text;
  }
  for (std::size_t id = 0; id < used.size(); ++id)
    if (used[id]) vocabulary.ids.emplace(vocabulary.texts[id], static_cast<std::int32_t>(id));
  return vocabulary;
}

// Both halves of a merge: "a b", or ["a", "b"] in newer files.
std::pair<std::string_view, std::string_view> merge_halves(const nlohmann::json& merge,
                                                           std::string_view where) {
  if (merge.is_array() && merge.size() == 2 && merge[0].is_string() && merge[1].is_string())
    return {merge[0].get_ref<const std::string&>(), merge[1].get_ref<const std::string&>()};
  require(merge.is_string(), where, "expected \"left right\" or [left, right], got {}",
          describe_json(merge));
  return split_merge(merge.get_ref<const std::string&>(), where);
}

MergeList read_merges(const JsonObject& model, const HfVocabulary& vocabulary,
                      std::string_view prefix) {
  const std::string where = model.where("merges");
  const nlohmann::json* field = model.find("merges");
  require(field != nullptr && field->is_array(), where, "expected an array, got {}",
          field == nullptr ? "nothing" : describe_json(*field));
  MergeList merges(vocabulary.ids, where, prefix);
  for (const nlohmann::json& merge : *field) {
    const auto [left, right] = merge_halves(merge, where);
    merges.add(left, right);
  }
  return merges;
}

// The token that `unk_token` names, if any.
std::optional<std::int32_t> read_unknown(const JsonObject& model, const HfVocabulary& vocabulary,
                                         std::string_view otherwise) {
  const auto text = model.get_or<std::string>("unk_token", std::string(otherwise));
  const auto id = vocabulary.find(text);
  require(id.has_value() || text.empty() || !model.has("unk_token"), model.where("unk_token"),
          "expected a token of the vocabulary, got {:?}", text);
  return id;
}

HfModel read_bpe(const JsonObject& model, bool byte_level) {
  require(model.get_or("dropout", 0.0) == 0.0, model.where("dropout"),
          "expected no dropout, which makes tokens random");
  HfModel result{read_vocabulary(model), nullptr};
  BpeModel::Options options;
  options.byte_level = byte_level;
  options.byte_fallback = model.get_or("byte_fallback", false);
  options.fuse_unknown = model.get_or("fuse_unk", false);
  options.ignore_merges = model.get_or("ignore_merges", false);
  options.prefix = model.get_or<std::string>("continuing_subword_prefix", "");
  options.suffix = model.get_or<std::string>("end_of_word_suffix", "");
  options.unknown = read_unknown(model, result.vocabulary, "");
  require(!byte_level || !options.byte_fallback, model.where("byte_fallback"),
          "expected no byte fallback, since ByteLevel writes every byte");
  std::vector<std::string> pieces = result.vocabulary.texts;
  // Tokens that no bytes can write are never produced; they keep an empty piece.
  if (byte_level)
    for (std::string& piece : pieces) piece = bytes_of_byte_level(piece).value_or("");
  const MergeList merges = read_merges(model, result.vocabulary, options.prefix);
  result.model = std::make_unique<BpeModel>(std::move(pieces), merges.merges(), options);
  return result;
}

HfModel read_words(const JsonObject& model, bool whole_words) {
  HfModel result{read_vocabulary(model), nullptr};
  WordPieceModel::Options options;
  options.unknown = read_unknown(model, result.vocabulary, whole_words ? "<unk>" : "[UNK]");
  options.whole_words = whole_words;
  if (!whole_words) {
    options.prefix = model.get_or<std::string>("continuing_subword_prefix", "##");
    options.longest_word = model.get_or<std::int64_t>("max_input_chars_per_word", 100);
    require(options.longest_word >= 0 && options.longest_word <= kLongestWord,
            model.where("max_input_chars_per_word"), "expected at most {} characters, got {}",
            kLongestWord, options.longest_word);
  }
  result.model = std::make_unique<WordPieceModel>(result.vocabulary.texts, std::move(options));
  return result;
}

HfModel read_unigram(const JsonObject& model) {
  const std::string where = model.where("vocab");
  const nlohmann::json* field = model.find("vocab");
  require(field != nullptr && field->is_array() && !field->empty() &&
              field->size() < static_cast<std::size_t>(std::numeric_limits<std::int32_t>::max()),
          where, "expected an array of [token, score], got {}",
          field == nullptr ? "nothing" : describe_json(*field));
  HfModel result;
  std::vector<UnigramModel::Piece> pieces;
  for (const nlohmann::json& entry : *field) {
    require(entry.is_array() && entry.size() == 2 && entry[0].is_string() && entry[1].is_number(),
            where, "expected [token, score], got {}", describe_json(entry));
    pieces.push_back({entry[0].get<std::string>(), entry[1].get<double>()});
    require(std::isfinite(pieces.back().score), where, "expected finite scores, got {}",
            pieces.back().score);
    result.vocabulary.texts.push_back(pieces.back().text);
  }
  for (std::size_t id = 0; id < pieces.size(); ++id)
    result.vocabulary.ids.insert_or_assign(result.vocabulary.texts[id],
                                           static_cast<std::int32_t>(id));
  UnigramModel::Options options;
  options.byte_fallback = model.get_or("byte_fallback", false);
  if (model.has("unk_id")) {
    const auto id = model.get<std::int64_t>("unk_id");
    require(id >= 0 && id < static_cast<std::int64_t>(pieces.size()), model.where("unk_id"),
            "expected a token id below {}, got {}", pieces.size(), id);
    options.unknown = static_cast<std::int32_t>(id);
  }
  result.model = std::make_unique<UnigramModel>(std::move(pieces), options);
  return result;
}

}  // namespace

std::optional<std::int32_t> HfVocabulary::find(std::string_view text) const {
  const auto it = ids.find(text);
  if (it == ids.end()) return std::nullopt;
  return it->second;
}

std::int32_t checked_hf_id(const nlohmann::json& value, std::size_t tokens,
                           std::string_view where) {
  const auto limit = static_cast<std::int64_t>(2 * tokens) + kMaxIdGaps;
  require(
      value.is_number_unsigned() && value.get<std::uint64_t>() < static_cast<std::uint64_t>(limit),
      where, "expected a token id below {}, got {}", limit, describe_json(value));
  return static_cast<std::int32_t>(value.get<std::uint64_t>());
}

std::string hf_model_type(const JsonObject& model) {
  // Old files do not say; their fields do.
  const nlohmann::json* vocab = model.find("vocab");
  const bool is_list = vocab != nullptr && vocab->is_array();
  const std::string_view guess = is_list                                 ? "Unigram"
                                 : model.has("max_input_chars_per_word") ? "WordPiece"
                                                                         : "BPE";
  const auto type = model.get_or<std::string>("type", std::string(guess));
  constexpr std::string_view kTypes[] = {"BPE", "Unigram", "WordPiece", "WordLevel"};
  require(std::find(std::begin(kTypes), std::end(kTypes), type) != std::end(kTypes),
          model.where("type"), "expected BPE, Unigram, WordPiece or WordLevel, got {:?}", type);
  return type;
}

HfModel read_hf_model(const JsonObject& model, bool byte_level) {
  const std::string type = hf_model_type(model);
  if (type == "BPE") return read_bpe(model, byte_level);
  if (type == "Unigram") return read_unigram(model);
  return read_words(model, type == "WordLevel");
}

}  // namespace massact
