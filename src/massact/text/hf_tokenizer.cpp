#include "massact/text/hf_tokenizer.h"

#include <algorithm>
#include <unordered_set>

#include "massact/base/error.h"
#include "massact/text/byte_level.h"
#include "massact/text/merges.h"
#include "massact/text/utf8.h"

namespace massact {
namespace {

constexpr std::uint64_t kMaxFileBytes = 256ull << 20;
constexpr std::int64_t kMaxIdGaps = 65536;  // ids that no token uses, beyond twice their number

struct Vocabulary {
  std::vector<std::string> texts;  // as in the file, by id
  IdsByText ids;

  std::optional<std::int32_t> find(std::string_view text) const {
    const auto it = ids.find(text);
    if (it == ids.end()) return std::nullopt;
    return it->second;
  }
};

std::int32_t checked_id(const nlohmann::json& value, std::size_t tokens, std::string_view where) {
  const auto limit = static_cast<std::int64_t>(2 * tokens) + kMaxIdGaps;
  require(
      value.is_number_unsigned() && value.get<std::uint64_t>() < static_cast<std::uint64_t>(limit),
      where, "expected a token id below {}, got {}", limit, describe_json(value));
  return static_cast<std::int32_t>(value.get<std::uint64_t>());
}

Vocabulary read_vocabulary(const JsonObject& model) {
  const nlohmann::json* field = model.find("vocab");
  require(field != nullptr && field->is_object() && !field->empty(), model.where("vocab"),
          "expected an object of tokens and ids, got {}",
          field == nullptr ? "nothing" : describe_json(*field));
  Vocabulary vocabulary;
  std::vector<bool> used;
  for (const auto& [text, value] : field->items()) {
    const std::int32_t id = checked_id(value, field->size(), model.where("vocab") + "." + text);
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

MergeList read_merges(const JsonObject& model, const Vocabulary& vocabulary) {
  const std::string where = model.where("merges");
  const nlohmann::json* field = model.find("merges");
  require(field != nullptr && field->is_array(), where, "expected an array, got {}",
          field == nullptr ? "nothing" : describe_json(*field));
  MergeList merges(vocabulary.ids, where);
  for (const nlohmann::json& merge : *field) {
    const auto [left, right] = merge_halves(merge, where);
    merges.add(left, right);
  }
  return merges;
}

BpeModel read_model(const JsonObject& model, const Vocabulary& vocabulary, bool byte_level) {
  const auto empty = [&](std::string_view name) {
    require(model.get_or<std::string>(name, "").empty(), model.where(name),
            "expected no {}, which is not supported", name);
  };
  empty("continuing_subword_prefix");
  empty("end_of_word_suffix");
  require(model.get_or("dropout", 0.0) == 0.0, model.where("dropout"),
          "expected no dropout, which makes tokens random");

  BpeModel::Options options;
  options.byte_level = byte_level;
  options.byte_fallback = !byte_level && model.get_or("byte_fallback", false);
  options.fuse_unknown = model.get_or("fuse_unk", false);
  options.ignore_merges = model.get_or("ignore_merges", false);
  if (model.has("unk_token")) {
    const auto text = model.get<std::string>("unk_token");
    options.unknown = vocabulary.find(text);
    require(options.unknown.has_value() || text.empty(), model.where("unk_token"),
            "expected a token of the vocabulary, got {:?}", text);
  }
  std::vector<std::string> pieces = vocabulary.texts;
  // Tokens that no bytes can write are never produced; they keep an empty piece.
  if (byte_level)
    for (std::string& piece : pieces) piece = bytes_of_byte_level(piece).value_or("");
  return BpeModel(std::move(pieces), read_merges(model, vocabulary).merges(), options);
}

std::vector<AddedToken> read_added_tokens(const JsonObject& document,
                                          const Vocabulary& vocabulary) {
  std::vector<AddedToken> tokens;
  const nlohmann::json* field = document.find("added_tokens");
  if (field == nullptr) return tokens;
  require(field->is_array(), document.where("added_tokens"), "expected an array, got {}",
          describe_json(*field));
  std::unordered_set<std::int32_t> ids;
  std::unordered_set<std::string> contents;
  for (std::size_t i = 0; i < field->size(); ++i) {
    const JsonObject object((*field)[i], fmt::format("{}[{}]", document.where("added_tokens"), i));
    AddedToken token;
    token.content = object.get<std::string>("content");
    require(object.has("id"), object.where("id"), "expected a token id, got nothing");
    token.id =
        checked_id(*object.find("id"), vocabulary.texts.size() + field->size(), object.where("id"));
    token.single_word = object.get_or("single_word", false);
    token.lstrip = object.get_or("lstrip", false);
    token.rstrip = object.get_or("rstrip", false);
    token.normalized = object.get_or("normalized", !object.get_or("special", false));
    const auto in_vocabulary = vocabulary.find(token.content);
    require(!in_vocabulary || *in_vocabulary == token.id, object.where("id"),
            "expected id {} as in the vocabulary for {:?}, got {}", in_vocabulary.value_or(0),
            token.content, token.id);
    const auto index = static_cast<std::size_t>(token.id);
    const bool free = index >= vocabulary.texts.size() || vocabulary.texts[index].empty();
    require(in_vocabulary || free, object.where("id"),
            "expected an id of its own for {:?}, got {} which is {:?}", token.content, token.id,
            free ? "" : vocabulary.texts[index]);
    require(ids.insert(token.id).second && contents.insert(token.content).second,
            object.where("id"), "expected every token once, got {:?} with id {} again",
            token.content, token.id);
    tokens.push_back(std::move(token));
  }
  return tokens;
}

std::int32_t checked_bos(std::int64_t id, std::int64_t vocab_size, std::string_view where) {
  require(id >= 0 && id < vocab_size, where, "expected a token id below {}, got {}", vocab_size,
          id);
  return static_cast<std::int32_t>(id);
}

// The id of the token that the post-processor puts first, if any.
std::optional<std::int32_t> template_bos(const JsonObject& processor, std::int64_t vocab_size) {
  const auto type = processor.get<std::string>("type");
  if (type == "Sequence") {
    const nlohmann::json* list = processor.find("processors");
    require(list != nullptr && list->is_array(), processor.where("processors"),
            "expected an array");
    for (std::size_t i = 0; i < list->size(); ++i) {
      const JsonObject part((*list)[i], fmt::format("{}[{}]", processor.where("processors"), i));
      if (const auto bos = template_bos(part, vocab_size)) return bos;
    }
    return std::nullopt;
  }
  if (type == "RobertaProcessing") {
    const nlohmann::json* cls = processor.find("cls");
    require(cls != nullptr && cls->is_array() && cls->size() == 2 && (*cls)[1].is_number_unsigned(),
            processor.where("cls"), "expected [token, id], got {}",
            cls == nullptr ? "nothing" : describe_json(*cls));
    return checked_bos((*cls)[1].get<std::int64_t>(), vocab_size, processor.where("cls"));
  }
  if (type == "ByteLevel") return std::nullopt;
  require(type == "TemplateProcessing", processor.where("type"),
          "expected a supported post-processor, got {:?}", type);
  const nlohmann::json* single = processor.find("single");
  require(single != nullptr && single->is_array(), processor.where("single"), "expected an array");
  if (single->empty() || !(*single)[0].is_object() || !(*single)[0].contains("SpecialToken"))
    return std::nullopt;
  const JsonObject first((*single)[0], processor.where("single[0]"));
  const auto name = first.object("SpecialToken").get<std::string>("id");
  const auto special = processor.object("special_tokens").object(name);
  const auto ids = special.get<std::vector<std::int64_t>>("ids");
  require(ids.size() == 1, special.where("ids"), "expected one id, got {}", ids.size());
  return checked_bos(ids[0], vocab_size, special.where("ids"));
}

class SpecialTokens {
 public:
  SpecialTokens(const Vocabulary& vocabulary, const std::vector<AddedToken>& added)
      : vocabulary_(vocabulary), added_(added) {}

  std::optional<std::int32_t> find(std::string_view text) const {
    for (const AddedToken& token : added_)
      if (token.content == text) return token.id;
    return vocabulary_.find(text);
  }

  // `bos_token` or `eos_token` of a tokenizer_config.json: a string, or an object with `content`.
  std::optional<std::int32_t> configured(const JsonObject& config, std::string_view name) const {
    const nlohmann::json* value = config.find(name);
    if (value == nullptr) return std::nullopt;
    const std::string text = value->is_object() ? config.object(name).get<std::string>("content")
                                                : config.get<std::string>(name);
    return find(text);
  }

  // Files without a configuration beside them: the names that the families use.
  std::optional<std::int32_t> first_of(std::initializer_list<std::string_view> names) const {
    for (const std::string_view name : names)
      if (const auto id = find(name)) return id;
    return std::nullopt;
  }

 private:
  const Vocabulary& vocabulary_;
  const std::vector<AddedToken>& added_;
};

void read_ends(const JsonObject& document, const JsonObject* config, const Vocabulary& vocabulary,
               BpeTokenizerParts& parts) {
  const SpecialTokens special(vocabulary, parts.added_tokens);
  std::int64_t vocab_size = parts.model.size();
  for (const AddedToken& token : parts.added_tokens)
    vocab_size = std::max<std::int64_t>(vocab_size, std::int64_t{token.id} + 1);
  std::optional<std::int32_t> in_template;
  if (document.has("post_processor"))
    in_template = template_bos(document.object("post_processor"), vocab_size);
  const bool decided = config != nullptr && config->find("add_bos_token") != nullptr;
  if (config != nullptr) {
    parts.bos = special.configured(*config, "bos_token");
    parts.eos = special.configured(*config, "eos_token");
  } else {
    parts.bos = special.first_of({"<s>", "<|begin_of_text|>", "<bos>", "<|endoftext|>"});
    parts.eos = special.first_of({"</s>", "<|end_of_text|>", "<eos>", "<|endoftext|>"});
  }
  // `add_bos_token` replaces the template, and adds nothing if no `bos_token` is configured.
  parts.adds_bos = decided ? config->get<bool>("add_bos_token") && parts.bos.has_value()
                           : in_template.has_value();
  if (in_template && (!decided || !parts.bos)) parts.bos = in_template;
}

}  // namespace

std::unique_ptr<Tokenizer> read_hf_tokenizer(const JsonObject& document, const JsonObject* config) {
  const JsonObject model = document.object("model");
  const auto type = model.get_or<std::string>("type", "BPE");  // absent in old files of GPT-2
  require(type == "BPE", model.where("type"), "expected \"BPE\", got {:?} (not supported)", type);

  const Vocabulary vocabulary = read_vocabulary(model);
  HfTextParts text = read_hf_text_parts(document);
  BpeTokenizerParts parts{.model = read_model(model, vocabulary, text.byte_level),
                          .added_tokens = read_added_tokens(document, vocabulary),
                          .normalizer = std::move(text.normalizer),
                          .pre_tokenizer = PreTokenizer(std::move(text.pre_tokenizer)),
                          .decode = text.decode,
                          .bos = {},
                          .eos = {},
                          .adds_bos = false,
                          .other_text = {}};
  for (std::size_t id = 0; id < vocabulary.texts.size(); ++id)
    if (parts.model.piece(static_cast<std::int32_t>(id)).empty())
      parts.other_text.emplace(static_cast<std::int32_t>(id), vocabulary.texts[id]);
  read_ends(document, config, vocabulary, parts);
  return std::make_unique<BpeTokenizer>(std::move(parts));
}

std::unique_ptr<Tokenizer> open_hf_tokenizer(const std::filesystem::path& tokenizer_json) {
  const JsonObject document = JsonObject::from_file(tokenizer_json, kMaxFileBytes);
  const auto config_path = tokenizer_json.parent_path() / "tokenizer_config.json";
  if (!std::filesystem::exists(config_path)) return read_hf_tokenizer(document, nullptr);
  const JsonObject config = JsonObject::from_file(config_path, kMaxFileBytes);
  return read_hf_tokenizer(document, &config);
}

}  // namespace massact
