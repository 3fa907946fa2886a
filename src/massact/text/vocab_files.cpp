#include "massact/text/vocab_files.h"

#include <zlib.h>

#include <algorithm>
#include <array>
#include <vector>

#include "massact/base/error.h"
#include "massact/io/json.h"
#include "massact/text/byte_level.h"
#include "massact/text/hf_tokenizer.h"
#include "massact/text/pre_tokenizer.h"
#include "massact/text/utf8.h"

namespace massact {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

constexpr std::uint64_t kMaxFileBytes = 64ull << 20;
constexpr std::size_t kClipMerges = 48894;
constexpr std::string_view kClipStart = "<|startoftext|>";
constexpr std::string_view kClipEnd = "<|endoftext|>";
constexpr std::string_view kClipPattern =
    R"(<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+)";

// The merges of a merges.txt: its lines but for empty ones and, at the top, the version.
std::vector<std::string> merge_lines(std::string_view text) {
  std::vector<std::string> lines;
  while (!text.empty()) {
    const auto end = std::min(text.find('\n'), text.size());
    std::string_view line = text.substr(0, end);
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (!line.empty() && (!lines.empty() || line.find("#version") == std::string_view::npos))
      lines.emplace_back(line);
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return lines;
}

json split_by(std::string_view pattern, std::string_view behavior, bool invert) {
  return {{"type", "Split"},
          {"pattern", {{"Regex", pattern}}},
          {"behavior", behavior},
          {"invert", invert}};
}

json byte_level(bool add_prefix_space, bool use_regex) {
  return {{"type", "ByteLevel"}, {"add_prefix_space", add_prefix_space}, {"use_regex", use_regex}};
}

json sequence(std::string_view kind, json parts) {
  return {{"type", "Sequence"}, {kind, std::move(parts)}};
}

json byte_level_document(json vocabulary, const std::vector<std::string>& merges) {
  return {{"model", {{"type", "BPE"}, {"vocab", std::move(vocabulary)}, {"merges", merges}}},
          {"decoder", {{"type", "ByteLevel"}}},
          {"added_tokens", json::array()}};
}

void make_clip(json& document) {
  const json spaces = {{"type", "Replace"}, {"pattern", {{"Regex", "\\s+"}}}, {"content", " "}};
  document["normalizer"] =
      sequence("normalizers", json::array({{{"type", "NFC"}}, spaces, {{"type", "Lowercase"}}}));
  document["pre_tokenizer"] =
      sequence("pretokenizers",
               json::array({split_by(kClipPattern, "Removed", true), byte_level(false, true)}));
  document["model"]["end_of_word_suffix"] = "</w>";
}

// What the classes of HF transformers do to the text; `config` is null or tokenizer_config.json.
void add_pipeline(const JsonObject* config, json& document) {
  constexpr std::string_view kFast = "Fast";
  std::string type = "GPT2Tokenizer";
  if (config != nullptr) type = config->get_or<std::string>("tokenizer_class", type);
  if (type.ends_with(kFast)) type.resize(type.size() - kFast.size());
  const bool prefix = config != nullptr && config->get_or("add_prefix_space", false);
  if (type == "CLIPTokenizer") {
    make_clip(document);
  } else if (type == "Qwen2Tokenizer") {
    document["normalizer"] = {{"type", "NFC"}};
    document["pre_tokenizer"] = sequence(
        "pretokenizers",
        json::array({split_by(kQwen2Pattern, "Isolated", false), byte_level(prefix, false)}));
  } else {
    if (type != "GPT2Tokenizer" && type != "CodeGenTokenizer" && type != "RobertaTokenizer")
      fail(config->where("tokenizer_class"),
           "expected GPT2Tokenizer, CodeGenTokenizer, RobertaTokenizer, Qwen2Tokenizer or "
           "CLIPTokenizer for a vocab.json with merges.txt, got {:?} (convert it to a "
           "tokenizer.json)",
           type);
    document["pre_tokenizer"] = byte_level(prefix, true);
  }
}

class SpecialTokenFiles {
 public:
  explicit SpecialTokenFiles(json& document)
      : document_(document), vocabulary_(document["model"]["vocab"]) {}

  // added_tokens.json: an object of contents and ids.
  void add_ids(const JsonObject& file) {
    for (const std::string& content : file.keys())
      add(content, json(file.get<std::int64_t>(content)), false);
  }

  // `added_tokens_decoder` of a tokenizer_config.json: an object of ids and tokens.
  void add_decoder(const JsonObject& config) {
    if (!config.has("added_tokens_decoder")) return;
    const JsonObject tokens = config.object("added_tokens_decoder");
    for (const std::string& id : tokens.keys()) {
      require(
          !id.empty() && id.size() < 10 && id.find_first_not_of("0123456789") == std::string::npos,
          tokens.where(id), "expected a token id as the field's name");
      const JsonObject token = tokens.object(id);
      json& added = add(token.get<std::string>("content"), json(std::stoll(id)), false);
      for (const char* flag : {"special", "single_word", "lstrip", "rstrip", "normalized"})
        if (token.has(flag)) added[flag] = token.get<bool>(flag);
    }
  }

  // bos_token and its like: a text, or an object with it; only those that have an id count.
  void add_named(const JsonObject& file) {
    for (const char* name : {"bos_token", "eos_token", "unk_token", "pad_token", "sep_token",
                             "cls_token", "mask_token"}) {
      const json* value = file.find(name);
      if (value == nullptr || (!value->is_string() && !value->is_object())) continue;
      const auto content = value->is_string() ? file.get<std::string>(name)
                                              : file.object(name).get<std::string>("content");
      if (const auto it = vocabulary_.find(content); it != vocabulary_.end())
        add(content, *it, true);
    }
  }

 private:
  json& add(const std::string& content, const json& id, bool special) {
    for (json& token : document_["added_tokens"])
      if (token["content"] == content) return token;
    document_["added_tokens"].push_back(
        {{"content", content},
         {"id", id.is_number_integer() ? json(id.get<std::uint64_t>()) : id},
         {"special", special},
         {"normalized", false}});
    return document_["added_tokens"].back();
  }

  json& document_;
  json vocabulary_;
};

// The contents of a file, which may be gzipped.
std::string read_maybe_gzipped(const fs::path& path) {
  gzFile file = gzopen(path.c_str(), "rb");
  require(file != nullptr, path.string(), "expected a file that can be read");
  std::string text;
  std::array<char, 1 << 16> buffer;
  int count = 0;
  while ((count = gzread(file, buffer.data(), buffer.size())) > 0 && text.size() <= kMaxFileBytes)
    text.append(buffer.data(), static_cast<std::size_t>(count));
  const bool complete = gzclose(file) == Z_OK && count == 0;
  require(complete && text.size() <= kMaxFileBytes, path.string(),
          "expected a whole text of at most {} bytes", kMaxFileBytes);
  return text;
}

}  // namespace

std::unique_ptr<Tokenizer> open_vocab_files(const fs::path& directory) {
  const fs::path vocab = directory / "vocab.json";
  const std::string merges = read_text_file(directory / "merges.txt", kMaxFileBytes);
  require(is_valid_utf8(merges), (directory / "merges.txt").string(), "expected UTF-8");
  json document = byte_level_document(
      parse_json(read_text_file(vocab, kMaxFileBytes), vocab.string()), merge_lines(merges));
  std::optional<JsonObject> config;
  if (fs::exists(directory / "tokenizer_config.json"))
    config = JsonObject::from_file(directory / "tokenizer_config.json", kMaxFileBytes);
  add_pipeline(config ? &*config : nullptr, document);
  SpecialTokenFiles special(document);
  if (config) special.add_decoder(*config);
  if (config) special.add_named(*config);
  if (fs::exists(directory / "special_tokens_map.json"))
    special.add_named(JsonObject::from_file(directory / "special_tokens_map.json", kMaxFileBytes));
  if (fs::exists(directory / "added_tokens.json"))
    special.add_ids(JsonObject::from_file(directory / "added_tokens.json", kMaxFileBytes));
  return read_hf_tokenizer(JsonObject(std::move(document), vocab.string()),
                           config ? &*config : nullptr);
}

std::unique_ptr<Tokenizer> open_clip_vocabulary(const fs::path& file) {
  const std::string text = read_maybe_gzipped(file);
  require(is_valid_utf8(text), file.string(), "expected UTF-8");
  std::vector<std::string> merges = merge_lines(text);
  require(merges.size() >= kClipMerges, file.string(), "expected at least {} merges, got {}",
          kClipMerges, merges.size());
  merges.resize(kClipMerges);  // the file has more; CLIP stops here
  std::vector<std::string> tokens = byte_level_alphabet();
  for (std::size_t i = 0; i < 256; ++i) tokens.push_back(tokens[i] + "</w>");
  for (const std::string& merge : merges) tokens.push_back(replaced(merge, " ", ""));
  tokens.emplace_back(kClipStart);
  tokens.emplace_back(kClipEnd);
  json vocabulary = json::object();
  for (std::size_t id = 0; id < tokens.size(); ++id) vocabulary[tokens[id]] = id;
  require(vocabulary.size() == tokens.size(), file.string(),
          "expected merges into different tokens");
  json document = byte_level_document(std::move(vocabulary), merges);
  make_clip(document);
  document["model"]["unk_token"] = kClipEnd;
  for (std::size_t id = tokens.size() - 2; id < tokens.size(); ++id)
    document["added_tokens"].push_back(
        {{"content", tokens[id]}, {"id", id}, {"special", true}, {"normalized", false}});
  const json config = {{"add_bos_token", true}, {"bos_token", kClipStart}, {"eos_token", kClipEnd}};
  const JsonObject settings(config, file.string());
  return read_hf_tokenizer(JsonObject(std::move(document), file.string()), &settings);
}

}  // namespace massact
