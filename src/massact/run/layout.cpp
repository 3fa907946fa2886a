#include "massact/run/layout.h"

namespace massact {

std::vector<Batch> make_batches(std::span<const std::int64_t> lengths, std::int64_t first,
                                std::int64_t end, std::int64_t most_rows) {
  std::vector<Batch> batches;
  for (std::int64_t s = first; s < end; ++s) {
    const std::int64_t length = lengths[static_cast<std::size_t>(s)];
    if (batches.empty() || batches.back().rows + length > most_rows) {
      batches.emplace_back().first_sequence = s;
    }
    batches.back().sequences.push_back({batches.back().rows, length});
    batches.back().rows += length;
  }
  return batches;
}

Layout lay_out(std::vector<Batch> batches, std::span<const std::int64_t> lengths,
               std::int64_t added) {
  Layout layout;
  for (Batch& batch : batches) {
    batch.rows = 0;
    auto sequence = static_cast<std::size_t>(batch.first_sequence);
    for (ops::RowRange& rows : batch.sequences) {
      rows = {batch.rows, lengths[sequence++] + added};
      batch.rows += rows.count;
    }
    layout.begins.push_back(layout.rows);
    layout.rows += batch.rows;
  }
  layout.batches = std::move(batches);
  return layout;
}

}  // namespace massact
