#include "massact/ops/grid_attention.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "massact/base/error.h"
#include "massact/ops/cpu/attention_kernel.h"
#include "massact/ops/window_attention.h"

namespace massact::ops {
namespace {

constexpr double kNothing = -std::numeric_limits<double>::infinity();

// log(e^a + e^b).
double log_add(double a, double b) {
  const double high = std::max(a, b);
  if (high == kNothing) return kNothing;
  return high + std::log1p(std::exp(std::min(a, b) - high));
}

// log Σ e^x over places [first, last); without a bias x is 0.
double log_sum(const float* bias, std::int64_t first, std::int64_t last) {
  if (first >= last) return kNothing;
  if (bias == nullptr) return std::log(static_cast<double>(last - first));
  const double high = *std::max_element(bias + first, bias + last);
  double sum = 0;
  for (std::int64_t i = first; i < last; ++i) sum += std::exp(static_cast<double>(bias[i]) - high);
  return high + std::log(sum);
}

const float* part_of(ConstFloatMatrix bias, std::int64_t row, std::int64_t head,
                     std::int64_t heads) {
  return bias.data == nullptr ? nullptr : bias.row(row) + head * (bias.cols / heads);
}

}  // namespace

void relative_bias(ConstFloatMatrix q, std::int64_t heads, const RelativeTable& table,
                   std::span<const std::int64_t> own, FloatMatrix bias, Threads& threads) {
  const std::int64_t c = q.cols / heads, n = table.places;
  require(q.cols == heads * c && std::ssize(table.values) == (2 * n - 1) * c &&
              std::ssize(own) == q.rows && bias.rows == q.rows && bias.cols == heads * n,
          "relative positions", "expected {} entries of {} values, got {} values", 2 * n - 1, c,
          table.values.size());
  threads.parallel_for(q.rows, [&](std::int64_t r, int) {
    const std::int64_t place = own[static_cast<std::size_t>(r)];
    for (std::int64_t h = 0; h < heads; ++h) {
      for (std::int64_t y = 0; y < n; ++y) {
        bias(r, h * n + y) =
            cpu::dot(q.row(r) + h * c, table.values.data() + (place - y + n - 1) * c, c);
      }
    }
  });
}

// Below the grid all columns, beside it the grid's rows: as a bias is a sum, so are these products
// of sums of exponentials.
void padding_logits(ConstFloatMatrix q, std::span<const RowRange> sequences,
                    const AttentionOptions& options, std::span<const float> key, FloatMatrix logits,
                    Threads& threads) {
  const std::int64_t c = options.head_size, heads = options.heads, w = options.grid.window;
  const std::int64_t shared = heads / options.kv_heads;
  for (const RowRange& sequence : sequences) {
    threads.parallel_for(sequence.count, [&](std::int64_t i, int) {
      const GridWindow window = window_of(options.grid, i, sequence.count);
      const std::int64_t row = sequence.first + i;
      if (window.rows == w && window.columns == w) {  // nothing is padded
        std::fill_n(logits.row(row), heads, -std::numeric_limits<float>::infinity());
        return;
      }
      for (std::int64_t h = 0; h < heads; ++h) {
        const float* rows = part_of(options.grid.row_bias, row, h, heads);
        const float* columns = part_of(options.grid.column_bias, row, h, heads);
        const double below = log_sum(rows, window.rows, w) + log_sum(columns, 0, w);
        const double beside = log_sum(rows, 0, window.rows) + log_sum(columns, window.columns, w);
        const float product =
            key.empty() ? 0.0f : cpu::dot(q.row(row) + h * c, key.data() + h / shared * c, c);
        logits(row, h) = static_cast<float>(static_cast<double>(options.scale * product) +
                                            log_add(below, beside));
      }
    });
  }
}

}  // namespace massact::ops
