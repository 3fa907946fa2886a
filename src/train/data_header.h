// The folder that `prepare` writes and `run` reads: nanoGPT's token files (plain uint16 or uint32
// ids), the tokenizer, and data.json, which says what they must be. Without libtorch.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "massact/io/token_file.h"

namespace massact::train {

/// data.json: what the token files beside it must be.
struct DataHeader {
  struct File {
    std::int64_t tokens = 0;
    std::string checksum;  // FNV-1a 64 of the file's bytes, 16 hex digits
  };
  std::int64_t vocab_size = 0;
  std::int64_t bos_id = 0;
  int token_bytes = 2;
  File train;
  File val;
  std::vector<std::string> tokenizer_files;  // names in the same folder

  static DataHeader read(const std::filesystem::path& path);
  void write(const std::filesystem::path& path) const;
};

/// Writes tokens as little-endian integers of `token_bytes` (2 or 4) and says what was written.
DataHeader::File write_tokens(const std::filesystem::path& path,
                              const std::vector<std::int32_t>& tokens, int token_bytes);

/// Fails unless `file` holds what `expected` says, with all ids in the vocabulary.
void verify_tokens(const std::string& where, const TokenFile& file,
                   const DataHeader::File& expected, const DataHeader& header);

}  // namespace massact::train
