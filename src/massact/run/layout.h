// How the rows of a pass are cut into batches, and where they lie.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "massact/run/dispatch.h"

namespace massact {

/// Sequences [first, end) in order, in batches of at most `most_rows` rows (or one sequence).
/// `lengths`: rows of every sequence of the run.
std::vector<Batch> make_batches(std::span<const std::int64_t> lengths, std::int64_t first,
                                std::int64_t end, std::int64_t most_rows);

/// The rows of a stream in a pass: those of the batches, one behind the other.
struct Layout {
  std::vector<Batch> batches;
  std::vector<std::int64_t> begins;  ///< first row of each batch
  std::int64_t rows = 0;
};

/// Lays out `batches` with `added` rows behind each sequence's `lengths`, whatever rows they had.
Layout lay_out(std::vector<Batch> batches, std::span<const std::int64_t> lengths,
               std::int64_t added);

}  // namespace massact
