#include "massact/base/threads.h"

#include <sched.h>

#include <algorithm>
#include <system_error>

#include "massact/base/error.h"

namespace massact {
namespace {

// The pool whose body this thread is running, to detect nested calls.
thread_local const Threads* active_pool = nullptr;
thread_local int active_worker = 0;

// Dispatches follow each other within microseconds: spin that long before sleeping on the futex.
constexpr int kSpins = 2000;

template <typename T>
void wait_while_equal(const std::atomic<T>& value, T old) {
  for (int i = 0; i < kSpins; ++i) {
    if (value.load(std::memory_order_acquire) != old) return;
    __builtin_ia32_pause();
  }
  value.wait(old, std::memory_order_acquire);
}

// Wakes the workers for the last time and waits for their end.
void stop(std::vector<std::thread>& workers, std::atomic<std::uint32_t>& generation,
          std::atomic<bool>& stopping) {
  stopping.store(true, std::memory_order_relaxed);
  generation.fetch_add(1, std::memory_order_release);
  generation.notify_all();
  for (auto& worker : workers) worker.join();
}

}  // namespace

int available_cpus() {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (sched_getaffinity(0, sizeof(set), &set) == 0) return std::max(1, CPU_COUNT(&set));
  return std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
}

Threads::Threads(int count) {
  const int total = count > 0 ? count : available_cpus();
  workers_.reserve(static_cast<std::size_t>(total - 1));
  try {
    for (int worker = 1; worker < total; ++worker) {
      workers_.emplace_back([this, worker] { work(worker); });
    }
  } catch (const std::system_error& error) {
    stop(workers_, generation_, stopping_);  // no destructor follows
    fail("threads", "expected to start {} threads, the system gave {}: {} (try fewer: --threads)",
         total, workers_.size() + 1, error.what());
  } catch (...) {
    stop(workers_, generation_, stopping_);
    throw;
  }
}

Threads::~Threads() { stop(workers_, generation_, stopping_); }

// Enters the current job unless it is closed. The acquire makes its body and end visible.
bool Threads::join() {
  std::uint32_t now = joined_.load(std::memory_order_relaxed);
  do {
    if (now & kClosed) return false;
  } while (!joined_.compare_exchange_weak(now, now + 1, std::memory_order_acquire,
                                          std::memory_order_relaxed));
  return true;
}

void Threads::leave() {
  if (joined_.fetch_sub(1, std::memory_order_release) == (kClosed | 1u)) joined_.notify_one();
}

void Threads::work(int worker) {
  std::uint32_t seen = 0;
  while (true) {
    wait_while_equal(generation_, seen);
    seen = generation_.load(std::memory_order_acquire);
    if (stopping_.load(std::memory_order_relaxed)) return;
    if (!join()) continue;
    run_indices(worker);
    leave();
  }
}

void Threads::run_indices(int worker) {
  const Threads* outer_pool = active_pool;
  const int outer_worker = active_worker;
  active_pool = this;
  active_worker = worker;
  for (;;) {
    const std::int64_t index = next_.fetch_add(1, std::memory_order_relaxed);
    if (index >= end_) break;
    try {
      (*body_)(index, worker);
    } catch (...) {
      const std::lock_guard lock(error_mutex_);
      if (!error_ || index < error_index_) {
        error_ = std::current_exception();
        error_index_ = index;
      }
    }
  }
  active_pool = outer_pool;
  active_worker = outer_worker;
}

void Threads::parallel_for(std::int64_t n, const Body& body) {
  if (n <= 0) return;
  if (active_pool == this || workers_.empty() || n == 1) {
    const int worker = active_pool == this ? active_worker : 0;
    for (std::int64_t index = 0; index < n; ++index) body(index, worker);
    return;
  }
  body_ = &body;
  end_ = n;
  error_ = nullptr;
  next_.store(0, std::memory_order_relaxed);
  joined_.store(0, std::memory_order_release);  // open
  generation_.fetch_add(1, std::memory_order_release);
  generation_.notify_all();
  run_indices(0);
  joined_.fetch_or(kClosed, std::memory_order_acquire);
  for (std::uint32_t now = joined_.load(std::memory_order_acquire); now != kClosed;
       now = joined_.load(std::memory_order_acquire)) {
    wait_while_equal(joined_, now);
  }
  if (error_) std::rethrow_exception(error_);
}

}  // namespace massact
