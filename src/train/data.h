// Token files (nanoGPT's: plain uint16 or uint32 ids) with a checked header beside them, and the
// batches drawn from them.
#pragma once

#include <ATen/ATen.h>

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace massact::train {

/// FNV-1a, 64 bits, of `size` bytes.
std::uint64_t fnv1a(const void* bytes, std::size_t size);

/// A memory-mapped file of token ids.
class TokenFile {
 public:
  /// Maps `path`; `token_bytes` is 2 or 4. Throws Error if it cannot be mapped.
  TokenFile(const std::filesystem::path& path, int token_bytes);
  ~TokenFile();
  TokenFile(TokenFile&& other) noexcept;
  TokenFile(const TokenFile&) = delete;
  TokenFile& operator=(const TokenFile&) = delete;
  TokenFile& operator=(TokenFile&&) = delete;

  std::int64_t size() const { return count_; }
  std::int64_t operator[](std::int64_t i) const;
  std::uint64_t checksum() const;

 private:
  void* map_ = nullptr;
  std::size_t bytes_ = 0;
  int token_bytes_ = 2;
  std::int64_t count_ = 0;
};

/// Inputs and targets, both [B,T] int64: targets[t] is the token after inputs[t].
struct Batch {
  at::Tensor inputs;
  at::Tensor targets;
};

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

/// A prepared folder: data.json, train.bin, val.bin and the tokenizer.
class Dataset {
 public:
  /// Opens and verifies `dir`: lengths, checksums, ids below the vocabulary size.
  explicit Dataset(const std::filesystem::path& dir);

  std::int64_t vocab_size() const { return header_.vocab_size; }
  std::int64_t bos_id() const { return header_.bos_id; }
  std::int64_t train_tokens() const { return train_.size(); }
  std::int64_t val_tokens() const { return val_.size(); }
  /// Identifies the training tokens.
  const std::string& fingerprint() const { return header_.train.checksum; }
  /// Tokenizer files that go into checkpoints.
  const std::vector<std::filesystem::path>& tokenizer_files() const { return tokenizer_files_; }

  /// Sequences first, first+1, … of the endless shuffled stream that `seed` defines: sequence i
  /// starts at a pseudo-random place of train.bin that depends on (seed, i) only, whatever rank
  /// asks for it. Throws Error if the text is shorter than one sequence.
  Batch train_batch(std::uint64_t seed, std::int64_t first, std::int64_t count,
                    std::int64_t length, bool bos) const;

  /// The consecutive chunks first, first+1, … of val.bin; fewer (or none) at its end.
  Batch val_batch(std::int64_t first, std::int64_t count, std::int64_t length, bool bos) const;

 private:
  void verify(const std::filesystem::path& path, const TokenFile& file,
              const DataHeader::File& expected) const;
  void fill(const TokenFile& file, std::int64_t start, bool bos, std::int64_t length,
            std::int64_t* inputs, std::int64_t* targets) const;

  DataHeader header_;
  TokenFile train_;
  TokenFile val_;
  std::vector<std::filesystem::path> tokenizer_files_;
};

}  // namespace massact::train
