// Prepared token files and the batches drawn from them.
#pragma once

#include <ATen/ATen.h>

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "massact/io/token_file.h"
#include "train/data_header.h"

namespace massact::train {

/// Texts: inputs and targets, both [B,T] int64, targets[t] is the token after inputs[t]. Images:
/// normalised pixels [B,3,S,S] and labels [B].
struct Batch {
  at::Tensor inputs;
  at::Tensor targets;
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

  /// Throws Error unless both texts hold at least one sequence of `length` tokens and its target.
  void require_length(std::int64_t length) const;

  /// Sequences first, first+1, … of the endless shuffled stream that `seed` defines: sequence i
  /// starts at a pseudo-random place of train.bin that depends on (seed, i) only, whatever rank
  /// asks for it. Throws Error if the text is shorter than one sequence.
  Batch train_batch(std::uint64_t seed, std::int64_t first, std::int64_t count, std::int64_t length,
                    bool bos) const;

  /// The consecutive chunks first, first+1, … of val.bin; fewer (or none) at its end.
  Batch val_batch(std::int64_t first, std::int64_t count, std::int64_t length, bool bos) const;

 private:
  void fill(const TokenFile& file, std::int64_t start, bool bos, std::int64_t length,
            std::int64_t* inputs, std::int64_t* targets) const;

  DataHeader header_;
  TokenFile train_;
  TokenFile val_;
  std::vector<std::filesystem::path> tokenizer_files_;
};

}  // namespace massact::train
