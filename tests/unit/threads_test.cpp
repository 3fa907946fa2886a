#include "massact/base/threads.h"

#include <gtest/gtest.h>
#include <sys/resource.h>

#include <cstdio>
#include <cstdlib>
#include <numeric>
#include <stdexcept>

#include "massact/base/error.h"

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

// In a process of its own: address space for some stacks, but not for a thousand.
[[noreturn]] void start_more_threads_than_fit() {
  constexpr rlim_t kRoom = rlim_t{512} << 20;
  const rlimit limit{kRoom, kRoom};
  setrlimit(RLIMIT_AS, &limit);
  try {
    const Threads threads(1000);
  } catch (const Error& error) {
    std::fputs(error.what(), stderr);
    std::exit(3);
  }
  std::exit(4);
}

TEST(Threads, TooManyAreAnError) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "a sanitizer's own memory is beyond the limit of this test";
#endif
  EXPECT_EXIT(start_more_threads_than_fit(), testing::ExitedWithCode(3),
              "threads. expected to start 1000 threads, the system gave [0-9]+: .*--threads");
}

}  // namespace
}  // namespace massact
