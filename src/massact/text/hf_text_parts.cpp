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
  explicit PreTokenizerReader(HfTextParts& parts) : parts_(parts), options_(parts.pre_tokenizer) {}

  void read(const JsonObject& object) {
    const auto type = object.get<std::string>("type");
    if (type == "Sequence") {
      for (const JsonObject& part : objects_in(object, "pretokenizers")) read(part);
      return;
    }
    require(!parts_.byte_level, object.where("type"),
            "expected ByteLevel to be the last pre-tokenizer, got {:?} behind it", type);
    if (type == "ByteLevel") {
      read_byte_level(object);
    } else if (type == "Metaspace") {
      require_first(object, type);
      options_.metaspace = read_metaspace(object);
      if (object.get_or("split", true))
        add(Regex::literal(options_.metaspace->mark), SplitBehavior::merged_with_next);
    } else if (type == "Split") {
      add(read_split_pattern(object), read_behavior(object), object.get_or("invert", false));
    } else if (type == "Digits") {
      add(Regex("\\p{N}", type), object.get_or("individual_digits", false)
                                     ? SplitBehavior::isolated
                                     : SplitBehavior::contiguous);
    } else if (type == "Punctuation") {
      add(Regex("[\\p{P}$+<=>^`|~]", type), read_behavior(object));
    } else if (type == "WhitespaceSplit") {
      add(Regex("\\s", type), SplitBehavior::removed);
    } else if (type == "Whitespace") {
      add(Regex("\\w+|[^\\w\\s]+", type), SplitBehavior::removed, true);
    } else {
      unsupported(object, "pre-tokenizer", type);
    }
  }

 private:
  void add(Regex pattern, SplitBehavior behavior, bool invert = false) {
    options_.splits.push_back({std::move(pattern), behavior, invert});
  }

  // What changes the text must see all of it, since the words are cut out of the changed text.
  void require_first(const JsonObject& object, std::string_view type) const {
    require(options_.splits.empty() && !options_.metaspace, object.where("type"),
            "expected {} to be the first pre-tokenizer", type);
  }

  void read_byte_level(const JsonObject& object) {
    parts_.byte_level = true;
    if (object.get_or("add_prefix_space", true)) {
      require_first(object, "ByteLevel with add_prefix_space");
      options_.add_prefix_space = true;
    }
    if (object.get_or("use_regex", true))
      add(Regex(kGpt2Pattern, "ByteLevel"), SplitBehavior::isolated);
  }

  HfTextParts& parts_;
  PreTokenizer::Options& options_;
};

void read_decoder(const JsonObject& object, DecodeOptions& decode) {
  const auto type = object.get<std::string>("type");
  if (type == "Sequence") {
    for (const JsonObject& part : objects_in(object, "decoders")) read_decoder(part, decode);
  } else if (type == "Metaspace") {
    const Metaspace metaspace = read_metaspace(object);
    decode.space_mark = metaspace.mark;
    decode.strip_first_space = metaspace.prepend != Metaspace::PrependScheme::never;
  } else if (type == "Replace") {
    const JsonObject pattern = object.object("pattern");
    const auto content = object.get<std::string>("content");
    require(pattern.has("String") && content == " ", object.where("pattern"),
            "expected a decoder that turns a mark into a space, got {:?}", content);
    decode.space_mark = pattern.get<std::string>("String");
  } else if (type == "ByteFallback") {
    decode.byte_tokens = true;
  } else if (type == "Strip") {
    decode.strip_first_space = object.get_or<std::string>("content", " ") == " " &&
                               object.get_or<std::int64_t>("start", 0) > 0;
  } else if (type != "ByteLevel" && type != "Fuse") {
    unsupported(object, "decoder", type);
  }
}

}  // namespace

HfTextParts read_hf_text_parts(const JsonObject& document) {
  HfTextParts parts;
  std::vector<Normalizer::Step> steps;
  if (document.has("normalizer")) read_normalizer(document.object("normalizer"), steps);
  parts.normalizer = Normalizer(std::move(steps));
  if (document.has("pre_tokenizer"))
    PreTokenizerReader(parts).read(document.object("pre_tokenizer"));
  if (document.has("decoder")) read_decoder(document.object("decoder"), parts.decode);
  return parts;
}

}  // namespace massact
