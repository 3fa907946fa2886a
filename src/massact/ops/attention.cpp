#include "massact/ops/attention.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "massact/base/error.h"
#include "massact/ops/attention_sums.h"
#include "massact/ops/cpu/attention_tiles.h"
#include "massact/ops/cpu/panels.h"
#include "massact/ops/thread_memory.h"
#include "massact/ops/window_attention.h"

namespace massact::ops {
namespace {

constexpr float kMasked = -std::numeric_limits<float>::infinity();

void require_size(std::span<const float> values, std::int64_t count, std::string_view what) {
  require(values.empty() || static_cast<std::int64_t>(values.size()) == count, "attention",
          "expected {} values of {}, got {}", count, what, values.size());
}

void check_grid(const AttentionOptions& o) {
  const GridOptions& grid = o.grid;
  if (grid.columns == 0) return;
  require(
      grid.columns > 0 && grid.window >= 0 && !o.causal && o.window == 0 && o.alibi_slopes.empty(),
      "attention", "expected a grid without causal mask, sliding window and ALiBi");
  require((grid.row_bias.data == nullptr) == (grid.column_bias.data == nullptr), "attention",
          "expected a bias for rows and columns, got one of them");
  const std::int64_t columns = grid.window > 0 ? std::min(grid.window, grid.columns) : grid.columns;
  require(grid.row_bias.cols % o.heads == 0 && grid.column_bias.cols % o.heads == 0 &&
              (grid.row_bias.data == nullptr || grid.column_bias.cols >= o.heads * columns),
          "attention", "expected a bias for each of {} columns and {} heads, got {} values",
          columns, o.heads, grid.column_bias.cols);
}

void check_options(const AttentionOptions& o) {
  require(o.heads > 0 && o.kv_heads > 0 && o.heads % o.kv_heads == 0 && o.head_size > 0,
          "attention", "expected heads in whole groups, got {} query heads, {} key heads of {}",
          o.heads, o.kv_heads, o.head_size);
  require_size(o.alibi_slopes, o.heads, "ALiBi slopes");
  require_size(o.slot_key, o.kv_heads * o.head_size, "the slot's key");
  require_size(o.slot_value, o.kv_heads * o.head_size, "the slot's value");
  require_size(o.slot_logit, o.heads, "the slot's logit");
  const int slots = static_cast<int>(!o.slot_key.empty()) +
                    static_cast<int>(!o.slot_logit.empty()) +
                    static_cast<int>(o.slot_logits.data != nullptr);
  require(slots <= 1, "attention", "expected a key or a logit for the slot, got both");
  check_grid(o);
  require(o.slot_value.empty() || o.has_slot(), "attention",
          "expected a key or a logit beside the slot's value, got neither");
  require(o.clip_gamma <= 0 && o.clip_eta >= 1, "attention",
          "expected gamma <= 0 and eta >= 1 for the clipped softmax, got {} and {}", o.clip_gamma,
          o.clip_eta);
}

void require_cols(ConstFloatMatrix x, std::int64_t cols, std::string_view what) {
  require(x.cols == cols, "attention", "expected {} with {} columns, got {}", what, cols, x.cols);
}

std::int64_t kv_head_of(const AttentionOptions& o, std::int64_t head) {
  require(head >= 0 && head < o.heads, "attention", "expected a head below {}, got {}", o.heads,
          head);
  return head / (o.heads / o.kv_heads);
}

// b(t) of head `head`; see AttentionOptions.
float alibi_bias(const AttentionOptions& o, std::int64_t head, std::int64_t t) {
  if (o.alibi_slopes.empty()) return 0.0f;
  const float slope = o.alibi_slopes[static_cast<std::size_t>(head)];
  const auto position = static_cast<float>(t);
  if (!o.alibi_in_bf16) return o.alibi_factor * slope * position;
  return o.alibi_factor * to_float(to_bfloat16(slope * to_float(to_bfloat16(position))));
}

// Of query row `r` (of options.of_sequence) for key j.
float grid_bias(const AttentionOptions& o, std::int64_t head, std::int64_t r, std::int64_t j) {
  const GridOptions& grid = o.grid;
  if (grid.row_bias.data == nullptr) return 0.0f;
  const std::int64_t y = j / grid.columns, x = j % grid.columns, w = grid.window;
  return grid.row_bias(r, head * (grid.row_bias.cols / o.heads) + (w > 0 ? y % w : y)) +
         grid.column_bias(r, head * (grid.column_bias.cols / o.heads) + (w > 0 ? x % w : x));
}

// Sequences fill whole rows of a grid, and each has a bias and a logit for all of its queries.
void check_sequence(const AttentionOptions& o, const RowRange& s) {
  const GridOptions& grid = o.grid;
  const auto has_rows = [&](ConstFloatMatrix x) {
    return x.data == nullptr || x.rows >= s.first + s.count;
  };
  require(o.slot_logits.data == nullptr || o.slot_logits.cols == o.heads, "attention",
          "expected a logit of the slot for each of {} heads, got {}", o.heads, o.slot_logits.cols);
  require(has_rows(o.slot_logits) && has_rows(grid.row_bias) && has_rows(grid.column_bias),
          "attention", "expected a bias for each of {} queries", s.first + s.count);
  if (grid.columns == 0) return;
  const std::int64_t rows = s.count / grid.columns;
  require(s.count % grid.columns == 0, "attention",
          "expected whole rows of {} positions, got {} positions", grid.columns, s.count);
  const std::int64_t biased = grid.window > 0 ? std::min(grid.window, rows) : rows;
  require(grid.row_bias.data == nullptr || grid.row_bias.cols >= o.heads * biased, "attention",
          "expected a bias for each of {} rows and {} heads, got {} values", biased, o.heads,
          grid.row_bias.cols);
}

float capped(float score, float cap) { return cap > 0 ? cap * std::tanh(score / cap) : score; }

void run_attention(ConstFloatMatrix q, ConstFloatMatrix k, ConstFloatMatrix v,
                   std::span<const RowRange> sequences, const AttentionOptions& options,
                   FloatMatrix z, AttentionSums* sums, Threads& threads) {
  check_options(options);
  require_cols(q, options.heads * options.head_size, "q");
  require_cols(z, options.heads * options.head_size, "z");
  require_cols(k, options.kv_heads * options.head_size, "k");
  require_cols(v, options.kv_heads * options.head_size, "v");
  const std::int64_t rows = std::min({q.rows, k.rows, v.rows, z.rows});
  for (const RowRange& s : sequences) {
    require(s.first >= 0 && s.count > 0 && s.first <= rows - s.count, "attention",
            "expected sequences within {} rows, got {} rows from {}", rows, s.count, s.first);
    check_sequence(options, s);
  }
  if (sums != nullptr) {
    require(sums->chosen.empty() || std::ssize(sums->chosen) == rows, "attention",
            "expected a mark for each of {} keys, got {}", rows, sums->chosen.size());
    sums->prepare(rows, std::ssize(sequences), options);
  }
  if (options.grid.window > 0) {
    return windowed_attention(q, k, v, sequences, options, z, sums, threads);
  }
  // Panels are 32 values of k wide: padding a very small head costs more than bf16 gains.
  constexpr std::int64_t kSmallestHead = 16;
  const bool bf16 = options.precision == Precision::bf16 && options.head_size >= kSmallestHead;
  const cpu::PanelKernel* panels = bf16 ? cpu::panel_kernel() : nullptr;
  const auto kernel = panels != nullptr ? cpu::attention_kernel_bf16(options.head_size, *panels)
                                        : cpu::attention_kernel_f32(options.head_size);
  cpu::tiled_attention(q, k, v, sequences, options, *kernel, z, sums, threads);
}

}  // namespace

void attention(ConstFloatMatrix q, ConstFloatMatrix k, ConstFloatMatrix v,
               std::span<const RowRange> sequences, const AttentionOptions& options, FloatMatrix z,
               Threads& threads) {
  run_attention(q, k, v, sequences, options, z, nullptr, threads);
}

void attention(ConstFloatMatrix q, ConstFloatMatrix k, ConstFloatMatrix v,
               std::span<const RowRange> sequences, const AttentionOptions& options, FloatMatrix z,
               AttentionSums& sums, Threads& threads) {
  run_attention(q, k, v, sequences, options, z, &sums, threads);
}

void AttentionSums::prepare(std::int64_t row_count, std::int64_t sequences,
                            const AttentionOptions& options) {
  rows = row_count;
  const auto size = static_cast<std::size_t>(options.heads * rows);
  column_sums.assign(size, 0.0);
  prefix_sums.assign(size, 0.0);
  score_sums.assign(size, 0.0);
  entropy.assign(size, 0.0f);
  chosen_weight.assign(size, 0.0f);
  slot_weight.assign(options.has_slot() ? size : 0, 0.0f);
  slot_score.assign(options.has_slot() ? size : 0, 0.0f);
  closure.assign(static_cast<std::size_t>(options.heads * sequences), 0.0f);
  const std::int64_t values = rows * options.heads * options.head_size;
  chosen_output.reserve_discarding(values);
  std::fill_n(chosen_output.data(), values, 0.0f);
}

AttentionOptions AttentionOptions::of_sequence(RowRange rows) const {
  AttentionOptions own = *this;
  const auto cut = [&](ConstFloatMatrix& x) {
    if (x.data != nullptr) x = x.slice_rows(rows.first, rows.count);
  };
  cut(own.slot_logits);
  cut(own.grid.row_bias);
  cut(own.grid.column_bias);
  return own;
}

bool sees(const AttentionOptions& options, std::int64_t i, std::int64_t j) {
  if (options.causal && j > i) return false;
  if (options.window > 0 && i - j >= options.window) return false;
  const std::int64_t columns = options.grid.columns, w = options.grid.window;
  if (w == 0) return true;
  return i / columns / w == j / columns / w && i % columns / w == j % columns / w;
}

std::int64_t queries_of_key(const AttentionOptions& options, std::int64_t j, std::int64_t count) {
  if (const std::int64_t w = options.grid.window; w > 0) {
    const auto side = [&](std::int64_t at, std::int64_t length) {
      return std::min(length - at / w * w, w);
    };
    const std::int64_t columns = options.grid.columns;
    return side(j / columns, count / columns) * side(j % columns, columns);
  }
  const std::int64_t first = options.causal ? j : 0;
  const std::int64_t last = options.window > 0 ? std::min(count, j + options.window) : count;
  return std::max<std::int64_t>(0, last - first);
}

void attention_scores(ConstFloatMatrix q, ConstFloatMatrix k, const AttentionOptions& options,
                      std::int64_t head, std::int64_t first_query, FloatMatrix scores) {
  check_options(options);
  const std::int64_t c = options.head_size, keys = k.rows, kv_head = kv_head_of(options, head);
  const std::int64_t slots = options.has_slot() ? 1 : 0;
  require_cols(q, options.heads * c, "q");
  require_cols(k, options.kv_heads * c, "k");
  require_cols(scores, keys + slots, "scores");
  require(first_query >= 0 && first_query <= q.rows - scores.rows, "attention",
          "expected queries below {}, got {} from {}", q.rows, scores.rows, first_query);
  check_sequence(options, {0, q.rows});
  const auto h = static_cast<std::size_t>(head);
  for (std::int64_t r = 0; r < scores.rows; ++r) {
    const std::int64_t i = first_query + r;
    const float* query = q.row(i) + head * c;
    float* out = scores.row(r);
    if (!options.slot_logit.empty()) *out++ = options.slot_logit[h];
    if (options.slot_logits.data != nullptr) *out++ = options.slot_logits(i, head);
    if (!options.slot_key.empty()) {
      const float* key = options.slot_key.data() + kv_head * c;
      *out++ = capped(options.scale * cpu::dot(query, key, c), options.soft_cap);
    }
    const cpu::VisibleKeys visible = cpu::visible_keys(options, i, keys);
    std::fill_n(out, keys, kMasked);
    const auto score_keys = [&](std::int64_t first, std::int64_t last) {
      for (std::int64_t j = first; j < last; ++j) {
        const float score = options.scale * cpu::dot(query, k.row(j) + kv_head * c, c);
        out[j] = capped(score, options.soft_cap) +
                 (alibi_bias(options, head, j) - alibi_bias(options, head, i)) +
                 grid_bias(options, head, i, j);
      }
    };
    if (options.grid.window == 0) {
      score_keys(visible.first, visible.last);
      continue;
    }
    const GridWindow window = window_of(options.grid, i, keys);
    for (std::int64_t y = window.first_row; y < window.first_row + window.rows; ++y) {
      const std::int64_t first = y * options.grid.columns + window.first_column;
      score_keys(first, first + window.columns);
    }
  }
}

void attention_pattern(FloatMatrix scores, const AttentionOptions& options) {
  check_options(options);
  for (std::int64_t r = 0; r < scores.rows; ++r) {
    float* row = scores.row(r);
    if (options.kind == AttentionKind::sigmoid) {
      cpu::sigmoid_row(row, scores.cols);
      continue;
    }
    const float max = cpu::max_row(row, scores.cols);
    const double sum = cpu::exp_row(row, scores.cols, max == kMasked ? 0.0f : max);
    // A row of -inf only: the weights are zero already.
    const float factor = sum == 0 ? 1.0f : static_cast<float>(1.0 / sum);
    cpu::scale_row(row, factor, scores.cols, row);
    if (options.clip_gamma == 0.0f && options.clip_eta == 1.0f) continue;
    for (float& p : std::span(row, static_cast<std::size_t>(scores.cols))) {
      p = std::clamp((options.clip_eta - options.clip_gamma) * p + options.clip_gamma, 0.0f, 1.0f);
    }
  }
}

void attention_apply(ConstFloatMatrix pattern, ConstFloatMatrix v, const AttentionOptions& options,
                     std::int64_t head, FloatMatrix z) {
  check_options(options);
  const std::int64_t c = options.head_size, kv_head = kv_head_of(options, head);
  const std::int64_t slots = options.has_slot() ? 1 : 0;
  require_cols(v, options.kv_heads * c, "v");
  require_cols(z, c, "z");
  require_cols(pattern, v.rows + slots, "the pattern");
  require(pattern.rows == z.rows, "attention", "expected {} rows of z, got {}", pattern.rows,
          z.rows);
  for (std::int64_t r = 0; r < z.rows; ++r) {
    const float* p = pattern.row(r);
    std::fill_n(z.row(r), c, 0.0f);
    if (slots > 0 && !options.slot_value.empty()) {
      cpu::scale_row(options.slot_value.data() + kv_head * c, p[0], c, z.row(r));
    }
    for (std::int64_t j = 0; j < v.rows; ++j) {
      if (p[slots + j] == 0.0f) continue;
      cpu::add_scaled_row(v.row(j) + kv_head * c, p[slots + j], c, z.row(r));
    }
  }
}

std::uint64_t attention_thread_bytes(std::int64_t head_size) {
  return cpu::tile_memory_bytes(head_size);
}

}  // namespace massact::ops
