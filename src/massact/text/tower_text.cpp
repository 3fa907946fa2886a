#include "massact/text/tower_text.h"

#include <algorithm>
#include <optional>

#include "massact/base/error.h"
#include "massact/io/json.h"
#include "massact/text/normalizer.h"
#include "massact/text/utf8.h"

namespace massact {
namespace {

constexpr std::uint64_t kMaxConfigBytes = 16u << 20;
// Python's string.punctuation.
constexpr std::string_view kPunctuation = R"(!"#$%&'()*+,-./:;<=>?@[\]^_`{|}~)";

std::int32_t required_token(std::optional<std::int32_t> token, const char* what) {
  require(token.has_value(), "tokenizer",
          "expected a token that {} a text, got a tokenizer without", what);
  return *token;
}

std::string lower_case(std::string_view text) {
  static const Normalizer kLower = [] {
    std::vector<Normalizer::Step> steps;
    steps.emplace_back(Normalizer::Lowercase{});
    return Normalizer(std::move(steps));
  }();
  return std::string(kLower.apply(AlignedText(text)).view());
}

std::vector<std::int32_t> first_ids(const Tokenizer& tokenizer, std::string_view text,
                                    std::int64_t count) {
  std::vector<std::int32_t> ids = tokenizer.encode(text, count).ids;
  if (std::ssize(ids) > count) ids.resize(static_cast<std::size_t>(count));
  return ids;
}

// The padding token of a tokenizer_config.json; a text, or an object with `content`.
std::int32_t pad_token(const JsonObject& config, const Tokenizer& tokenizer) {
  const nlohmann::json* field = config.find("pad_token");
  if (field == nullptr) return required_token(tokenizer.eos(), "ends");
  const std::string text = field->is_object()
                               ? config.object("pad_token").get<std::string>("content")
                               : config.get<std::string>("pad_token");
  // Special tokens of a sentencepiece model cannot be written in a text.
  if (tokenizer.eos() && tokenizer.token_text(*tokenizer.eos()) == text) return *tokenizer.eos();
  const auto ids = tokenizer.encode(text).ids;
  require(ids.size() == 1, config.where("pad_token"),
          "expected one of the tokenizer's tokens, got \"{}\"", text);
  return ids.front();
}

}  // namespace

std::vector<std::int32_t> clip_ids(const Tokenizer& tokenizer, std::string_view text,
                                   std::int64_t length) {
  std::vector<std::int32_t> ids = {required_token(tokenizer.bos(), "begins")};
  const auto inner = first_ids(tokenizer, text, std::max<std::int64_t>(length - 2, 0));
  ids.insert(ids.end(), inner.begin(), inner.end());
  ids.push_back(required_token(tokenizer.eos(), "ends"));
  return ids;
}

SiglipText SiglipText::read(const std::filesystem::path& folder, const Tokenizer& tokenizer) {
  SiglipText settings;
  const auto path = folder / "tokenizer_config.json";
  if (!std::filesystem::exists(path)) {
    settings.pad = required_token(tokenizer.eos(), "ends");
    return settings;
  }
  const JsonObject config = JsonObject::from_file(path, kMaxConfigBytes);
  const auto type = config.get_or<std::string>("tokenizer_class", "SiglipTokenizer");
  settings.drops_punctuation = type.starts_with("SiglipTokenizer");
  settings.pad = pad_token(config, tokenizer);
  require(config.get_or<std::string>("padding_side", "right") == "right",
          config.where("padding_side"), "expected padding on the right");
  return settings;
}

std::string siglip_canonical(std::string_view text, bool drops_punctuation) {
  const std::string lower = lower_case(text);
  if (!drops_punctuation) return lower;
  std::string result;
  for (std::size_t at = 0; at < lower.size();) {
    const std::size_t begin = at;
    const bool space = is_white_space(next_character(lower, at));
    const std::string_view character = std::string_view(lower).substr(begin, at - begin);
    if (space) {
      if (!result.empty() && !result.ends_with(' ')) result += ' ';
    } else if (kPunctuation.find(character) == std::string_view::npos) {
      result += character;
    }
  }
  if (result.ends_with(' ')) result.pop_back();
  return result;
}

std::vector<std::int32_t> siglip_ids(const Tokenizer& tokenizer, const SiglipText& settings,
                                     std::string_view text, std::int64_t length) {
  const std::string canonical = siglip_canonical(text, settings.drops_punctuation);
  std::vector<std::int32_t> ids = first_ids(tokenizer, canonical, length - 1);
  ids.push_back(required_token(tokenizer.eos(), "ends"));
  ids.resize(static_cast<std::size_t>(length), settings.pad);
  return ids;
}

}  // namespace massact
