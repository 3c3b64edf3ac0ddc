// report.cc — the texts that end a launch: a violation with its place and seed, a deadlock with who waits
// where.
#include <cstdarg>
#include <cstdio>
#include <cstring>

#include "simt/async.h"
#include "simt/scheduler.h"

namespace anneal::simt {
namespace {

const char* const kNames[] = {
#define ANNEAL_NAME(name, args, signature) #name,
    ANNEAL_KERNELS(ANNEAL_NAME)
#undef ANNEAL_NAME
};

// Appends printf text and returns the new length, at most `size - 1`.
__attribute__((format(printf, 4, 5))) size_t append(char* text, size_t size, size_t used, const char* format,
                                                    ...) {
  if (used + 1 >= size) return used;
  va_list arguments;
  va_start(arguments, format);
  const int n = std::vsnprintf(text + used, size - used, format, arguments);
  va_end(arguments);
  return n < 0 ? used : (used + static_cast<size_t>(n) < size ? used + static_cast<size_t>(n) : size - 1);
}

struct Group {
  char reason[128];
  unsigned count;
  const Thread* example;
};

}  // namespace

// Who waits where: one clause for each reason, with the number of threads and one of them.
[[noreturn]] void deadlock(Machine& m) {
  constexpr size_t kGroups = 8;
  Group groups[kGroups];
  size_t used = 0;
  unsigned others = 0;
  for (const Thread& thread : m.cluster.threads) {
    if (thread.state == ThreadState::kExited) continue;
    char reason[128];
    if (thread.state == ThreadState::kWaiting) {
      std::snprintf(reason, sizeof(reason), thread.wait.format,
                    static_cast<unsigned long long>(thread.wait.a),
                    static_cast<unsigned long long>(thread.wait.b));
    } else {
      std::snprintf(reason, sizeof(reason), "polling without end");
    }
    size_t g = 0;
    while (g < used && std::strcmp(groups[g].reason, reason) != 0) ++g;
    if (g == kGroups) {
      ++others;
      continue;
    }
    if (g == used) {
      std::memcpy(groups[g].reason, reason, sizeof(reason));
      groups[g].count = 0;
      groups[g].example = &thread;
      ++used;
    }
    ++groups[g].count;
  }
  char text[400];
  size_t length = 0;
  text[0] = 0;
  const unsigned ended = static_cast<unsigned>(m.cluster.threads.size()) - m.cluster.live;
  for (size_t g = 0; g < used; ++g) {
    const Thread& t = *groups[g].example;
    length = append(text, sizeof(text), length, "%s%u at %s (thread (%u, %u, %u)", g == 0 ? "" : "; ",
                    groups[g].count, groups[g].reason, t.index.x, t.index.y, t.index.z);
    if (m.cluster.blocks.size() > 1) {
      length = append(text, sizeof(text), length, " of cluster rank %u", t.block->rank);
    }
    length = append(text, sizeof(text), length, groups[g].count > 1 ? " and others)" : ")");
  }
  if (others > 0) length = append(text, sizeof(text), length, "; %u elsewhere", others);
  if (ended > 0) length = append(text, sizeof(text), length, "; %u ended", ended);
  if (!m.operations.empty())
    append(text, sizeof(text), length, "; %zu operations not ready", m.operations.size());
  char lacking[200];
  describeBarriers(m.cluster, lacking, sizeof(lacking));
  append(text, sizeof(text), std::strlen(text), "%s", lacking);
  violation("deadlock, threads wait for ever: %s", text);
}

void nameActor(uint16_t id, char* text, size_t size) {
  const Machine& m = machine();
  const bool agent = id >= m.cluster.threads.size();
  const Thread* thread = agent ? m.agentIssuer[id - m.cluster.threads.size()] : &m.cluster.threads[id];
  size_t used = append(text, size, 0, "%s", agent ? "an asynchronous operation of " : "");
  used = append(text, size, used, "thread (%u, %u, %u)", thread->index.x, thread->index.y, thread->index.z);
  if (m.cluster.blocks.size() > 1) append(text, size, used, " of cluster rank %u", thread->block->rank);
}

const char* verb(Access access) {
  return access == Access::kRead ? "reads" : access == Access::kWrite ? "writes" : "updates";
}

const char* noun(Access access) {
  return access == Access::kRead ? "read" : access == Access::kWrite ? "write" : "atomic update";
}

// The kernel, the text, then the block, the thread and the seed that replays it.
void violation(const char* format, ...) {
  Machine& m = machine();
  Launch& launch = *m.launch;
  char text[420];
  va_list arguments;
  va_start(arguments, format);
  std::vsnprintf(text, sizeof(text), format, arguments);
  va_end(arguments);
  const Thread* thread = current;
  if (thread == nullptr && m.delivering != nullptr) thread = m.delivering->issuer;
  char place[96] = "";
  if (thread != nullptr) {
    const Block& block = *thread->block;
    std::snprintf(place, sizeof(place), "block (%u, %u, %u), thread (%u, %u, %u), ", block.index.x,
                  block.index.y, block.index.z, thread->index.x, thread->index.y, thread->index.z);
  }
  const uint32_t kernel = launch.context->kernel;
  fail(launch.context, "%s: %s [%sseed %llu]", kernel < kKernelCount ? kNames[kernel] : "kernel", text, place,
       static_cast<unsigned long long>(launch.seed));
  launch.failed = true;
  if (current == nullptr) throw LaunchFailed();
  current = nullptr;
  void* never = nullptr;
  annealSwitchFiber(&never, m.scheduler);
  __builtin_unreachable();
}

}  // namespace anneal::simt
