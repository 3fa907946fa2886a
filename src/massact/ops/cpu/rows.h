// Splitting memory-bound work over threads: fixed blocks of rows, so that nothing depends on the
// number of threads.
#pragma once

#include <algorithm>
#include <cstdint>

#include "massact/base/threads.h"
#include "massact/ops/cpu/divide.h"

namespace massact::ops::cpu {

/// Calls body(first, count) for blocks of rows of about 64 Ki elements that cover [0, rows).
template <typename Body>
void for_row_blocks(std::int64_t rows, std::int64_t cols, Threads& threads, const Body& body) {
  constexpr std::int64_t kElements = 64 << 10;
  const std::int64_t block = std::max<std::int64_t>(1, kElements / std::max<std::int64_t>(1, cols));
  threads.parallel_for(divide_up(rows, block), [&](std::int64_t index, int) {
    const std::int64_t first = index * block;
    body(first, std::min(block, rows - first));
  });
}

}  // namespace massact::ops::cpu
