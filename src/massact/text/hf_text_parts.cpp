// The normalizer, pre_tokenizer and decoder sections of a tokenizer.json.
#include "massact/base/error.h"
#include "massact/text/hf_tokenizer.h"

namespace massact {
namespace {

// The objects in array field `name`, each with its own place in error texts.
std::vector<JsonObject> objects_in(const JsonObject& parent, std::string_view name) {
  const nlohmann::json* array = parent.find(name);
  require(array != nullptr && array->is_array(), parent.where(name), "expected an array, got {}",
          array == nullptr ? "nothing" : describe_json(*array));
  std::vector<JsonObject> objects;
  for (std::size_t i = 0; i < array->size(); ++i)
    objects.emplace_back((*array)[i], fmt::format("{}[{}]", parent.where(name), i));
  return objects;
}

[[noreturn]] void unsupported(const JsonObject& object, std::string_view kind,
                              std::string_view type) {
  fail(object.where("type"), "expected a supported {}, got {:?}", kind, type);
}

// `pattern` of Split and Replace: {"String": text} or {"Regex": pattern}.
std::variant<std::string, Regex> read_pattern(const JsonObject& owner) {
  const JsonObject pattern = owner.object("pattern");
  if (!pattern.has("String"))
    return Regex(pattern.get<std::string>("Regex"), pattern.where("Regex"));
  const auto text = pattern.get<std::string>("String");
  require(!text.empty(), pattern.where("String"), "expected a text, got nothing");
  return text;
}

Regex read_split_pattern(const JsonObject& owner) {
  auto pattern = read_pattern(owner);
  if (const auto* text = std::get_if<std::string>(&pattern)) return Regex::literal(*text);
  return std::get<Regex>(std::move(pattern));
}

void read_bert_normalizer(const JsonObject& object, std::vector<Normalizer::Step>& steps) {
  const bool lowercase = object.get_or("lowercase", true);
  if (object.get_or("clean_text", true)) steps.emplace_back(Normalizer::CleanText{});
  if (object.get_or("handle_chinese_chars", true))
    steps.emplace_back(Normalizer::SpaceIdeographs{});
  if (object.get_or("strip_accents", lowercase)) {
    steps.emplace_back(UnicodeForm::nfd);
    steps.emplace_back(Normalizer::StripAccents{.nonspacing_only = true});
  }
  if (lowercase) steps.emplace_back(Normalizer::Lowercase{});
}

void read_normalizer(const JsonObject& object, std::vector<Normalizer::Step>& steps) {
  const auto type = object.get<std::string>("type");
  if (type == "Sequence") {
    for (const JsonObject& part : objects_in(object, "normalizers")) read_normalizer(part, steps);
  } else if (type == "NFC") {
    steps.emplace_back(UnicodeForm::nfc);
  } else if (type == "NFD") {
    steps.emplace_back(UnicodeForm::nfd);
  } else if (type == "NFKC") {
    steps.emplace_back(UnicodeForm::nfkc);
  } else if (type == "NFKD") {
    steps.emplace_back(UnicodeForm::nfkd);
  } else if (type == "Prepend") {
    steps.emplace_back(Normalizer::Prepend{object.get<std::string>("prepend")});
  } else if (type == "Replace") {
    steps.emplace_back(
        Normalizer::Replace{read_pattern(object), object.get<std::string>("content")});
  } else if (type == "Lowercase") {
    steps.emplace_back(Normalizer::Lowercase{});
  } else if (type == "Strip") {
    steps.emplace_back(
        Normalizer::Strip{object.get_or("strip_left", true), object.get_or("strip_right", true)});
  } else if (type == "StripAccents") {
    steps.emplace_back(Normalizer::StripAccents{});
  } else if (type == "ByteLevel") {
    steps.emplace_back(Normalizer::ByteCharacters{});
  } else if (type == "BertNormalizer") {
    read_bert_normalizer(object, steps);
  } else if (type == "Precompiled") {
    const std::string where = object.where("precompiled_charsmap");
    const auto table = object.get<std::string>("precompiled_charsmap");
    steps.emplace_back(Charsmap(bytes_of_base64(table, where), where));
  } else {
    unsupported(object, "normalizer", type);
  }
}

SplitBehavior read_behavior(const JsonObject& object) {
  const auto name = object.get_or<std::string>("behavior", "Isolated");
  if (name == "Isolated") return SplitBehavior::isolated;
  if (name == "Removed") return SplitBehavior::removed;
  if (name == "Contiguous") return SplitBehavior::contiguous;
  if (name == "MergedWithPrevious") return SplitBehavior::merged_with_previous;
  if (name == "MergedWithNext") return SplitBehavior::merged_with_next;
  fail(object.where("behavior"), "expected a split behaviour of HF tokenizers, got {:?}", name);
}

Metaspace read_metaspace(const JsonObject& object) {
  Metaspace metaspace;
  metaspace.mark = object.get_or<std::string>("replacement", metaspace.mark);
  require(!metaspace.mark.empty(), object.where("replacement"),
          "expected a character, got nothing");
  if (object.has("prepend_scheme")) {
    const auto scheme = object.get<std::string>("prepend_scheme");
    if (scheme == "first") {
      metaspace.prepend = Metaspace::PrependScheme::first;
    } else if (scheme == "never") {
      metaspace.prepend = Metaspace::PrependScheme::never;
    } else {
      require(scheme == "always", object.where("prepend_scheme"),
              "expected always, first or never, got {:?}", scheme);
    }
  } else if (!object.get_or("add_prefix_space", true)) {  // files of older versions
    metaspace.prepend = Metaspace::PrependScheme::never;
  }
  return metaspace;
}

class PreTokenizerReader {
 public:
  void read(const JsonObject& object) {
    const auto type = object.get<std::string>("type");
    if (type == "Sequence") {
      for (const JsonObject& part : objects_in(object, "pretokenizers")) read(part);
    } else if (type == "ByteLevel") {
      if (object.get_or("add_prefix_space", true)) change(PrefixSpace{});
      if (object.get_or("use_regex", true))
        add(Regex(kGpt2Pattern, "ByteLevel"), SplitBehavior::isolated);
      change(ByteCharacters{});
    } else if (type == "Metaspace") {
      const Metaspace metaspace = read_metaspace(object);
      change(metaspace);
      if (object.get_or("split", true))
        add(Regex::literal(metaspace.mark), SplitBehavior::merged_with_next);
    } else if (type == "Split") {
      add(read_split_pattern(object), read_behavior(object), object.get_or("invert", false));
    } else if (!read_simple(object, type)) {
      unsupported(object, "pre-tokenizer", type);
    }
  }

  // True if the last thing done was to write bytes as visible characters, which is then dropped.
  bool take_last_byte_characters() {
    if (stages_.empty() || !stages_.back().splits.empty()) return false;
    auto& changes = stages_.back().changes;
    if (!std::holds_alternative<ByteCharacters>(changes.back())) return false;
    changes.pop_back();
    if (changes.empty()) stages_.pop_back();
    return true;
  }

  bool writes_byte_characters() const {
    for (const auto& stage : stages_)
      for (const auto& change : stage.changes)
        if (std::holds_alternative<ByteCharacters>(change)) return true;
    return false;
  }

  std::vector<PreTokenizer::Stage> take() { return std::move(stages_); }

 private:
  template <typename Change>
  void change(Change change) {
    if (stages_.empty() || !stages_.back().splits.empty()) stages_.emplace_back();
    stages_.back().changes.emplace_back(std::move(change));
  }

  void add(Regex pattern, SplitBehavior behavior, bool invert = false) {
    if (stages_.empty()) stages_.emplace_back();
    stages_.back().splits.push_back({std::move(pattern), behavior, invert});
  }

  // Those that cut by a class of characters; false if `type` is none of them.
  bool read_simple(const JsonObject& object, std::string_view type) {
    constexpr std::string_view kPunctuation = "[\\p{P}$+<=>^`|~]";
    constexpr std::string_view kSpace = "\\s";
    // Word characters of Rust's regular expressions, which are not Oniguruma's.
    constexpr std::string_view kWord = "\\p{Alphabetic}\\p{M}\\p{Nd}\\p{Pc}\\x{200C}\\x{200D}";
    if (type == "Digits") {
      add(Regex("\\p{N}", type), object.get_or("individual_digits", false)
                                     ? SplitBehavior::isolated
                                     : SplitBehavior::contiguous);
    } else if (type == "Punctuation") {
      add(Regex(kPunctuation, type), read_behavior(object));
    } else if (type == "WhitespaceSplit") {
      add(Regex(kSpace, type), SplitBehavior::removed);
    } else if (type == "Whitespace") {
      add(Regex(fmt::format("[{0}]+|[^{0}\\s]+", kWord), type), SplitBehavior::removed, true);
    } else if (type == "BertPreTokenizer") {
      add(Regex(kSpace, type), SplitBehavior::removed);
      add(Regex(kPunctuation, type), SplitBehavior::isolated);
    } else if (type == "CharDelimiterSplit") {
      const auto delimiter = object.get<std::string>("delimiter");
      require(!delimiter.empty(), object.where("delimiter"), "expected a character, got nothing");
      add(Regex::literal(delimiter), SplitBehavior::removed);
    } else {
      return false;
    }
    return true;
  }

  std::vector<PreTokenizer::Stage> stages_;
};

void read_decoder(const JsonObject& object, DecodeOptions& decode) {
  const auto type = object.get<std::string>("type");
  if (type == "Sequence") {
    for (const JsonObject& part : objects_in(object, "decoders")) read_decoder(part, decode);
  } else if (type == "Metaspace") {
    const Metaspace metaspace = read_metaspace(object);
    decode.replacements.emplace_back(metaspace.mark, " ");
    decode.strip_first_space = metaspace.prepend != Metaspace::PrependScheme::never;
  } else if (type == "Replace") {
    const auto pattern = read_pattern(object);
    const auto* text = std::get_if<std::string>(&pattern);
    require(text != nullptr, object.where("pattern"),
            "expected a decoder that replaces a text, got a regular expression");
    decode.replacements.emplace_back(*text, object.get<std::string>("content"));
  } else if (type == "ByteFallback") {
    decode.byte_tokens = true;
  } else if (type == "ByteLevel") {
    decode.byte_characters = true;
  } else if (type == "Strip") {
    decode.strip_first_space = object.get_or<std::string>("content", " ") == " " &&
                               object.get_or<std::int64_t>("start", 0) > 0;
  } else if (type == "WordPiece") {
    decode.inner_prefix = object.get_or<std::string>("prefix", "##");
    decode.strip_first_space = true;
  } else if (type == "BPEDecoder") {
    decode.word_end = object.get_or<std::string>("suffix", "</w>");
  } else if (type != "Fuse") {
    unsupported(object, "decoder", type);
  }
}

}  // namespace

HfTextParts read_hf_text_parts(const JsonObject& document, bool takes_bytes) {
  HfTextParts parts;
  std::vector<Normalizer::Step> steps;
  if (document.has("normalizer")) read_normalizer(document.object("normalizer"), steps);
  parts.normalizer = Normalizer(std::move(steps));
  if (document.has("decoder")) read_decoder(document.object("decoder"), parts.decode);
  if (!document.has("pre_tokenizer")) return parts;
  PreTokenizerReader reader;
  reader.read(document.object("pre_tokenizer"));
  const bool visible = reader.writes_byte_characters();
  parts.byte_level = takes_bytes && reader.take_last_byte_characters();
  parts.stages = reader.take();
  parts.decode.byte_characters = (visible || parts.decode.byte_characters) && !parts.byte_level;
  // CLIP's files decode as ByteLevel, which would leave the marks of words' ends.
  const JsonObject model = document.object("model");
  if (parts.decode.word_end.empty())
    parts.decode.word_end = model.get_or<std::string>("end_of_word_suffix", "");
  return parts;
}

}  // namespace massact
