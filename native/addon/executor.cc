#include "addon/executor.h"

#include <omp.h>

#include <cstdlib>
#include <cstring>
#include <exception>

namespace anneal::addon {
namespace {

const char* const kNames[] = {
#define ANNEAL_NAME(name, args, signature) #name,
    ANNEAL_KERNELS(ANNEAL_NAME)
#undef ANNEAL_NAME
};

// How often the executor looks for work before it sleeps: some tens of microseconds, longer than the gap
// between two kernel calls from JavaScript.
constexpr int kSpins = 4000;

}  // namespace

Executor::Executor(const Backend* backend, int threads)
    : backend_(backend), threads_(threads), ring_(new Command[kCapacity]), thread_([this] { run(); }) {}

Executor::~Executor() {
  stopping_.store(true, std::memory_order_relaxed);
  claim().kind = Kind::kStop;
  publish();
  thread_.join();
}

Executor::Command& Executor::claim() {
  const uint64_t tail = tail_.load(std::memory_order_relaxed);
  for (uint64_t head = head_.load(std::memory_order_acquire); tail - head >= kCapacity;
       head = head_.load(std::memory_order_acquire)) {
    head_.wait(head, std::memory_order_acquire);
  }
  return ring_[tail % kCapacity];
}

void Executor::publish() {
  tail_.fetch_add(1, std::memory_order_release);
  tail_.notify_one();
}

void Executor::kernel(uint32_t id, const uint64_t* words, size_t count) {
  Command& command = claim();
  command.kind = Kind::kKernel;
  command.kernel = id;
  std::memcpy(command.words, words, count * sizeof(uint64_t));
  publish();
}

void Executor::copyIn(void* destination, void* staging, size_t bytes) {
  Command& command = claim();
  command.kind = Kind::kCopyIn;
  command.destination = destination;
  command.source = staging;
  command.bytes = bytes;
  publish();
}

void Executor::copyOut(void* destination, const void* source, size_t bytes, Done done) {
  Command& command = claim();
  command.kind = Kind::kCopyOut;
  command.destination = destination;
  command.source = source;
  command.bytes = bytes;
  command.done = new Done(std::move(done));
  publish();
}

void Executor::freeBlock(Pool::Unused block) {
  Command& command = claim();
  command.kind = Kind::kFree;
  command.destination = block.data;
  command.bytes = block.capacity;
  publish();
}

void Executor::setThreads(int threads) {
  threads_ = threads;
  Command& command = claim();
  command.kind = Kind::kThreads;
  command.bytes = static_cast<size_t>(threads);
  publish();
}

void Executor::runKernel(const Command& command) {
  // After a failure the data of later kernels is worthless; they are passed over until somebody reads and is
  // told.
  if (failure_ || stopping_.load(std::memory_order_relaxed)) return;
  KernelContext context;
  int status = 0;
  try {
    status = backend_->kernels[command.kernel](&context, command.words);
  } catch (const std::exception& error) {
    status = fail(&context, "%s", error.what());
  }
  if (status != 0)
    failure_ = std::make_unique<KernelFailure>(KernelFailure{kNames[command.kernel], context.error});
}

void Executor::run() {
  omp_set_dynamic(0);
  omp_set_num_threads(threads_);
  for (uint64_t head = 0;; ++head) {
    uint64_t tail = tail_.load(std::memory_order_acquire);
    for (int spin = 0; tail == head && spin < kSpins; ++spin) {
#if defined(__x86_64__)
      __builtin_ia32_pause();
#endif
      tail = tail_.load(std::memory_order_acquire);
    }
    while (tail == head) {
      tail_.wait(tail, std::memory_order_acquire);
      tail = tail_.load(std::memory_order_acquire);
    }
    Command& command = ring_[head % kCapacity];
    switch (command.kind) {
      case Kind::kKernel:
        runKernel(command);
        break;
      case Kind::kCopyIn:
        std::memcpy(command.destination, command.source, command.bytes);
        std::free(const_cast<void*>(command.source));
        break;
      case Kind::kCopyOut: {
        if (!failure_ && command.bytes != 0) std::memcpy(command.destination, command.source, command.bytes);
        const std::unique_ptr<Done> done(command.done);
        (*done)(std::move(failure_));
        failure_.reset();
        break;
      }
      case Kind::kFree:
        Pool::freeBlock({command.destination, command.bytes});
        break;
      case Kind::kThreads:
        omp_set_num_threads(static_cast<int>(command.bytes));
        break;
      case Kind::kStop:
        return;
    }
    head_.store(head + 1, std::memory_order_release);
    head_.notify_one();
  }
}

}  // namespace anneal::addon
