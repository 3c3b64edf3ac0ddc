// waiter.h — the thread of a device that waits: it ends reads in the order in which they began, so that the
// executor goes on launching kernels while a read is under way.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>

#include "core/backend.h"

namespace anneal::addon {

class Waiter {
 public:
  // A thing to wait for; it receives the waiter's own context.
  using Task = std::function<void(KernelContext*)>;

  explicit Waiter(const KernelContext& context);
  ~Waiter();  // does what is still queued, then ends the thread

  void add(Task task);

 private:
  void run();

  KernelContext context_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Task> tasks_;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace anneal::addon
