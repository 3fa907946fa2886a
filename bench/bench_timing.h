// Timing shared by the benchmarks: best of several repetitions, wall or CPU time.
#pragma once

#include <time.h>

#include <algorithm>
#include <cstdlib>
#include <functional>
#include <limits>
#include <string_view>

#include "massact/base/clock.h"
#include "massact/base/threads.h"

namespace massact::bench {

/// From the command line: [threads] [repetitions] [wall|cpu]. With "cpu", time is the process's CPU
/// time divided by the number of threads: what the code would reach if nobody else ran (other
/// programs still take their share of the caches).
struct Settings {
  int threads = 0;
  int repetitions = 5;
  bool cpu_time = false;

  Settings(int argc, char** argv) {
    if (argc > 1) threads = std::atoi(argv[1]);
    if (argc > 2) repetitions = std::max(1, std::atoi(argv[2]));
    cpu_time = argc > 3 && std::string_view(argv[3]) == "cpu";
  }
};

inline double cpu_seconds() {
  timespec t{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
  return static_cast<double>(t.tv_sec) + 1e-9 * static_cast<double>(t.tv_nsec);
}

/// The first call of `body` warms up and is not counted.
inline double best_seconds(const Settings& settings, const Threads& threads,
                           const std::function<void()>& body) {
  double best = std::numeric_limits<double>::infinity();
  for (int i = 0; i <= settings.repetitions; ++i) {
    const Stopwatch watch;
    const double cpu_before = cpu_seconds();
    body();
    const double cpu = (cpu_seconds() - cpu_before) / threads.count();
    if (i > 0) best = std::min(best, settings.cpu_time ? cpu : watch.seconds());
  }
  return best;
}

}  // namespace massact::bench
