#include "addon/executor.h"

#include <omp.h>

#include <chrono>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <future>

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

Mark::~Mark() {
  if (handle != nullptr) api->releaseMark(&context, handle);
}

Executor::Executor(const Backend* backend, const KernelContext& context, int threads)
    : backend_(backend),
      api_(backend->device),
      context_(context),
      threads_(threads),
      waiter_(api_ == nullptr ? nullptr : std::make_unique<Waiter>(context)),
      ring_(new Command[kCapacity]),
      thread_([this] { run(); }) {}

Executor::~Executor() {
  stopping_.store(true, std::memory_order_relaxed);
  claim().kind = Kind::kStop;
  publish();
  thread_.join();
  waiter_.reset();
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

void Executor::replay(Calls* calls) {
  Command& command = claim();
  command.kind = Kind::kReplay;
  command.calls = calls;
  publish();
}

void Executor::discard(std::unique_ptr<Calls> calls) {
  queue([this, owned = std::shared_ptr<Calls>(std::move(calls))] {
    if (owned->graph != nullptr) api_->releaseGraph(&context_, owned->graph);
    owned->graph = nullptr;
  });
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

void Executor::queue(std::function<void()> task) {
  Command& command = claim();
  command.kind = Kind::kTask;
  command.task = new std::function<void()>(std::move(task));
  publish();
}

void Executor::drain() {
  std::promise<void> reached;
  queue([&reached] { reached.set_value(); });
  reached.get_future().wait();
}

std::shared_ptr<Mark> Executor::mark() {
  auto mark = std::make_shared<Mark>();
  queue([this, mark] {
    if (api_ == nullptr) {
      mark->seconds =
          std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
      return;
    }
    mark->api = api_;
    mark->context = context_;
    if (api_->mark(&context_, &mark->handle) != 0 && !failure_)
      failure_ = std::make_unique<KernelFailure>(KernelFailure{"mark", context_.error});
  });
  return mark;
}

void Executor::elapsed(std::shared_ptr<Mark> from, std::shared_ptr<Mark> to, double* seconds, Done done) {
  queue([this, from, to, seconds, done] {
    if (api_ == nullptr) {
      *seconds = to->seconds - from->seconds;
      done(std::move(failure_));
      failure_.reset();
      return;
    }
    auto earlier = std::make_shared<std::unique_ptr<KernelFailure>>(std::move(failure_));
    failure_.reset();
    waiter_->add([this, from, to, seconds, done, earlier](KernelContext* context) {
      std::unique_ptr<KernelFailure> failure = std::move(*earlier);
      if (!failure && api_->elapsed(context, from->handle, to->handle, seconds) != 0)
        failure = std::make_unique<KernelFailure>(KernelFailure{"elapsed", context->error});
      done(std::move(failure));
    });
  });
}

void Executor::setThreads(int threads) {
  threads_ = threads;
  queue([threads] { omp_set_num_threads(threads); });
}

void Executor::runKernel(uint32_t kernel, const uint64_t* words) {
  context_.sequence += 1;
  // After a failure the data of later kernels is worthless; they are passed over until somebody reads and is
  // told.
  if (failure_ || stopping_.load(std::memory_order_relaxed)) return;
  context_.kernel = kernel;
  int status = 0;
  try {
    status = backend_->kernels[kernel](&context_, words);
  } catch (const std::exception& error) {
    status = fail(&context_, "%s", error.what());
  }
  if (status != 0) failure_ = std::make_unique<KernelFailure>(KernelFailure{kNames[kernel], context_.error});
}

void Executor::failed(const char* action) {
  if (!failure_) failure_ = std::make_unique<KernelFailure>(KernelFailure{action, context_.error});
}

void Executor::runCalls(const Calls& calls) {
  for (const Calls::Call& call : calls.calls) runKernel(call.kernel, calls.words.data() + call.first);
}

// Has the device note the calls. False: they are to be run one by one.
bool Executor::capture(Calls& calls) {
  const int status = api_->beginCapture(&context_);
  calls.plain = status == kDeclined;
  if (calls.plain) return false;
  if (status != 0) {
    failed("capture");
    return true;
  }
  runCalls(calls);
  // After a failure the capture still has to be ended.
  const bool noted = !failure_;
  if (api_->endCapture(&context_, noted ? &calls.graph : nullptr) != 0) failed("capture");
  return true;
}

// Runs the calls as a graph. False: they are to be run one by one.
bool Executor::launch(Calls& calls) {
  for (int attempt = 0; attempt < 2; ++attempt) {
    if (calls.graph == nullptr && !capture(calls)) return false;
    if (failure_) return true;
    const int status = api_->launchGraph(&context_, calls.graph);
    if (status == 0) return true;
    if (status != kDeclined) {
      failed("replay");
      return true;
    }
    api_->releaseGraph(&context_, calls.graph);
    calls.graph = nullptr;
  }
  return false;
}

// The first run goes call by call: it loads the kernels and lets the workspace grow to its size, neither of
// which can happen while a graph is captured.
void Executor::runReplay(Calls& calls) {
  if (failure_ || stopping_.load(std::memory_order_relaxed)) return;
  const bool graphs = api_ != nullptr && api_->beginCapture != nullptr && !calls.plain && calls.ran;
  if (graphs && launch(calls)) return;
  runCalls(calls);
  calls.ran = !failure_;
}

void Executor::runCopyIn(const Command& command) {
  if (api_ == nullptr) {
    std::memcpy(command.destination, command.source, command.bytes);
  } else if (api_->copyIn(&context_, command.destination, command.source, command.bytes) != 0 && !failure_) {
    failure_ = std::make_unique<KernelFailure>(KernelFailure{"write", context_.error});
  }
  std::free(const_cast<void*>(command.source));
}

void Executor::runCopyOut(const Command& command) {
  const std::unique_ptr<Done> done(command.done);
  if (api_ == nullptr) {
    if (!failure_ && command.bytes != 0) std::memcpy(command.destination, command.source, command.bytes);
    (*done)(std::move(failure_));
    failure_.reset();
    return;
  }
  void* ticket = nullptr;
  const size_t bytes = failure_ ? 0 : command.bytes;
  if (api_->copyOut(&context_, command.destination, command.source, bytes, &ticket) != 0) {
    ticket = nullptr;
    if (!failure_) failure_ = std::make_unique<KernelFailure>(KernelFailure{"read", context_.error});
  }
  // A failure that the device reports came before one that the host saw when it launched.
  auto earlier = std::make_shared<std::unique_ptr<KernelFailure>>(std::move(failure_));
  failure_.reset();
  waiter_->add([this, ticket, earlier, done = *done](KernelContext* context) {
    std::unique_ptr<KernelFailure> failure = std::move(*earlier);
    context->kernel = kKernelCount;
    if (ticket != nullptr && api_->finish(context, ticket) != 0) {
      const char* name = context->kernel < kKernelCount ? kNames[context->kernel] : "read";
      failure = std::make_unique<KernelFailure>(KernelFailure{name, context->error});
    }
    done(std::move(failure));
  });
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
        runKernel(command.kernel, command.words);
        break;
      case Kind::kReplay:
        runReplay(*command.calls);
        break;
      case Kind::kCopyIn:
        runCopyIn(command);
        break;
      case Kind::kCopyOut:
        runCopyOut(command);
        break;
      case Kind::kFree:
        Pool::freeBlock(api_, &context_, {command.destination, command.bytes});
        break;
      case Kind::kTask: {
        const std::unique_ptr<std::function<void()>> task(command.task);
        (*task)();
        break;
      }
      case Kind::kStop:
        return;
    }
    head_.store(head + 1, std::memory_order_release);
    head_.notify_one();
  }
}

}  // namespace anneal::addon
