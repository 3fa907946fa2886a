#include "massact/text/gguf_tokenizer.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "massact/base/error.h"
#include "massact/io/gguf.h"
#include "massact/text/bpe.h"
#include "massact/text/byte_level.h"
#include "massact/text/gguf_splitting.h"
#include "massact/text/merges.h"
#include "massact/text/pipeline_tokenizer.h"
#include "massact/text/utf8.h"

namespace massact {
namespace {

enum TokenType : std::int64_t { kNormal = 1, kUnknown = 2, kControl = 3, kUserDefined = 4 };

// Checks what the vocabulary's arrays promise each other.
void check(const GgufVocabulary& vocabulary, std::string_view where) {
  const std::size_t size = vocabulary.tokens.size();
  const auto at = [&](std::string_view field) {
    return fmt::format("{}: tokenizer.ggml.{}", where, field);
  };
  require(size > 0 && size < (1u << 30), at("tokens"), "expected tokens, got {}", size);
  require(vocabulary.types.empty() || vocabulary.types.size() == size, at("token_type"),
          "expected {} entries, got {}", size, vocabulary.types.size());
  for (std::size_t id = 0; id < size; ++id)
    if (!is_valid_utf8(vocabulary.tokens[id]))
      fail(at("tokens"), "expected UTF-8, got {} for token {}", printable(vocabulary.tokens[id]),
           id);
  const std::array<std::pair<std::string_view, std::optional<std::int64_t>>, 3> specials = {
      {{"bos_token_id", vocabulary.bos},
       {"eos_token_id", vocabulary.eos},
       {"unknown_token_id", vocabulary.unknown}}};
  for (const auto& [field, id] : specials)
    require(!id || (*id >= 0 && *id < static_cast<std::int64_t>(size)), at(field),
            "expected an id below {}, got {}", size, id.value_or(0));
}

std::int64_t type_of(const GgufVocabulary& vocabulary, std::size_t id) {
  return vocabulary.types.empty() ? kNormal : vocabulary.types[id];
}

std::vector<AddedToken> special_tokens(const GgufVocabulary& vocabulary) {
  std::vector<AddedToken> tokens;
  for (std::size_t id = 0; id < vocabulary.tokens.size(); ++id) {
    const std::int64_t type = type_of(vocabulary, id);
    if (type == kControl || type == kUserDefined)
      tokens.push_back({.content = vocabulary.tokens[id], .id = static_cast<std::int32_t>(id)});
  }
  return tokens;
}

std::optional<std::int32_t> narrow_id(std::optional<std::int64_t> id) {
  if (!id) return std::nullopt;
  return static_cast<std::int32_t>(*id);
}

std::unique_ptr<Tokenizer> make_byte_level(const GgufVocabulary& vocabulary,
                                           std::string_view where) {
  const GgufSplitting splitting =
      gguf_splitting(vocabulary.pre, fmt::format("{}: tokenizer.ggml.pre", where));
  IdsByText ids;
  std::vector<std::string> pieces;
  std::unordered_map<std::int32_t, std::string> other_text;
  for (std::size_t id = 0; id < vocabulary.tokens.size(); ++id) {
    const std::string& text = vocabulary.tokens[id];
    ids.try_emplace(text, static_cast<std::int32_t>(id));
    const bool normal = type_of(vocabulary, id) == kNormal;
    pieces.push_back(normal ? bytes_of_byte_level(text).value_or("") : "");
    if (pieces.back().empty()) other_text.emplace(static_cast<std::int32_t>(id), text);
  }
  const std::string merges_place = fmt::format("{}: tokenizer.ggml.merges", where);
  MergeList merges(ids, merges_place);
  for (const std::string& merge : vocabulary.merges) {
    const auto [left, right] = split_merge(merge, merges_place);
    merges.add(left, right);
  }
  BpeModel::Options options;
  options.byte_level = true;
  options.ignore_merges = splitting.ignore_merges;
  std::vector<PreTokenizer::Stage> stages(1);
  for (const std::string_view pattern : splitting.patterns)
    stages[0].splits.push_back({Regex(pattern, vocabulary.pre)});
  return std::make_unique<PipelineTokenizer>(TokenizerParts{
      .model = std::make_unique<BpeModel>(std::move(pieces), merges.merges(), options),
      .added_tokens = special_tokens(vocabulary),
      .normalizer = {},
      .pre_tokenizer = PreTokenizer(std::move(stages)),
      .decode = {},
      .bos = narrow_id(vocabulary.bos),
      .eos = narrow_id(vocabulary.eos),
      .adds_bos = vocabulary.bos && vocabulary.add_bos.value_or(splitting.adds_bos),
      .other_text = std::move(other_text)});
}

std::unique_ptr<Tokenizer> make_scored(const GgufVocabulary& vocabulary, std::string_view where) {
  const std::size_t size = vocabulary.tokens.size();
  const std::string place = fmt::format("{}: tokenizer.ggml.scores", where);
  require(vocabulary.scores.size() == size, place, "expected {} scores, got {}", size,
          vocabulary.scores.size());
  for (const float score : vocabulary.scores)
    require(std::isfinite(score), place, "expected finite scores, got {}", score);
  std::vector<bool> mergeable(size);
  for (std::size_t id = 0; id < size; ++id) {
    const std::int64_t type = type_of(vocabulary, id);
    mergeable[id] = type == kNormal || type == kUserDefined;
  }
  constexpr std::string_view kMark = "\u2581";
  BpeModel::Options options;
  options.byte_fallback = true;
  options.unknown = narrow_id(vocabulary.unknown);
  std::vector<Normalizer::Step> steps;
  if (vocabulary.add_space_prefix) steps.emplace_back(Normalizer::Prepend{" "});
  steps.emplace_back(Normalizer::Replace{" ", std::string(kMark)});
  return std::make_unique<PipelineTokenizer>(
      TokenizerParts{.model = std::make_unique<BpeModel>(BpeModel::from_scores(
                         vocabulary.tokens, vocabulary.scores, mergeable, options)),
                     .added_tokens = special_tokens(vocabulary),
                     .normalizer = Normalizer(std::move(steps)),
                     .pre_tokenizer = {},
                     .decode = {.replacements = {{std::string(kMark), " "}},
                                .byte_tokens = true,
                                .strip_first_space = vocabulary.add_space_prefix},
                     .bos = narrow_id(vocabulary.bos),
                     .eos = narrow_id(vocabulary.eos),
                     .adds_bos = vocabulary.bos && vocabulary.add_bos.value_or(true),
                     .other_text = {}});
}

}  // namespace

GgufVocabulary read_gguf_vocabulary(const GgufMetadata& metadata) {
  const auto key = [](std::string_view name) { return fmt::format("tokenizer.ggml.{}", name); };
  const auto id = [&](std::string_view name) -> std::optional<std::int64_t> {
    if (!metadata.has(key(name))) return std::nullopt;
    return metadata.get<std::int64_t>(key(name));
  };
  GgufVocabulary vocabulary;
  vocabulary.model = metadata.get<std::string>(key("model"));
  vocabulary.pre = metadata.get_or<std::string>(key("pre"), "");
  vocabulary.tokens = metadata.get<std::vector<std::string>>(key("tokens"));
  vocabulary.scores = metadata.get_or<std::vector<float>>(key("scores"), {});
  vocabulary.types = metadata.get_or<std::vector<std::int64_t>>(key("token_type"), {});
  vocabulary.merges = metadata.get_or<std::vector<std::string>>(key("merges"), {});
  vocabulary.bos = id("bos_token_id");
  vocabulary.eos = id("eos_token_id");
  vocabulary.unknown = id("unknown_token_id");
  if (vocabulary.model == "llama") {  // ids that sentencepiece models have unless a field says so
    if (!vocabulary.bos) vocabulary.bos = 1;
    if (!vocabulary.eos) vocabulary.eos = 2;
    if (!vocabulary.unknown) vocabulary.unknown = 0;
  }
  if (metadata.has(key("add_bos_token")))
    vocabulary.add_bos = metadata.get<bool>(key("add_bos_token"));
  vocabulary.add_space_prefix = metadata.get_or(key("add_space_prefix"), true);
  return vocabulary;
}

std::unique_ptr<Tokenizer> make_gguf_tokenizer(const GgufVocabulary& vocabulary,
                                               std::string_view where) {
  check(vocabulary, where);
  if (vocabulary.model == "gpt2") return make_byte_level(vocabulary, where);
  if (vocabulary.model == "llama") return make_scored(vocabulary, where);
  fail(fmt::format("{}: tokenizer.ggml.model", where), "expected \"gpt2\" or \"llama\", got {:?}",
       vocabulary.model);
}

std::unique_ptr<Tokenizer> open_gguf_tokenizer(const std::filesystem::path& path) {
  return make_gguf_tokenizer(read_gguf_vocabulary(open_gguf(path)->metadata()), path.string());
}

}  // namespace massact
