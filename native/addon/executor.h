// executor.h — the ordered stream of a CPU device: one thread, with its OpenMP team, that runs queued
// commands first in, first out. The JavaScript thread only queues; it waits for nothing unless the queue is
// full.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <thread>

#include "addon/pool.h"
#include "core/backend.h"

namespace anneal::addon {

// What a read or a synchronisation reports: empty, or why a kernel before it failed.
struct KernelFailure {
  std::string kernel;
  std::string message;
};
using Done = std::function<void(std::unique_ptr<KernelFailure>)>;

class Executor {
 public:
  Executor(const Backend* backend, int threads);
  ~Executor();  // passes over the kernels that still wait, then ends the thread

  void kernel(uint32_t id, const uint64_t* words, size_t count);
  // Copies host memory to the device; `staging` came from std::malloc and is freed afterwards.
  void copyIn(void* destination, void* staging, size_t bytes);
  // Copies to host memory, then calls `done` on the executor's thread with the failure of an earlier kernel,
  // if any, and clears it.
  void copyOut(void* destination, const void* source, size_t bytes, Done done);
  void freeBlock(Pool::Unused block);
  void setThreads(int threads);
  int threads() const { return threads_; }
  // Commands queued since the start; a benchmark reads it.
  uint64_t queued() const { return tail_.load(std::memory_order_relaxed); }

 private:
  enum class Kind : uint32_t { kKernel, kCopyIn, kCopyOut, kFree, kThreads, kStop };
  struct Command {
    Kind kind;
    uint32_t kernel;
    void* destination;
    const void* source;
    size_t bytes;
    Done* done;
    uint64_t words[kMaxArgWords];
  };
  static constexpr uint64_t kCapacity = 8192;

  Command& claim();
  void publish();
  void run();
  void runKernel(const Command& command);

  const Backend* backend_;
  int threads_;
  std::atomic<bool> stopping_{false};
  std::unique_ptr<Command[]> ring_;
  alignas(64) std::atomic<uint64_t> tail_{0};  // written by the JavaScript thread
  alignas(64) std::atomic<uint64_t> head_{0};  // written by the executor
  std::unique_ptr<KernelFailure> failure_;     // executor's thread only
  std::thread thread_;
};

}  // namespace anneal::addon
