// parallel.h — threads of the text room. Work comes in batches of megabytes, so threads are made per batch;
// they share nothing with the kernels' OpenMP team.
#pragma once

#include <atomic>
#include <cstddef>
#include <exception>
#include <mutex>
#include <thread>
#include <vector>

namespace anneal::text {

// Calls body(index, worker) for every index below `count`, on up to `threads` threads (the caller is one of
// them); worker is below `threads`. Indices are handed out in increasing order, `grain` at a time. The first
// exception stops the rest and is thrown again here.
template <typename Body>
void parallelFor(size_t count, unsigned threads, size_t grain, const Body& body) {
  if (grain == 0) grain = 1;
  const size_t chunks = (count + grain - 1) / grain;
  if (threads > chunks) threads = static_cast<unsigned>(chunks);
  if (threads < 2) {
    for (size_t index = 0; index < count; ++index) body(index, 0U);
    return;
  }
  std::atomic<size_t> next{0};
  std::atomic<bool> failed{false};
  std::exception_ptr failure;
  std::mutex mutex;
  const auto run = [&](unsigned worker) {
    try {
      while (!failed.load(std::memory_order_relaxed)) {
        const size_t begin = next.fetch_add(grain, std::memory_order_relaxed);
        if (begin >= count) return;
        const size_t end = begin + grain < count ? begin + grain : count;
        for (size_t index = begin; index < end; ++index) body(index, worker);
      }
    } catch (...) {
      failed.store(true, std::memory_order_relaxed);
      const std::lock_guard<std::mutex> lock(mutex);
      if (!failure) failure = std::current_exception();
    }
  };
  std::vector<std::thread> team;
  try {
    for (unsigned worker = 1; worker < threads; ++worker) team.emplace_back(run, worker);
  } catch (...) {
    // Without the right to more threads those that there are do the work.
  }
  run(0);
  for (std::thread& thread : team) thread.join();
  if (failure) std::rethrow_exception(failure);
}

}  // namespace anneal::text
