#include "train/data.h"

#include <algorithm>

#include "massact/base/error.h"
#include "massact/edit/random.h"

namespace massact::train {
namespace {

TokenWidth width_of(const DataHeader& header) {
  return header.token_bytes == 2 ? TokenWidth::u16 : TokenWidth::u32;
}

}  // namespace

Dataset::Dataset(const std::filesystem::path& dir)
    : header_(DataHeader::read(dir / "data.json")),
      train_(TokenFile::open(dir / "train.bin", width_of(header_))),
      val_(TokenFile::open(dir / "val.bin", width_of(header_))) {
  verify_tokens((dir / "train.bin").string(), train_, header_.train, header_);
  verify_tokens((dir / "val.bin").string(), val_, header_.val, header_);
  for (const auto& name : header_.tokenizer_files) tokenizer_files_.push_back(dir / name);
}

void Dataset::fill(const TokenFile& file, std::int64_t start, bool bos, std::int64_t length,
                   std::int64_t* inputs, std::int64_t* targets) const {
  // `length` inputs and the token after them; BOS takes the place of the first.
  const auto tokens = file.read(start, bos ? length : length + 1);
  if (bos) {
    inputs[0] = header_.bos_id;
    std::copy(tokens.begin(), tokens.end() - 1, inputs + 1);
    std::copy(tokens.begin(), tokens.end(), targets);
  } else {
    std::copy(tokens.begin(), tokens.end() - 1, inputs);
    std::copy(tokens.begin() + 1, tokens.end(), targets);
  }
}

void Dataset::require_length(std::int64_t length) const {
  require(train_.size() > length, "train.bin",
          "expected more than {} tokens (one sequence), got {} (more text, or a smaller --context)",
          length, train_.size());
  require(val_.size() > length, "val.bin",
          "expected more than {} tokens (one sequence), got {} (more text, a larger --val-fraction "
          "of prepare, or a smaller --context)",
          length, val_.size());
}

Batch Dataset::train_batch(std::uint64_t seed, std::int64_t first, std::int64_t count,
                           std::int64_t length, bool bos) const {
  require_length(length);
  const std::int64_t places = train_.size() - length;
  Batch batch{at::empty({count, length}, at::kLong), at::empty({count, length}, at::kLong)};
  for (std::int64_t i = 0; i < count; ++i) {
    const auto random = edit::mix(edit::mix(seed) + static_cast<std::uint64_t>(first + i));
    const auto start = static_cast<std::int64_t>(random % static_cast<std::uint64_t>(places));
    fill(train_, start, bos, length, batch.inputs.data_ptr<std::int64_t>() + i * length,
         batch.targets.data_ptr<std::int64_t>() + i * length);
  }
  return batch;
}

Batch Dataset::val_batch(std::int64_t first, std::int64_t count, std::int64_t length,
                         bool bos) const {
  const std::int64_t chunks = (val_.size() - 1) / length;
  count = std::clamp<std::int64_t>(chunks - first, 0, count);
  Batch batch{at::empty({count, length}, at::kLong), at::empty({count, length}, at::kLong)};
  for (std::int64_t i = 0; i < count; ++i) {
    fill(val_, (first + i) * length, bos, length,
         batch.inputs.data_ptr<std::int64_t>() + i * length,
         batch.targets.data_ptr<std::int64_t>() + i * length);
  }
  return batch;
}

}  // namespace massact::train
