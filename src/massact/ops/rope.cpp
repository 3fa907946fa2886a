#include "massact/ops/rope.h"

#include <cmath>

#include "massact/base/error.h"
#include "massact/ops/cpu/row_kernels.h"
#include "massact/ops/cpu/rows.h"

namespace massact::ops {

RopeTable::RopeTable(std::span<const float> inverse_frequencies, float factor,
                     std::int64_t positions_)
    : positions(positions_),
      pairs(static_cast<std::int64_t>(inverse_frequencies.size())),
      cos(positions * pairs),
      sin(positions * pairs) {
  for (std::int64_t p = 0; p < positions; ++p) {
    for (std::int64_t i = 0; i < pairs; ++i) {
      const float angle = static_cast<float>(p) * inverse_frequencies[static_cast<std::size_t>(i)];
      cos[p * pairs + i] = static_cast<float>(std::cos(static_cast<double>(angle))) * factor;
      sin[p * pairs + i] = static_cast<float>(std::sin(static_cast<double>(angle))) * factor;
    }
  }
}

void rope(FloatMatrix x, std::int64_t heads, std::int64_t head_size, const RopeTable& table,
          RopeStyle style, std::int64_t first_position, Threads& threads) {
  require(x.cols == heads * head_size && 2 * table.pairs <= head_size, "rope",
          "expected {} heads of {} (rotating {}), got rows of {}", heads, head_size,
          2 * table.pairs, x.cols);
  require(first_position >= 0 && first_position + x.rows <= table.positions, "rope",
          "expected positions below {}, got {} rows from position {}", table.positions, x.rows,
          first_position);
  cpu::for_row_blocks(x.rows, x.cols, threads, [&](std::int64_t first, std::int64_t count) {
    for (std::int64_t t = first; t < first + count; ++t) {
      const float* cos = table.cos.data() + (first_position + t) * table.pairs;
      const float* sin = table.sin.data() + (first_position + t) * table.pairs;
      for (std::int64_t h = 0; h < heads; ++h) {
        float* head = x.row(t) + h * head_size;
        if (style == RopeStyle::half) {
          cpu::rotate_halves(head, head + table.pairs, cos, sin, table.pairs);
        } else {
          cpu::rotate_interleaved(head, cos, sin, table.pairs);
        }
      }
    }
  });
}

}  // namespace massact::ops
