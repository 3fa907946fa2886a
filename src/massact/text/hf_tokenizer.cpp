#include "massact/text/hf_tokenizer.h"

#include <algorithm>
#include <unordered_set>

#include "massact/base/error.h"
#include "massact/text/hf_model.h"

namespace massact {
namespace {

constexpr std::uint64_t kMaxFileBytes = 256ull << 20;
std::vector<AddedToken> read_added_tokens(const JsonObject& document,
                                          const HfVocabulary& vocabulary) {
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
    token.id = checked_hf_id(*object.find("id"), vocabulary.texts.size() + field->size(),
                             object.where("id"));
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
  if (type == "RobertaProcessing" || type == "BertProcessing") {
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
  SpecialTokens(const HfVocabulary& vocabulary, const std::vector<AddedToken>& added)
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
  const HfVocabulary& vocabulary_;
  const std::vector<AddedToken>& added_;
};

void read_ends(const JsonObject& document, const JsonObject* config, const HfVocabulary& vocabulary,
               TokenizerParts& parts) {
  const SpecialTokens special(vocabulary, parts.added_tokens);
  std::int64_t vocab_size = parts.model->size();
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
    parts.bos = special.first_of(
        {"<s>", "<|begin_of_text|>", "<bos>", "<|startoftext|>", "<|endoftext|>", "[CLS]"});
    parts.eos = special.first_of({"</s>", "<|end_of_text|>", "<eos>", "<|endoftext|>", "[SEP]"});
  }
  // `add_bos_token` replaces the template, and adds nothing if no `bos_token` is configured.
  parts.adds_bos = decided ? config->get<bool>("add_bos_token") && parts.bos.has_value()
                           : in_template.has_value();
  if (in_template && (!decided || !parts.bos)) parts.bos = in_template;
}

}  // namespace

std::unique_ptr<Tokenizer> read_hf_tokenizer(const JsonObject& document, const JsonObject* config) {
  const JsonObject section = document.object("model");
  HfTextParts text = read_hf_text_parts(document, hf_model_type(section) == "BPE");
  HfModel model = read_hf_model(section, text.byte_level);
  const HfVocabulary& vocabulary = model.vocabulary;
  TokenizerParts parts{.model = std::move(model.model),
                       .added_tokens = read_added_tokens(document, vocabulary),
                       .normalizer = std::move(text.normalizer),
                       .pre_tokenizer = PreTokenizer(std::move(text.stages)),
                       .decode = std::move(text.decode),
                       .bos = {},
                       .eos = {},
                       .adds_bos = false,
                       .other_text = {}};
  for (std::size_t id = 0; id < vocabulary.texts.size(); ++id)
    if (parts.model->piece(static_cast<std::int32_t>(id)).empty())
      parts.other_text.emplace(static_cast<std::int32_t>(id), vocabulary.texts[id]);
  read_ends(document, config, vocabulary, parts);
  return std::make_unique<PipelineTokenizer>(std::move(parts));
}

std::unique_ptr<Tokenizer> open_hf_tokenizer(const std::filesystem::path& tokenizer_json) {
  const JsonObject document = JsonObject::from_file(tokenizer_json, kMaxFileBytes);
  const auto config_path = tokenizer_json.parent_path() / "tokenizer_config.json";
  if (!std::filesystem::exists(config_path)) return read_hf_tokenizer(document, nullptr);
  const JsonObject config = JsonObject::from_file(config_path, kMaxFileBytes);
  return read_hf_tokenizer(document, &config);
}

}  // namespace massact
