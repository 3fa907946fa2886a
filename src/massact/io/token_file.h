// Files of raw token ids as the nanoGPT and llm.c training scripts write them (.bin).
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <vector>

#include "massact/io/mapped_file.h"

namespace massact {

/// How token ids are stored. `automatic`: as an llm.c header says if there is one, otherwise
/// uint16 (nanoGPT has no header).
enum class TokenWidth { automatic, u16, u32 };

/// A mapped token file: only what is read takes memory. Thread-safe.
class TokenFile {
 public:
  /// Throws Error if the size is no multiple of the token's size or not what a header says.
  static TokenFile open(const std::filesystem::path& path,
                        TokenWidth width = TokenWidth::automatic);

  /// Number of tokens.
  std::int64_t size() const { return size_; }

  /// Tokens [first, first + count), which must be inside the file.
  std::vector<std::int64_t> read(std::int64_t first, std::int64_t count) const;

 private:
  std::shared_ptr<const MappedFile> file_;
  std::size_t data_begin_ = 0;
  std::size_t token_bytes_ = 2;
  std::int64_t size_ = 0;
};

}  // namespace massact
