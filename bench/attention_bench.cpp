// Attention speed: attention_bench [threads] [repetitions] [wall|cpu]
#include <fmt/format.h>

#include <cmath>
#include <random>
#include <vector>

#include "bench_timing.h"
#include "massact/ops/attention_sums.h"
#include "massact/ops/cpu/features.h"

namespace massact::ops {
namespace {

struct Case {
  std::int64_t sequences, length, heads, kv_heads, head_size;
};

Buffer<float> random_floats(std::int64_t count, unsigned seed) {
  std::mt19937 generator(seed);
  std::normal_distribution<float> normal;
  Buffer<float> values(count);
  for (float& x : values.span()) x = normal(generator);
  return values;
}

void measure(const Case& c, const bench::Settings& settings, Threads& threads) {
  const std::int64_t rows = c.sequences * c.length;
  const std::int64_t q_cols = c.heads * c.head_size, kv_cols = c.kv_heads * c.head_size;
  const auto q = random_floats(rows * q_cols, 1), k = random_floats(rows * kv_cols, 2),
             v = random_floats(rows * kv_cols, 3);
  const Buffer<float> z(rows * q_cols);
  std::vector<RowRange> sequences;
  for (std::int64_t s = 0; s < c.sequences; ++s) sequences.push_back({s * c.length, c.length});
  AttentionOptions options;
  options.heads = c.heads;
  options.kv_heads = c.kv_heads;
  options.head_size = c.head_size;
  options.scale = 1.0f / std::sqrt(static_cast<float>(c.head_size));
  // Visible pairs of query and key, two products of c each.
  const double pairs = static_cast<double>(c.sequences * c.heads) *
                       static_cast<double>(c.length * (c.length + 1)) / 2;
  const double flops = 4.0 * pairs * static_cast<double>(c.head_size);
  for (const Precision precision : {Precision::f32, Precision::bf16}) {
    options.precision = precision;
    const double seconds = bench::best_seconds(settings, threads, [&] {
      attention({q.data(), rows, q_cols}, {k.data(), rows, kv_cols}, {v.data(), rows, kv_cols},
                sequences, options, {z.data(), rows, q_cols}, threads);
    });
    // With the sums of `massact explain`, the first token of every sequence in C.
    AttentionSums sums;
    sums.prefix = 64;
    sums.chosen.assign(static_cast<std::size_t>(rows), 0);
    for (const RowRange& s : sequences) sums.chosen[static_cast<std::size_t>(s.first)] = 1;
    const double summed = bench::best_seconds(settings, threads, [&] {
      attention({q.data(), rows, q_cols}, {k.data(), rows, kv_cols}, {v.data(), rows, kv_cols},
                sequences, options, {z.data(), rows, q_cols}, sums, threads);
    });
    fmt::print("{:5} {:5} {:6} {:5} {:5} {:5}  {:9.3f}  {:8.3f}  {:9.3f}  {:5.2f}\n",
               name_of(precision), c.sequences, c.length, c.heads, c.kv_heads, c.head_size,
               1e3 * seconds, flops / seconds * 1e-12, 1e3 * summed, summed / seconds);
  }
}

int run(int argc, char** argv) {
  const bench::Settings settings(argc, argv);
  Threads threads(settings.threads);
  fmt::print("{} threads, {}, best of {}, {} time\n", threads.count(), name_of(cpu_level()),
             settings.repetitions, settings.cpu_time ? "CPU" : "wall");
  fmt::print("       seqs length heads    kv     c         ms   TFLOP/s  with sums  ratio\n");
  for (const Case& c :
       {Case{1, 2048, 32, 32, 128}, Case{1, 2048, 32, 8, 128}, Case{4, 1024, 12, 12, 64},
        Case{100, 512, 8, 4, 8}, Case{1, 1, 32, 8, 128}, Case{8, 197, 12, 12, 64}}) {
    measure(c, settings, threads);
  }
  return 0;
}

}  // namespace
}  // namespace massact::ops

int main(int argc, char** argv) { return massact::ops::run(argc, argv); }
