#include "massact/text/llama2c_tokenizer.h"

#include <cmath>

#include "massact/base/error.h"
#include "massact/io/little_endian.h"
#include "massact/io/mapped_file.h"
#include "massact/text/bpe.h"
#include "massact/text/pipeline_tokenizer.h"
#include "massact/text/utf8.h"

namespace massact {
namespace {

constexpr std::int32_t kBos = 1;
constexpr std::int32_t kEos = 2;
constexpr std::int32_t kFirstByte = 3;
constexpr std::int32_t kLongestToken = 4096;

struct ScoredPieces {
  std::vector<std::string> pieces;
  std::vector<float> scores;
};

ScoredPieces read_pieces(std::span<const std::byte> bytes, std::string_view where) {
  require(bytes.size() >= 4, where, "expected a llama2.c tokenizer, got {} bytes", bytes.size());
  const auto longest = load_little_endian<std::int32_t>(bytes, 0);
  require(longest > 0 && longest <= kLongestToken, where,
          "expected a longest token of 1 to {} bytes, got {}", kLongestToken, longest);
  ScoredPieces vocabulary;
  std::size_t at = 4;
  while (at < bytes.size()) {
    const std::size_t id = vocabulary.pieces.size();
    require(bytes.size() - at >= 8, where,
            "expected a score and a length for token {} at byte {}, "
            "got the end of the file",
            id, at);
    const auto score = load_little_endian<float>(bytes, at);
    const auto length = load_little_endian<std::int32_t>(bytes, at + 4);
    at += 8;
    require(std::isfinite(score), where, "expected a finite score for token {}, got {}", id, score);
    require(length >= 0 && length <= kLongestToken &&
                static_cast<std::size_t>(length) <= bytes.size() - at,
            where, "expected token {} to have at most {} bytes that are in the file, got {}", id,
            kLongestToken, length);
    const auto text = bytes.subspan(at, static_cast<std::size_t>(length));
    vocabulary.pieces.emplace_back(reinterpret_cast<const char*>(text.data()), text.size());
    require(is_valid_utf8(vocabulary.pieces.back()), where, "expected token {} to be UTF-8", id);
    vocabulary.scores.push_back(score);
    at += static_cast<std::size_t>(length);
  }
  require(vocabulary.pieces.size() >= kFirstByte + 256, where,
          "expected at least {} tokens (three special ones and the bytes), got {}",
          kFirstByte + 256, vocabulary.pieces.size());
  for (int byte = 0; byte < 256; ++byte) {
    const std::string& piece = vocabulary.pieces[static_cast<std::size_t>(kFirstByte + byte)];
    require(byte_of_token(piece) == byte, where, "expected token {} to be {}, got {:?}",
            kFirstByte + byte, byte_token(static_cast<unsigned char>(byte)), piece);
  }
  return vocabulary;
}

}  // namespace

std::unique_ptr<Tokenizer> read_llama2c_tokenizer(std::span<const std::byte> bytes,
                                                  std::string_view where) {
  ScoredPieces vocabulary = read_pieces(bytes, where);
  // The special tokens stand in the file with line breaks around them, for llama2.c's output.
  for (std::int32_t id = 0; id < kFirstByte; ++id)
    vocabulary.pieces[static_cast<std::size_t>(id)].clear();
  const std::vector<bool> mergeable(vocabulary.pieces.size(), true);
  BpeModel::Options options;
  options.byte_fallback = true;
  std::vector<Normalizer::Step> steps;
  steps.emplace_back(Normalizer::Prepend{" "});
  return std::make_unique<PipelineTokenizer>(
      TokenizerParts{.model = std::make_unique<BpeModel>(BpeModel::from_scores(
                         std::move(vocabulary.pieces), vocabulary.scores, mergeable, options)),
                     .added_tokens = {},
                     .normalizer = Normalizer(std::move(steps)),
                     .pre_tokenizer = {},
                     .decode = {.byte_tokens = true, .strip_first_space = true},
                     .bos = kBos,
                     .eos = kEos,
                     .adds_bos = true,
                     .other_text = {{0, "<unk>"}, {kBos, "<s>"}, {kEos, "</s>"}}});
}

std::unique_ptr<Tokenizer> open_llama2c_tokenizer(const std::filesystem::path& path) {
  const auto file = MappedFile::open(path);
  return read_llama2c_tokenizer(file->bytes(), path.string());
}

}  // namespace massact
