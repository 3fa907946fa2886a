// The walk of tiled attention: one task per (sequence, head, tile of queries) passes over the tiles
// of keys that its queries see, keeping a running maximum, sum and output per query (the online
// softmax). Keys and values are packed once per sequence and key head. Where sums over
// probabilities are wanted, one task does all tiles of a head, in order, each with a second pass
// over its keys.
#include "massact/ops/cpu/attention_tiles.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "massact/ops/cpu/divide.h"

namespace massact::ops::cpu {
namespace {

constexpr std::int64_t kQueryTile = 288;           // whole blocks of every kernel
constexpr std::int64_t kPackedBytes = 64ll << 20;  // packed keys and values kept at a time
constexpr float kMasked = -std::numeric_limits<float>::infinity();

// Into the L2 cache. A head's rows are a few cache lines each, with all other heads between them:
// too short for the CPU to foresee them.
void prefetch(ConstFloatMatrix x) {
  constexpr std::int64_t kLine = 16;
  for (std::int64_t r = 0; r < x.rows; ++r) {
    for (std::int64_t c = 0; c < x.cols; c += kLine) __builtin_prefetch(x.row(r) + c, 0, 2);
  }
}

// How many heads, which lie side by side in memory, a task does one after the other: while one is
// computed, the next one's rows are fetched. Few enough that every thread gets several tasks.
std::int64_t run_of_heads(std::int64_t heads, std::int64_t tiles, const Threads& threads) {
  return std::clamp<std::int64_t>(heads * tiles / (8 * threads.count()), 1, 4);
}

/// A sequence whose keys and values are packed at `packed`: per key head the tiles of keys, then
/// the tiles of values.
struct PackedSequence {
  RowRange rows;
  std::int64_t index = 0;  // in the call
  std::int64_t key_tiles = 0;
  std::byte* packed = nullptr;
};

class Attention {
 public:
  Attention(ConstFloatMatrix q, ConstFloatMatrix k, ConstFloatMatrix v,
            const AttentionOptions& options, const AttentionKernel& kernel, FloatMatrix z,
            AttentionSums* sums)
      : q_(q), k_(k), v_(v), options_(options), kernel_(kernel), z_(z), sums_(sums) {}

  std::int64_t packed_bytes(const RowRange& rows) const {
    return options_.kv_heads * divide_up(rows.count, kKeyTile) * tile_bytes();
  }
  /// All of `sequences`, which fit `packed` together; the first has this index in the call.
  void run(std::span<const RowRange> sequences, std::int64_t first_index, std::byte* packed,
           Threads& threads) const;

 private:
  struct Tile;  // the queries of a task with their running state

  std::int64_t tile_bytes() const { return kernel_.key_tile_bytes() + kernel_.value_tile_bytes(); }
  const std::byte* keys_of(const PackedSequence& s, std::int64_t kv_head, std::int64_t tile) const {
    return s.packed + (kv_head * s.key_tiles + tile) * tile_bytes();
  }
  // The rows of k or v that belong to a tile.
  ConstFloatMatrix tile_of(ConstFloatMatrix x, const PackedSequence& s, std::int64_t kv_head,
                           std::int64_t tile) const {
    const std::int64_t c = kernel_.head_size(), first = tile * kKeyTile;
    return x.slice_rows(s.rows.first + first, std::min(kKeyTile, s.rows.count - first))
        .slice_cols(kv_head * c, c);
  }
  // The rows of q of a tile of queries.
  ConstFloatMatrix queries_of(const PackedSequence& s, std::int64_t head,
                              std::int64_t first_query) const {
    const std::int64_t c = kernel_.head_size();
    return q_
        .slice_rows(s.rows.first + first_query, std::min(kQueryTile, s.rows.count - first_query))
        .slice_cols(head * c, c);
  }
  void pack_tile(const PackedSequence& s, std::int64_t kv_head, std::int64_t tile) const;
  void run_tile(const PackedSequence& s, std::int64_t head, std::int64_t first_query) const;
  float slot_score(const Tile& tile, std::int64_t r) const;
  BlockBias bias_of(const Tile& tile, std::int64_t first_row) const;
  float slot_weight(float score, float maximum, float sum, ScoreMode mode) const;
  void start(const Tile& tile, ScoreMode mode) const;
  void pass(const Tile& tile, const PackedSequence& s, ScoreMode mode) const;
  struct Scored;  // a block of scores, before they become weights
  Scored score_block(const Tile& tile, const PackedSequence& s, std::int64_t block,
                     std::int64_t key_tile) const;
  void process_block(const Tile& tile, const PackedSequence& s, std::int64_t block,
                     std::int64_t key_tile, ScoreMode mode) const;

  // The second pass.
  void sum_tile(const Tile& tile, const PackedSequence& s, ScoreMode mode) const;
  void sum_keys(const Tile& tile, const PackedSequence& s, std::int64_t key_tile, ScoreMode mode,
                float* weighted_scores) const;
  void sum_chosen(const Tile& tile, const PackedSequence& s, const Scored& scored) const;
  void sum_queries(const Tile& tile, const PackedSequence& s, ScoreMode mode,
                   const float* weighted_scores) const;
  void check_closure(const Tile& tile, const PackedSequence& s, ScoreMode mode) const;

  ConstFloatMatrix q_, k_, v_;
  const AttentionOptions& options_;
  const AttentionKernel& kernel_;
  FloatMatrix z_;
  AttentionSums* sums_;
};

struct Attention::Tile {
  std::int64_t head, kv_head, first_query, rows;
  std::int64_t batch_row;    // of the first query
  ConstFloatMatrix queries;  // [rows, c]
  std::byte* packed_queries;
  float *scores, *out, *maximum, *sum, *correction;
};

struct Attention::Scored {
  ScoreBlock block;
  Columns seen;
  std::int64_t first_row = 0;  // of the tile
  const std::byte* values = nullptr;
};

void Attention::run(std::span<const RowRange> sequences, std::int64_t first_index,
                    std::byte* packed, Threads& threads) const {
  struct Task {
    std::int64_t sequence, head, index;  // of a tile of keys, or the first query
  };
  std::vector<PackedSequence> all;
  std::vector<Task> packs, tiles;
  std::int64_t rows_in_all = 0;
  for (const RowRange& rows : sequences) rows_in_all += rows.count;
  const std::int64_t kv_run = run_of_heads(options_.kv_heads, rows_in_all / kKeyTile, threads);
  const std::int64_t run = run_of_heads(options_.heads, rows_in_all / kQueryTile, threads);
  for (const RowRange& rows : sequences) {
    const auto s = static_cast<std::int64_t>(all.size());
    all.push_back({rows, first_index + s, divide_up(rows.count, kKeyTile), packed});
    packed += packed_bytes(rows);
    for (std::int64_t t = 0; t < all.back().key_tiles; ++t) {
      for (std::int64_t g = 0; g < options_.kv_heads; g += kv_run) packs.push_back({s, g, t});
    }
    // The last queries see the most keys: they go first, so that threads finish together.
    for (std::int64_t t = divide_up(rows.count, kQueryTile) - 1; t >= 0; --t) {
      if (sums_ != nullptr && t > 0) continue;
      for (std::int64_t h = 0; h < options_.heads; h += run)
        tiles.push_back({s, h, t * kQueryTile});
    }
  }
  threads.parallel_for(static_cast<std::int64_t>(packs.size()), [&](std::int64_t i, int) {
    const Task& task = packs[static_cast<std::size_t>(i)];
    const PackedSequence& s = all[static_cast<std::size_t>(task.sequence)];
    const std::int64_t last = std::min(options_.kv_heads, task.head + kv_run);
    for (std::int64_t g = task.head; g < last; ++g) {
      if (g + 1 < last) {
        prefetch(tile_of(k_, s, g + 1, task.index));
        prefetch(tile_of(v_, s, g + 1, task.index));
      }
      pack_tile(s, g, task.index);
    }
  });
  threads.parallel_for(static_cast<std::int64_t>(tiles.size()), [&](std::int64_t i, int) {
    const Task& task = tiles[static_cast<std::size_t>(i)];
    const PackedSequence& s = all[static_cast<std::size_t>(task.sequence)];
    const std::int64_t end = sums_ != nullptr ? s.rows.count : task.index + 1;
    const std::int64_t last = std::min(options_.heads, task.head + run);
    for (std::int64_t head = task.head; head < last; ++head) {
      for (std::int64_t first = task.index; first < end; first += kQueryTile) {
        if (head + 1 < last) prefetch(queries_of(s, head + 1, first));
        run_tile(s, head, first);
      }
    }
  });
}

void Attention::pack_tile(const PackedSequence& s, std::int64_t kv_head, std::int64_t tile) const {
  std::byte* out = s.packed + (kv_head * s.key_tiles + tile) * tile_bytes();
  kernel_.pack_keys(tile_of(k_, s, kv_head, tile), out);
  kernel_.pack_values(tile_of(v_, s, kv_head, tile), out + kernel_.key_tile_bytes());
}

// Of the tile's query r.
float Attention::slot_score(const Tile& tile, std::int64_t r) const {
  if (options_.slot_logits.data != nullptr) {
    return options_.slot_logits(tile.batch_row + r, tile.head);
  }
  if (!options_.slot_logit.empty()) return options_.slot_logit[static_cast<std::size_t>(tile.head)];
  const std::int64_t c = kernel_.head_size();
  const float score =
      options_.scale * dot(tile.queries.row(r), options_.slot_key.data() + tile.kv_head * c, c);
  return options_.soft_cap > 0 ? options_.soft_cap * std::tanh(score / options_.soft_cap) : score;
}

BlockBias Attention::bias_of(const Tile& tile, std::int64_t first_row) const {
  const GridOptions& grid = options_.grid;
  if (grid.row_bias.data == nullptr) return {};
  const std::int64_t row = tile.batch_row + first_row;
  return {grid.row_bias.row(row) + tile.head * (grid.row_bias.cols / options_.heads),
          grid.column_bias.row(row) + tile.head * (grid.column_bias.cols / options_.heads),
          grid.row_bias.stride, grid.column_bias.stride, grid.columns};
}

// What becomes of the slot's score, given the final maximum and sum.
float Attention::slot_weight(float score, float maximum, float sum, ScoreMode mode) const {
  if (mode == ScoreMode::sigmoid) {
    sigmoid_row(&score, 1);
    return score;
  }
  if (sum == 0) return 0.0f;
  const float p = std::exp(score - maximum) / sum;
  return std::clamp((options_.clip_eta - options_.clip_gamma) * p + options_.clip_gamma, 0.0f,
                    1.0f);
}

// State before the first key: nothing, or the slot as if it were the first key.
void Attention::start(const Tile& tile, ScoreMode mode) const {
  const std::int64_t c = kernel_.head_size(), stride = kernel_.out_stride();
  std::fill_n(tile.out, kQueryTile * stride, 0.0f);
  for (std::int64_t r = 0; r < tile.rows; ++r) {
    const bool slot = options_.has_slot();
    const float score = slot ? slot_score(tile, r) : kMasked;
    float weight = slot ? 1.0f : 0.0f;
    switch (mode) {
      case ScoreMode::sigmoid:
      case ScoreMode::clipped:
        if (slot) weight = slot_weight(score, tile.maximum[r], tile.sum[r], mode);
        break;
      case ScoreMode::online:
      case ScoreMode::statistics:
        if (score == kMasked) weight = 0.0f;
        tile.maximum[r] = score;
        tile.sum[r] = weight;
        break;
    }
    if (slot && !options_.slot_value.empty()) {
      scale_row(options_.slot_value.data() + tile.kv_head * c, weight, c, tile.out + r * stride);
    }
  }
}

// The scores of a block of queries against a tile of keys; `seen` is empty if it sees none.
Attention::Scored Attention::score_block(const Tile& tile, const PackedSequence& s,
                                         std::int64_t block, std::int64_t key_tile) const {
  const std::int64_t first_row = block * kernel_.block_rows();
  const std::int64_t rows = std::min(kernel_.block_rows(), tile.rows - first_row);
  const std::int64_t first_query = tile.first_query + first_row;
  const std::int64_t first_key = key_tile * kKeyTile;
  // The first query sees the earliest key, the last one the latest.
  const auto column = [&](std::int64_t key) {
    return std::clamp<std::int64_t>(key - first_key, 0, kKeyTile);
  };
  const Columns seen = {column(visible_keys(options_, first_query, s.rows.count).first),
                        column(visible_keys(options_, first_query + rows - 1, s.rows.count).last)};
  if (seen.first >= seen.last) return {};
  const std::int64_t step = kernel_.key_step();
  const Columns steps = {seen.first / step * step, divide_up(seen.last, step) * step};
  const std::byte* keys = keys_of(s, tile.kv_head, key_tile);
  kernel_.scores(tile.packed_queries + block * kernel_.query_bytes(), keys, {rows, steps},
                 tile.scores);
  const float slope = options_.alibi_slopes.empty()
                          ? 0.0f
                          : options_.alibi_slopes[static_cast<std::size_t>(tile.head)];
  return {
      {tile.scores, rows, first_query, first_key, s.rows.count, steps, slope,
       tile.maximum + first_row, tile.sum + first_row, tile.correction, bias_of(tile, first_row)},
      seen,
      first_row,
      keys + kernel_.key_tile_bytes()};
}

void Attention::process_block(const Tile& tile, const PackedSequence& s, std::int64_t block,
                              std::int64_t key_tile, ScoreMode mode) const {
  const Scored scored = score_block(tile, s, block, key_tile);
  if (scored.block.rows == 0) return;
  weigh_scores(scored.block, options_, mode);
  if (mode == ScoreMode::statistics) return;
  kernel_.accumulate(tile.scores, scored.values, {scored.block.rows, scored.seen}, tile.correction,
                     tile.out + scored.first_row * kernel_.out_stride());
}

void Attention::pass(const Tile& tile, const PackedSequence& s, ScoreMode mode) const {
  start(tile, mode);
  const auto keys_first = visible_keys(options_, tile.first_query, s.rows.count).first;
  const auto keys_last =
      visible_keys(options_, tile.first_query + tile.rows - 1, s.rows.count).last;
  const std::int64_t blocks = divide_up(tile.rows, kernel_.block_rows());
  for (std::int64_t t = keys_first / kKeyTile; t < divide_up(keys_last, kKeyTile); ++t) {
    for (std::int64_t block = 0; block < blocks; ++block) process_block(tile, s, block, t, mode);
  }
}

// A thread's memory for one tile of queries, kept between calls.
struct TileMemory {
  Buffer<std::byte> queries;
  Buffer<float> scores, out;
  alignas(64) float maximum[kQueryTile], sum[kQueryTile], correction[kQueryTile];
};

void Attention::run_tile(const PackedSequence& s, std::int64_t head,
                         std::int64_t first_query) const {
  static thread_local TileMemory memory;
  const std::int64_t c = kernel_.head_size(), block_rows = kernel_.block_rows();
  memory.queries.reserve_discarding(kQueryTile / block_rows * kernel_.query_bytes());
  memory.scores.reserve_discarding(block_rows * kKeyTile);
  memory.out.reserve_discarding(kQueryTile * kernel_.out_stride());
  // Rows of a block beyond the last query are computed too and dropped.
  std::fill_n(memory.scores.data(), block_rows * kKeyTile, 0.0f);
  std::fill_n(memory.correction, kQueryTile, 1.0f);

  const std::int64_t rows = std::min(kQueryTile, s.rows.count - first_query);
  const std::int64_t first_row = s.rows.first + first_query;
  const Tile tile = {head,
                     head / (options_.heads / options_.kv_heads),
                     first_query,
                     rows,
                     first_row,
                     queries_of(s, head, first_query),
                     memory.queries.data(),
                     memory.scores.data(),
                     memory.out.data(),
                     memory.maximum,
                     memory.sum,
                     memory.correction};
  for (std::int64_t r = 0; r < rows; r += block_rows) {
    kernel_.pack_queries(tile.queries.slice_rows(r, std::min(block_rows, rows - r)), options_.scale,
                         tile.packed_queries + r / block_rows * kernel_.query_bytes());
  }

  const bool sigmoid = options_.kind == AttentionKind::sigmoid;
  const bool clipped = !sigmoid && (options_.clip_gamma != 0.0f || options_.clip_eta != 1.0f);
  if (clipped) pass(tile, s, ScoreMode::statistics);
  pass(tile, s, sigmoid ? ScoreMode::sigmoid : clipped ? ScoreMode::clipped : ScoreMode::online);
  for (std::int64_t r = 0; r < rows; ++r) {
    float factor = 1.0f;
    if (!sigmoid && !clipped) factor = tile.sum[r] == 0.0f ? 0.0f : 1.0f / tile.sum[r];
    scale_row(tile.out + r * kernel_.out_stride(), factor, c, z_.row(first_row + r) + head * c);
  }
  if (sums_ != nullptr) sum_tile(tile, s, sigmoid ? ScoreMode::sigmoid : ScoreMode::clipped);
}

// Softmax without clipping is the clipped one with γ = 0 and η = 1.
void Attention::sum_tile(const Tile& tile, const PackedSequence& s, ScoreMode mode) const {
  alignas(64) float weighted_scores[kQueryTile] = {};
  const auto keys_first = visible_keys(options_, tile.first_query, s.rows.count).first;
  const auto keys_last =
      visible_keys(options_, tile.first_query + tile.rows - 1, s.rows.count).last;
  for (std::int64_t t = keys_first / kKeyTile; t < divide_up(keys_last, kKeyTile); ++t) {
    sum_keys(tile, s, t, mode, weighted_scores);
  }
  sum_queries(tile, s, mode, weighted_scores);
  if (tile.first_query + tile.rows == s.rows.count) check_closure(tile, s, mode);
}

void Attention::sum_keys(const Tile& tile, const PackedSequence& s, std::int64_t key_tile,
                         ScoreMode mode, float* weighted_scores) const {
  alignas(64) float prefix[kKeyTile] = {}, columns[kKeyTile] = {}, scores[kKeyTile] = {};
  const std::int64_t blocks = divide_up(tile.rows, kernel_.block_rows());
  for (std::int64_t block = 0; block < blocks; ++block) {
    const Scored scored = score_block(tile, s, block, key_tile);
    if (scored.block.rows == 0) continue;
    const std::int64_t prefix_rows = std::clamp<std::int64_t>(
        sums_->prefix_of(s.index) - scored.block.first_query, 0, scored.block.rows);
    sum_scores(scored.block, options_, mode,
               {prefix_rows, prefix, columns, scores, weighted_scores + scored.first_row});
    if (!sums_->chosen.empty()) sum_chosen(tile, s, scored);
  }
  const std::int64_t first_key = key_tile * kKeyTile;
  const std::int64_t keys = std::min(kKeyTile, s.rows.count - first_key);
  const std::size_t at = sums_->at(tile.head, s.rows.first + first_key);
  for (std::int64_t j = 0; j < keys; ++j) {
    const std::size_t i = at + static_cast<std::size_t>(j);
    sums_->prefix_sums[i] += static_cast<double>(prefix[j]);
    sums_->column_sums[i] += static_cast<double>(prefix[j]) + static_cast<double>(columns[j]);
    sums_->score_sums[i] += static_cast<double>(scores[j]);
  }
}

// The chosen keys are few: their values are added one by one, in f32.
void Attention::sum_chosen(const Tile& tile, const PackedSequence& s, const Scored& scored) const {
  const std::int64_t c = kernel_.head_size();
  const ScoreBlock& block = scored.block;
  for (std::int64_t j = scored.seen.first; j < scored.seen.last; ++j) {
    const std::int64_t key_row = s.rows.first + block.first_key + j;
    if (sums_->chosen[static_cast<std::size_t>(key_row)] == 0) continue;
    const float* value = v_.row(key_row) + tile.kv_head * c;
    for (std::int64_t r = 0; r < block.rows; ++r) {
      const float weight = block.scores[r * kKeyTile + j];
      if (weight == 0) continue;
      const std::int64_t row = s.rows.first + block.first_query + r;
      sums_->chosen_weight[sums_->at(tile.head, row)] += weight;
      add_scaled_row(value, weight, c, sums_->output(options_).row(row) + tile.head * c);
    }
  }
}

void Attention::sum_queries(const Tile& tile, const PackedSequence& s, ScoreMode mode,
                            const float* weighted_scores) const {
  const bool clipped = options_.clip_gamma != 0.0f || options_.clip_eta != 1.0f;
  for (std::int64_t r = 0; r < tile.rows; ++r) {
    const std::size_t at = sums_->at(tile.head, s.rows.first + tile.first_query + r);
    float weighted = weighted_scores[r];
    if (options_.has_slot()) {
      const float score = slot_score(tile, r);
      sums_->slot_score[at] = score;
      sums_->slot_weight[at] = slot_weight(score, tile.maximum[r], tile.sum[r], mode);
      if (score > kMasked) weighted += sums_->slot_weight[at] * score;
    }
    // −Σ p log p with log p = s − max − log(sum).
    if (mode == ScoreMode::sigmoid || clipped || tile.sum[r] == 0) continue;
    sums_->entropy[at] = std::max(0.0f, tile.maximum[r] + std::log(tile.sum[r]) - weighted);
  }
}

// At the last query: the output against its parts, the rest summed for itself.
void Attention::check_closure(const Tile& tile, const PackedSequence& s, ScoreMode mode) const {
  const std::int64_t c = kernel_.head_size(), r = tile.rows - 1;
  const std::int64_t query = tile.first_query + r, row = s.rows.first + query;
  const auto sequence = [&](ConstFloatMatrix x) {
    return x.slice_rows(s.rows.first, s.rows.count);
  };
  const std::int64_t slots = options_.has_slot() ? 1 : 0;
  std::vector<float> scores(static_cast<std::size_t>(slots + s.rows.count));
  attention_scores(sequence(q_), sequence(k_), options_.of_sequence(s.rows), tile.head, query,
                   {scores.data(), 1, std::ssize(scores)});
  std::vector<float> rest(static_cast<std::size_t>(c)), slot(rest);
  for (std::int64_t j = 0; j < s.rows.count; ++j) {
    const std::int64_t key_row = s.rows.first + j;
    const float score = scores[static_cast<std::size_t>(slots + j)];
    if (score == kMasked) continue;
    if (!sums_->chosen.empty() && sums_->chosen[static_cast<std::size_t>(key_row)] != 0) continue;
    // A key's weight follows from its score as the slot's does.
    add_scaled_row(v_.row(key_row) + tile.kv_head * c,
                   slot_weight(score, tile.maximum[r], tile.sum[r], mode), c, rest.data());
  }
  if (options_.has_slot() && !options_.slot_value.empty()) {
    scale_row(options_.slot_value.data() + tile.kv_head * c,
              sums_->slot_weight[sums_->at(tile.head, row)], c, slot.data());
  }
  const float* chosen = sums_->output(options_).row(row) + tile.head * c;
  const float* z = z_.row(row) + tile.head * c;
  float worst = 0, largest = 0;
  for (std::int64_t i = 0; i < c; ++i) {
    const float a = rest[static_cast<std::size_t>(i)], b = slot[static_cast<std::size_t>(i)];
    largest = std::max({largest, std::abs(a), std::abs(b), std::abs(chosen[i])});
    worst = std::max(worst, std::abs(z[i] - (a + b + chosen[i])));
  }
  const std::int64_t sequences = std::ssize(sums_->closure) / options_.heads;
  sums_->closure[static_cast<std::size_t>(tile.head * sequences + s.index)] =
      largest > 0 ? worst / largest : 0.0f;
}

}  // namespace

// TileMemory, with the longest rows and the largest blocks that kernels have.
std::uint64_t tile_memory_bytes(std::int64_t head_size) {
  constexpr std::int64_t kMostBlockRows = 32;
  const std::int64_t floats =
      2 * kQueryTile * divide_up(head_size, kMostBlockRows) * kMostBlockRows +
      kMostBlockRows * kKeyTile;
  return static_cast<std::uint64_t>(floats) * sizeof(float);
}

void tiled_attention(ConstFloatMatrix q, ConstFloatMatrix k, ConstFloatMatrix v,
                     std::span<const RowRange> sequences, const AttentionOptions& options,
                     const AttentionKernel& kernel, FloatMatrix z, AttentionSums* sums,
                     Threads& threads) {
  const Attention attention(q, k, v, options, kernel, z, sums);
  static thread_local Buffer<std::byte> packed;  // the caller's, shared by its workers
  std::size_t first = 0;
  while (first < sequences.size()) {
    std::size_t last = first;
    std::int64_t bytes = 0;
    do {
      bytes += attention.packed_bytes(sequences[last++]);
    } while (last < sequences.size() &&
             bytes + attention.packed_bytes(sequences[last]) <= kPackedBytes);
    packed.reserve_discarding(bytes);
    attention.run(sequences.subspan(first, last - first), static_cast<std::int64_t>(first),
                  packed.data(), threads);
    first = last;
  }
}

}  // namespace massact::ops::cpu
