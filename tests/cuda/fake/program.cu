// program.cu — scenarios for the host side of the CUDA backend over the stand-in of the runtime library: one
// a run, by name, because a broken device stays broken. Prints what it saw, line by line, for runtime.test.ts
// to judge.
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "cuda/device_state.h"
#include "cuda/kernels/table.h"
#include "cuda/launch.h"
#include "cudart.h"

extern "C" const anneal::Backend* annealBackend();

namespace anneal::cuda {

__global__ void __launch_bounds__(32) badIndexKernel(FaultReporter) {}
__global__ void __launch_bounds__(32) crashKernel() {}
__global__ void __launch_bounds__(32) quietKernel() {}

// Kernels of this program in places of the table: fill finds bad data, cast crashes, axpy and unary do
// nothing, reduce wants much shared memory, softmax a workspace of args bytes.
void registerElementwise(Backend& table) {
  table.kernels[kKernel_fill] = [](KernelContext* context, const void*) {
    return launch(context, badIndexKernel, {1, 32}, faultReporter(context));
  };
  table.kernels[kKernel_cast] = [](KernelContext* context, const void*) {
    return launch(context, crashKernel, {1, 32});
  };
  table.kernels[kKernel_axpy] = table.kernels[kKernel_unary] = [](KernelContext* context, const void*) {
    return launch(context, quietKernel, {{3, 2, 1}, 32, 64});
  };
  table.kernels[kKernel_reduce] = [](KernelContext* context, const void* bytes) {
    return launch(context, quietKernel, {1, 32, *static_cast<const size_t*>(bytes)});
  };
  table.kernels[kKernel_softmax] = [](KernelContext* context, const void* bytes) {
    return workspace(context, *static_cast<const size_t*>(bytes)) == nullptr ? 1 : 0;
  };
}

}  // namespace anneal::cuda

namespace {

using namespace anneal;

const DeviceApi& api() { return *annealBackend()->device; }

// Of quietKernel.
std::atomic<int> runs{0};

// The executor's context and the waiter's, as the addon keeps them.
KernelContext executor, waiter;

void require(bool condition, const char* what) {
  if (condition) return;
  std::printf("failed: %s %s%s\n", what, executor.error, waiter.error);
  std::fflush(stdout);
  std::_Exit(1);
}

void open() {
  using fake::Arguments;
  fake::defineKernel("takeFaultKernel", {8, 8}, [](const Arguments& arguments) {
    void *fault = nullptr, *record = nullptr;
    std::memcpy(&fault, arguments[0].data(), 8);
    std::memcpy(&record, arguments[1].data(), 8);
    std::memcpy(record, fault, sizeof(cuda::Fault));
    std::memset(fault, 0, sizeof(cuda::Fault));
  });
  fake::defineKernel("badIndexKernel", {sizeof(cuda::FaultReporter)}, [](const Arguments& arguments) {
    cuda::FaultReporter reporter;
    std::memcpy(&reporter, arguments[0].data(), sizeof(reporter));
    if (reporter.fault->sequence != 0) return;
    *reporter.fault = {reporter.sequence, reporter.kernel, cuda::kFaultIndex, 10,
                       ~((uint64_t{7} << 32) | 12)};
  });
  fake::defineKernel("crashKernel", {}, [](const Arguments&) { fake::breakDevice(cudaErrorIllegalAddress); });
  fake::defineKernel("quietKernel", {}, [](const Arguments&) { runs += 1; });
  require(api().open(&executor, 0) == 0, "open");
  waiter = executor;
}

int kernel(uint32_t id, const void* arguments = nullptr) {
  executor.kernel = id;
  executor.sequence += 1;
  return annealBackend()->kernels[id](&executor, arguments);
}

// A read of no bytes: prints the kernel it blames ("-" for none) and the message.
void read() {
  void* ticket = nullptr;
  require(api().copyOut(&executor, nullptr, nullptr, 0, &ticket) == 0, "copyOut");
  waiter.kernel = kKernelCount;
  waiter.error[0] = 0;
  const int status = api().finish(&waiter, ticket);
  std::printf("read %d kernel %d: %s\n", status,
              waiter.kernel == kKernelCount ? -1 : static_cast<int>(waiter.kernel), waiter.error);
}

void close() {
  api().close(&executor);
  std::printf("alive %zu\n", fake::alive());
}

std::vector<char> noise(size_t bytes, uint64_t seed) {
  std::mt19937_64 random(seed);
  std::vector<char> data(bytes);
  for (size_t i = 0; i < bytes; i += 8) {
    const uint64_t word = random();
    std::memcpy(data.data() + i, &word, std::min<size_t>(8, bytes - i));
  }
  return data;
}

void describeScenario() {
  char reason[256];
  fake::machine().name = std::string(200, 'G');
  std::printf("count %d\n", api().count(reason, sizeof(reason)));
  DeviceFacts facts;
  require(api().describe(&executor, 0, &facts) == 0, "describe");
  std::printf("name %zu, %lld processors, capability %lld, driver %lld, shared %lld\n",
              std::strlen(facts.name), static_cast<long long>(facts.processors),
              static_cast<long long>(facts.computeCapability), static_cast<long long>(facts.driverVersion),
              static_cast<long long>(facts.sharedBytes));
  require(api().describe(&executor, 1, &facts) != 0, "describe beyond the end");
  std::printf("%s\n", executor.error);
  fake::machine().name = "An old GPU";
  fake::machine().major = 7, fake::machine().minor = 5;
  require(api().open(&executor, 0) != 0, "an old GPU");
  std::printf("%s\n", executor.error);
  fake::machine().devices = 0;
  std::printf("count %d: ", api().count(reason, sizeof(reason)));
  std::printf("%s\n", reason);
  fake::machine().driver = 12040;
  std::printf("count %d: ", api().count(reason, sizeof(reason)));
  std::printf("%s\n", reason);
  fake::machine().driver = 0;
  std::printf("count %d: ", api().count(reason, sizeof(reason)));
  std::printf("%s\n", reason);
}

// Sources change as soon as copyIn returns; reads are finished late, by another thread, while the device
// memory is already overwritten by the next copy.
void copyScenario() {
  open();
  fake::machine().delayMicroseconds = 20;
  constexpr size_t kLargest = 37'000'003;
  char* memory = static_cast<char*>(api().allocate(&executor, kLargest));
  struct Read {
    void* ticket;
    std::vector<char> wanted, got;
  };
  std::deque<Read> reads;
  std::mt19937 random(1);
  size_t bytes[] = {1,       3,          4096,    4097, 1 << 20, (2 << 20) + 1, 4 << 20, (4 << 20) + 1,
                    8 << 20, 20'000'000, kLargest};
  size_t rounds = 0;
  for (int repeat = 0; repeat < 40; ++repeat) {
    for (const size_t most : bytes) {
      if (most > (1 << 20) && repeat % 8 != 0) continue;
      const size_t n = repeat == 0 ? most : 1 + random() % most, at = random() % (kLargest - n + 1);
      std::vector<char> data = noise(n, random());
      Read& read = reads.emplace_back(Read{nullptr, data, std::vector<char>(n, 0)});
      require(api().copyIn(&executor, memory + at, data.data(), n) == 0, "copyIn");
      std::fill(data.begin(), data.end(), 'x');
      require(api().copyOut(&executor, read.got.data(), memory + at, n, &read.ticket) == 0, "copyOut");
      ++rounds;
    }
    if (repeat % 4 != 3) continue;
    std::thread([&] {
      for (Read& read : reads) {
        require(api().finish(&waiter, read.ticket) == 0, "finish");
        require(read.got == read.wanted, "the bytes that were written");
      }
    }).join();
    reads.clear();
  }
  api().release(&executor, memory);
  std::printf("rounds %zu\n", rounds);
  close();
}

// The executor goes on while the stream stands still: many small copies, kernels and reads.
void aheadScenario() {
  open();
  char* memory = static_cast<char*>(api().allocate(&executor, 1 << 20));
  std::vector<char> result(200 * 64);
  std::vector<void*> tickets(200);
  fake::hold();
  for (size_t i = 0; i < tickets.size(); ++i) {
    const std::vector<char> data(64, static_cast<char>(i));
    require(api().copyIn(&executor, memory, data.data(), 64) == 0, "copyIn");
    require(kernel(kKernel_axpy) == 0, "kernel");
    require(api().copyOut(&executor, &result[i * 64], memory, 64, &tickets[i]) == 0, "copyOut");
  }
  std::printf("queued\n");
  fake::letGo();
  for (void* ticket : tickets) require(api().finish(&waiter, ticket) == 0, "finish");
  for (size_t i = 0; i < result.size(); ++i)
    require(result[i] == static_cast<char>(i / 64), "order of the stream");
  api().release(&executor, memory);
  close();
}

// Bad data: the next read is told, the one after it is not.
void faultScenario() {
  open();
  require(kernel(kKernel_axpy) == 0 && kernel(kKernel_fill) == 0 && kernel(kKernel_unary) == 0, "kernels");
  read();
  read();
  require(kernel(kKernel_fill) == 0, "kernel");
  read();
  close();
}

void crashScenario(bool several) {
  open();
  require(kernel(kKernel_unary) == 0, "kernel");
  read();
  if (several) require(kernel(kKernel_axpy) == 0, "kernel");
  const int status = kernel(kKernel_cast);
  if (several && status == 0) kernel(kKernel_unary);
  std::printf("launch %d: %s\n", status, executor.error);
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  read();
  std::printf("allocate %d: %s\n", api().allocate(&executor, 16) == nullptr, executor.error);
  std::printf("launch %d: %s\n", kernel(kKernel_unary), executor.error);
  close();
}

void memoryScenario() {
  open();
  const size_t total = fake::machine().memory, base = fake::usedMemory();
  void* half = api().allocate(&executor, total / 2);
  require(half != nullptr, "half of the memory");
  std::printf("too much %d, message \"%s\", last error %d\n", api().allocate(&executor, total) == nullptr,
              executor.error, cudaGetLastError());
  void* none = api().allocate(&executor, 0);
  require(none != nullptr, "no bytes");
  size_t bytes = 1000;
  require(kernel(kKernel_softmax, &bytes) == 0, "workspace");
  const size_t least = fake::usedMemory();
  bytes = 5000;
  require(kernel(kKernel_softmax, &bytes) == 0 && fake::usedMemory() == least, "the same workspace");
  bytes = 100 << 20;
  require(kernel(kKernel_softmax, &bytes) == 0, "a larger workspace");
  DeviceMemory memory;
  require(api().memory(&executor, &memory) == 0, "memory");
  std::printf("workspace %lld MiB, all accounted for %d\n", static_cast<long long>(memory.workspace >> 20),
              static_cast<size_t>(memory.free) == total - fake::usedMemory());
  bytes = total;
  std::printf("workspace %d: %s\n", kernel(kKernel_softmax, &bytes), executor.error);
  bytes = 1000;
  require(kernel(kKernel_softmax, &bytes) == 0, "a workspace after that");
  api().release(&executor, half);
  api().release(&executor, none);
  std::printf("given back %d\n", fake::usedMemory() < base + (8 << 20));
  close();
}

void launchScenario() {
  open();
  size_t bytes = 100'000;
  require(kernel(kKernel_reduce, &bytes) == 0 && kernel(kKernel_reduce, &bytes) == 0, "shared memory");
  std::printf("attribute calls %zu\n", fake::attributeCalls());
  bytes = 300'000;
  std::printf("shared %d: %s\n", kernel(kKernel_reduce, &bytes), executor.error);
  fake::failNextLaunch(cudaErrorNoKernelImageForDevice);
  std::printf("image %d: %s\n", kernel(kKernel_axpy), executor.error);
  fake::failNextLaunch(cudaErrorInvalidValue);
  std::printf("shape %d: %s\n", kernel(kKernel_axpy), executor.error);
  std::printf("missing %d\n", annealBackend()->kernels[kKernel_sgd] == nullptr);
  read();
  void *from = nullptr, *to = nullptr;
  require(api().mark(&executor, &from) == 0, "mark");
  fake::machine().delayMicroseconds = 20000;
  require(kernel(kKernel_axpy) == 0, "kernel");
  require(api().mark(&executor, &to) == 0, "mark");
  double seconds = 0.0;
  require(api().elapsed(&waiter, from, to, &seconds) == 0, "elapsed");
  std::printf("elapsed %d\n", seconds > 0.03 && seconds < 3.0);
  api().releaseMark(&waiter, from);
  api().releaseMark(&waiter, to);
  close();
}

// Runs of the quiet kernel since the last call.
int ran() {
  read();
  return runs.exchange(0);
}

void* capture(std::initializer_list<uint32_t> kernels) {
  void* graph = nullptr;
  require(api().beginCapture(&executor) == 0, "beginCapture");
  for (const uint32_t id : kernels) require(kernel(id) == 0, "a kernel in a graph");
  require(api().endCapture(&executor, &graph) == 0 && graph != nullptr, "endCapture");
  return graph;
}

// A graph runs when it is launched, as often as it is; one whose workspace has moved is declined.
void graphScenario() {
  open();
  size_t bytes = 1000;
  require(kernel(kKernel_softmax, &bytes) == 0, "workspace");
  void* graph = capture({kKernel_axpy, kKernel_unary, kKernel_axpy});
  std::printf("captured, ran %d\n", ran());
  require(api().launchGraph(&executor, graph) == 0 && api().launchGraph(&executor, graph) == 0, "launch");
  std::printf("launched twice, ran %d\n", ran());
  // What others do in the meantime.
  bytes = 100 << 20;
  require(kernel(kKernel_softmax, &bytes) == 0, "a larger workspace");
  std::printf("moved %d, ran %d\n", api().launchGraph(&executor, graph), ran());
  api().releaseGraph(&executor, graph);
  graph = capture({kKernel_axpy, kKernel_fill});
  require(api().launchGraph(&executor, graph) == 0, "launch of the new one");
  std::printf("bad data, ran %d\n", ran());
  require(api().launchGraph(&executor, graph) == 0, "launch after bad data");
  std::printf("again, ran %d\n", ran());
  require(api().beginCapture(&executor) == 0, "beginCapture");
  bytes = 200 << 20;
  std::printf("workspace %d: %s\n", kernel(kKernel_softmax, &bytes), executor.error);
  require(api().endCapture(&executor, nullptr) == 0, "the end of a capture that is dropped");
  require(kernel(kKernel_axpy) == 0, "a kernel after that");
  std::printf("dropped, ran %d\n", ran());
  api().releaseGraph(&executor, graph);
  api().releaseGraph(&executor, nullptr);
  close();
}

void graphCrashScenario() {
  open();
  void* graph = capture({kKernel_axpy, kKernel_cast});
  read();
  std::printf("launch %d\n", api().launchGraph(&executor, graph));
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  read();
  std::printf("launch %d, capture %d\n", api().launchGraph(&executor, graph), api().beginCapture(&executor));
  api().releaseGraph(&executor, graph);
  close();
}

void graphBlockingScenario() {
  open();
  std::printf("capture %d\n", api().beginCapture(&executor));
  require(kernel(kKernel_axpy) == 0, "kernel");
  close();
}

}  // namespace

int main(int, char** arguments) {
  const std::string name = arguments[1];
  if (name == "describe") describeScenario();
  if (name == "copy") copyScenario();
  if (name == "ahead") aheadScenario();
  if (name == "fault") faultScenario();
  if (name == "crash") crashScenario(false);
  if (name == "crash-several") crashScenario(true);
  if (name == "memory") memoryScenario();
  if (name == "launch") launchScenario();
  if (name == "graph") graphScenario();
  if (name == "graph-crash") graphCrashScenario();
  if (name == "graph-blocking") graphBlockingScenario();
  std::printf("done\n");
  return 0;
}
