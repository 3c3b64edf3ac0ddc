// executor.h — the ordered stream of a device: one thread that takes queued commands first in, first out. On
// the CPU it runs them with its OpenMP team; for a device with a stream of its own it launches them there,
// and a waiter ends the reads. The JavaScript thread only queues; it waits for nothing unless the queue is
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
#include "addon/recording.h"
#include "addon/waiter.h"
#include "core/backend.h"

namespace anneal::addon {

// What a read or a synchronisation reports: empty, or why a kernel before it failed.
struct KernelFailure {
  std::string kernel;
  std::string message;
};
using Done = std::function<void(std::unique_ptr<KernelFailure>)>;

// A point on the stream at which the device's clock is read.
struct Mark {
  const DeviceApi* api = nullptr;
  KernelContext context;
  void* handle = nullptr;  // of a device with a stream of its own
  double seconds = 0;      // on the CPU: of the steady clock
  ~Mark();
};

class Executor {
 public:
  // `context` is that of the opened device (stream and device null on the CPU).
  Executor(const Backend* backend, const KernelContext& context, int threads);
  ~Executor();  // passes over the kernels that still wait, then ends the thread

  void kernel(uint32_t id, const uint64_t* words, size_t count);
  // Runs the calls of a recording, which live until they are discarded.
  void replay(Calls* calls);
  void discard(std::unique_ptr<Calls> calls);
  // Copies host memory to the device; `staging` came from std::malloc and is freed afterwards.
  void copyIn(void* destination, void* staging, size_t bytes);
  // Copies to host memory, then calls `done` on a thread of the device with the failure of an earlier kernel,
  // if any, and clears it.
  void copyOut(void* destination, const void* source, size_t bytes, Done done);
  void freeBlock(Pool::Unused block);
  // Returns once everything queued so far was taken from the queue; failures stay for the next read.
  void drain();
  std::shared_ptr<Mark> mark();
  // Waits for both marks and writes the seconds between them, then calls `done` like copyOut.
  void elapsed(std::shared_ptr<Mark> from, std::shared_ptr<Mark> to, double* seconds, Done done);
  void setThreads(int threads);
  int threads() const { return threads_; }
  // Commands queued since the start; a benchmark reads it.
  uint64_t queued() const { return tail_.load(std::memory_order_relaxed); }

 private:
  enum class Kind : uint32_t { kKernel, kReplay, kCopyIn, kCopyOut, kFree, kTask, kStop };
  struct Command {
    Kind kind;
    uint32_t kernel;
    void* destination;
    const void* source;
    Calls* calls;
    size_t bytes;
    Done* done;
    std::function<void()>* task;
    uint64_t words[kMaxArgWords];
  };
  static constexpr uint64_t kCapacity = 8192;

  Command& claim();
  void publish();
  void queue(std::function<void()> task);
  void run();
  void runKernel(uint32_t kernel, const uint64_t* words);
  void runCalls(const Calls& calls);
  void runReplay(Calls& calls);
  bool launch(Calls& calls);
  bool capture(Calls& calls);
  void failed(const char* action);
  void runCopyIn(const Command& command);
  void runCopyOut(const Command& command);

  const Backend* backend_;
  const DeviceApi* api_;
  KernelContext context_;
  int threads_;
  std::atomic<bool> stopping_{false};
  std::unique_ptr<Waiter> waiter_;  // for a device with a stream of its own
  std::unique_ptr<Command[]> ring_;
  alignas(64) std::atomic<uint64_t> tail_{0};  // written by the JavaScript thread
  alignas(64) std::atomic<uint64_t> head_{0};  // written by the executor
  std::unique_ptr<KernelFailure> failure_;     // executor's thread only
  std::thread thread_;
};

}  // namespace anneal::addon
