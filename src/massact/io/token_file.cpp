#include "massact/io/token_file.h"

#include <optional>

#include "massact/base/error.h"
#include "massact/io/little_endian.h"

namespace massact {
namespace {

// llm.c: 256 int32 (magic, version, number of tokens, zeros), then the tokens.
constexpr std::size_t kHeaderBytes = 256 * sizeof(std::int32_t);
constexpr std::int32_t kMagic16 = 20240520;
constexpr std::int32_t kMagic32 = 20240801;

bool has_header(std::span<const std::byte> file) {
  if (file.size() < kHeaderBytes) return false;
  const auto magic = load_little_endian<std::int32_t>(file, 0);
  return magic == kMagic16 || magic == kMagic32;
}

}  // namespace

TokenFile TokenFile::open(const std::filesystem::path& path, TokenWidth width) {
  TokenFile tokens;
  tokens.file_ = MappedFile::open(path);
  const auto bytes = tokens.file_->bytes();
  std::optional<std::int64_t> announced;
  tokens.token_bytes_ = width == TokenWidth::u32 ? 4 : 2;
  if (width == TokenWidth::automatic && has_header(bytes)) {
    tokens.token_bytes_ = load_little_endian<std::int32_t>(bytes, 0) == kMagic32 ? 4 : 2;
    tokens.data_begin_ = kHeaderBytes;
    announced = load_little_endian<std::int32_t>(bytes, 2 * sizeof(std::int32_t));
  }
  const std::size_t data = bytes.size() - tokens.data_begin_;
  require(data % tokens.token_bytes_ == 0, path.string(),
          "expected a multiple of {} bytes of tokens, got {} bytes", tokens.token_bytes_, data);
  tokens.size_ = static_cast<std::int64_t>(data / tokens.token_bytes_);
  require(!announced || *announced == tokens.size_, path.string(),
          "expected the {} tokens that the header announces, got {}", announced.value_or(0),
          tokens.size_);
  return tokens;
}

std::vector<std::int64_t> TokenFile::read(std::int64_t first, std::int64_t count) const {
  require(first >= 0 && count >= 0 && first <= size_ && count <= size_ - first,
          file_->path().string(), "expected a range inside {} tokens, got {} tokens from token {}",
          size_, count, first);
  std::vector<std::int64_t> tokens(static_cast<std::size_t>(count));
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    const std::size_t at = data_begin_ + (static_cast<std::size_t>(first) + i) * token_bytes_;
    tokens[i] = token_bytes_ == 4 ? load_little_endian<std::uint32_t>(file_->bytes(), at)
                                  : load_little_endian<std::uint16_t>(file_->bytes(), at);
  }
  return tokens;
}

}  // namespace massact
