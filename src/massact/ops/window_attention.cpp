#include "massact/ops/window_attention.h"

#include <algorithm>
#include <map>
#include <vector>

namespace massact::ops {
namespace {

// Windows of equal width, one behind the other: a batch of short sequences without windows.
struct Group {
  std::vector<std::int64_t> rows;       // of the batch, in the windows' order
  std::vector<RowRange> windows;        // of `rows`
  std::vector<std::int64_t> sequences;  // by window, its sequence in the batch
};

void add_windows(const RowRange& sequence, std::int64_t index, const GridOptions& grid,
                 std::map<std::int64_t, Group>& groups) {
  const std::int64_t grid_rows = sequence.count / grid.columns;
  for (std::int64_t y = 0; y < grid_rows; y += grid.window) {
    for (std::int64_t x = 0; x < grid.columns; x += grid.window) {
      const GridWindow window = window_of(grid, y * grid.columns + x, sequence.count);
      Group& group = groups[window.columns];
      const std::int64_t first = std::ssize(group.rows);
      for (std::int64_t row = y; row < y + window.rows; ++row) {
        for (std::int64_t column = x; column < x + window.columns; ++column) {
          group.rows.push_back(sequence.first + row * grid.columns + column);
        }
      }
      group.windows.push_back({first, std::ssize(group.rows) - first});
      group.sequences.push_back(index);
    }
  }
}

FloatMatrix take(Buffer<float>& buffer, std::int64_t rows, std::int64_t cols) {
  buffer.reserve_discarding(rows * cols);
  return {buffer.data(), rows, cols};
}

// The group's rows of x, or nothing if x is empty.
ConstFloatMatrix gather(ConstFloatMatrix x, const Group& group, Buffer<float>& buffer,
                        Threads& threads) {
  if (x.data == nullptr) return {};
  const FloatMatrix out = take(buffer, std::ssize(group.rows), x.cols);
  threads.parallel_for(std::ssize(group.windows), [&](std::int64_t w, int) {
    const RowRange& window = group.windows[static_cast<std::size_t>(w)];
    for (std::int64_t r = window.first; r < window.first + window.count; ++r) {
      std::copy_n(x.row(group.rows[static_cast<std::size_t>(r)]), x.cols, out.row(r));
    }
  });
  return out;
}

// Which of the group's rows are chosen; and how many of each window's queries belong to the first
// ones of its sequence. Row by row in both, they are the window's first ones too.
void set_up(const Group& group, std::span<const RowRange> sequences, const AttentionSums& from,
            AttentionSums& to) {
  to.chosen.clear();
  to.prefixes.assign(group.windows.size(), 0);
  for (const std::int64_t row : group.rows) {
    if (!from.chosen.empty()) to.chosen.push_back(from.chosen[static_cast<std::size_t>(row)]);
  }
  for (std::size_t w = 0; w < group.windows.size(); ++w) {
    const std::int64_t sequence = group.sequences[w];
    const std::int64_t end =
        sequences[static_cast<std::size_t>(sequence)].first + from.prefix_of(sequence);
    const auto first = group.rows.begin() + group.windows[w].first;
    to.prefixes[w] = std::lower_bound(first, first + group.windows[w].count, end) - first;
  }
}

template <typename T>
void scatter(const std::vector<T>& from, const Group& group, std::int64_t heads,
             std::vector<T>& to) {
  if (from.empty()) return;
  const std::size_t own = group.rows.size(), all = to.size() / static_cast<std::size_t>(heads);
  for (std::size_t h = 0; h < static_cast<std::size_t>(heads); ++h) {
    for (std::size_t r = 0; r < own; ++r) {
      to[h * all + static_cast<std::size_t>(group.rows[r])] = from[h * own + r];
    }
  }
}

void scatter_rows(ConstFloatMatrix from, const Group& group, FloatMatrix to) {
  for (std::int64_t r = 0; r < from.rows; ++r) {
    std::copy_n(from.row(r), from.cols, to.row(group.rows[static_cast<std::size_t>(r)]));
  }
}

void scatter_sums(AttentionSums& from, const Group& group, const AttentionOptions& options,
                  AttentionSums& to) {
  scatter(from.column_sums, group, options.heads, to.column_sums);
  scatter(from.prefix_sums, group, options.heads, to.prefix_sums);
  scatter(from.score_sums, group, options.heads, to.score_sums);
  scatter(from.entropy, group, options.heads, to.entropy);
  scatter(from.chosen_weight, group, options.heads, to.chosen_weight);
  scatter(from.slot_weight, group, options.heads, to.slot_weight);
  scatter(from.slot_score, group, options.heads, to.slot_score);
  scatter_rows(from.output(options), group, to.output(options));
  // A sequence closes as badly as the worst of its windows.
  const std::int64_t windows = std::ssize(group.windows);
  const std::int64_t sequences = std::ssize(to.closure) / options.heads;
  for (std::int64_t h = 0; h < options.heads; ++h) {
    for (std::int64_t w = 0; w < windows; ++w) {
      float& worst = to.closure[static_cast<std::size_t>(
          h * sequences + group.sequences[static_cast<std::size_t>(w)])];
      worst = std::max(worst, from.closure[static_cast<std::size_t>(h * windows + w)]);
    }
  }
}

// The caller's, kept between calls.
struct Memory {
  Buffer<float> q, k, v, z, row_bias, column_bias, slot_logits;
  AttentionSums sums;
};

}  // namespace

GridWindow window_of(const GridOptions& grid, std::int64_t i, std::int64_t count) {
  const std::int64_t w = grid.window, y = i / grid.columns / w * w, x = i % grid.columns / w * w;
  return {y, std::min(w, count / grid.columns - y), x, std::min(w, grid.columns - x)};
}

void windowed_attention(ConstFloatMatrix q, ConstFloatMatrix k, ConstFloatMatrix v,
                        std::span<const RowRange> sequences, const AttentionOptions& options,
                        FloatMatrix z, AttentionSums* sums, Threads& threads) {
  std::map<std::int64_t, Group> groups;  // by width
  for (std::size_t s = 0; s < sequences.size(); ++s) {
    add_windows(sequences[s], static_cast<std::int64_t>(s), options.grid, groups);
  }
  static thread_local Memory memory;
  Memory& m = memory;
  for (const auto& [columns, group] : groups) {
    AttentionOptions own = options;
    own.grid = {.columns = columns,
                .row_bias = gather(options.grid.row_bias, group, m.row_bias, threads),
                .column_bias = gather(options.grid.column_bias, group, m.column_bias, threads)};
    own.slot_logits = gather(options.slot_logits, group, m.slot_logits, threads);
    const ConstFloatMatrix own_q = gather(q, group, m.q, threads);
    const ConstFloatMatrix own_k = gather(k, group, m.k, threads);
    const ConstFloatMatrix own_v = gather(v, group, m.v, threads);
    const FloatMatrix own_z = take(m.z, own_q.rows, z.cols);
    if (sums != nullptr) {
      set_up(group, sequences, *sums, m.sums);
      attention(own_q, own_k, own_v, group.windows, own, own_z, m.sums, threads);
      scatter_sums(m.sums, group, own, *sums);
    } else {
      attention(own_q, own_k, own_v, group.windows, own, own_z, threads);
    }
    scatter_rows(own_z, group, z);
  }
}

}  // namespace massact::ops
