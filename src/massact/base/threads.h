// A small thread pool of our own: visible to ThreadSanitizer, no spinning while idle, and no
// effect of the number of threads on results (work is split by index, never by thread).
#pragma once

#include <atomic>
#include <cstdint>
#include <exception>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace massact {

/// Number of CPUs this process may use (its affinity mask), at least 1.
int available_cpus();

/// A fixed team of threads. `parallel_for` may be called from one thread at a time per pool.
class Threads {
 public:
  /// `count` threads including the caller's; 0 means `available_cpus()`.
  explicit Threads(int count = 0);
  ~Threads();
  Threads(const Threads&) = delete;
  Threads& operator=(const Threads&) = delete;

  int count() const { return static_cast<int>(workers_.size()) + 1; }

  /// Calls `body(index, worker)` for every index in [0, n), each once, in no fixed order.
  /// `worker` in [0, count()) selects scratch memory; nothing else may depend on it.
  /// Returns when all are done. If bodies throw, the exception of the smallest index is rethrown.
  /// A nested call (from inside a body) runs its indices one after the other.
  using Body = std::function<void(std::int64_t index, int worker)>;
  void parallel_for(std::int64_t n, const Body& body);

 private:
  void work(int worker);
  bool join();
  void leave();
  void run_indices(int worker);

  std::vector<std::thread> workers_;
  // Workers sleep on the generation (futex). Once awake they join the current job while it is open:
  // the caller never waits for a worker that the system has not woken yet, so that small jobs cost
  // little on a busy machine.
  std::atomic<std::uint32_t> generation_{0};
  std::atomic<std::uint32_t> joined_{kClosed};  // workers inside the job, and the closed bit
  std::atomic<std::int64_t> next_{0};
  std::atomic<bool> stopping_{false};
  std::int64_t end_ = 0;
  const Body* body_ = nullptr;

  static constexpr std::uint32_t kClosed = 1u << 31;

  std::mutex error_mutex_;
  std::exception_ptr error_;
  std::int64_t error_index_ = 0;
};

}  // namespace massact
