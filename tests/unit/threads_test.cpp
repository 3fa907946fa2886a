#include "massact/base/threads.h"

#include <gtest/gtest.h>

#include <numeric>
#include <stdexcept>

namespace massact {
namespace {

class ThreadsTest : public testing::TestWithParam<int> {};

TEST_P(ThreadsTest, EveryIndexRunsOnce) {
  Threads threads(GetParam());
  for (int round = 0; round < 200; ++round) {
    std::vector<int> hits(static_cast<std::size_t>(round) * 3, 0);
    threads.parallel_for(round * 3, [&](std::int64_t i, int worker) {
      ASSERT_LT(worker, threads.count());
      ++hits[static_cast<std::size_t>(i)];
    });
    EXPECT_EQ(std::accumulate(hits.begin(), hits.end(), 0), round * 3);
  }
}

TEST_P(ThreadsTest, SmallestFailingIndexIsRethrown) {
  Threads threads(GetParam());
  try {
    threads.parallel_for(50, [](std::int64_t i, int) {
      if (i >= 7) throw std::runtime_error(std::to_string(i));
    });
    FAIL();
  } catch (const std::runtime_error& error) {
    EXPECT_STREQ(error.what(), "7");
  }
  // The pool is usable afterwards.
  std::atomic<int> sum{0};
  threads.parallel_for(4, [&](std::int64_t i, int) { sum += static_cast<int>(i); });
  EXPECT_EQ(sum, 6);
}

TEST_P(ThreadsTest, NestedCallsRun) {
  Threads threads(GetParam());
  std::atomic<int> count{0};
  threads.parallel_for(
      5, [&](std::int64_t, int) { threads.parallel_for(5, [&](std::int64_t, int) { ++count; }); });
  EXPECT_EQ(count, 25);
}

INSTANTIATE_TEST_SUITE_P(Counts, ThreadsTest, testing::Values(1, 2, 5));

}  // namespace
}  // namespace massact
