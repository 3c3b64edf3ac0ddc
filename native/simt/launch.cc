// launch.cc — runs a grid: its clusters one after the other in random order, each on fresh shared memory.
#include "simt/launch.h"

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <memory>
#include <numeric>
#include <vector>

#include "simt/memory.h"
#include "simt/scheduler.h"

namespace anneal::simt {
namespace {

constexpr uint64_t kDefaultSeed = 1;

// ANNEAL_SIMT_SEED is read at every launch, so that one process can try several.
uint64_t chosenSeed() {
  const char* text = std::getenv("ANNEAL_SIMT_SEED");
  return text == nullptr || *text == 0 ? kDefaultSeed : std::strtoull(text, nullptr, 10);
}

int checkShape(KernelContext* context, const Launch& launch) {
  const dim3 b = launch.block;
  const uint64_t threads = uint64_t{b.x} * b.y * b.z;
  if (threads == 0 || threads > kMaxThreads || b.z > 64) {
    return fail(context, "launch: a block of (%u, %u, %u) threads; a block has 1 to %u", b.x, b.y, b.z,
                kMaxThreads);
  }
  if (launch.grid.x > 0x7fffffffu || launch.grid.y > 65535 || launch.grid.z > 65535) {
    return fail(context, "launch: a grid of (%u, %u, %u) blocks; the limits are (2147483647, 65535, 65535)",
                launch.grid.x, launch.grid.y, launch.grid.z);
  }
  if (launch.sharedBytes > kMaxShared) {
    return fail(context, "launch: %zu bytes of shared memory; a block has at most %u", launch.sharedBytes,
                kMaxShared);
  }
  if (launch.cluster == 0 || launch.cluster > kMaxCluster || launch.grid.x % launch.cluster != 0) {
    return fail(context,
                "launch: clusters of %u blocks in a grid of %u; 1 to %u blocks, a divisor of the grid",
                launch.cluster, launch.grid.x, kMaxCluster);
  }
  return 0;
}

uint3 unflatten(uint64_t linear, dim3 shape) {
  return {static_cast<unsigned>(linear % shape.x), static_cast<unsigned>(linear / shape.x % shape.y),
          static_cast<unsigned>(linear / shape.x / shape.y)};
}

// Structures of one cluster; the same for all clusters of the grid but for indices and state.
void shapeCluster(Machine& m, const Launch& launch) {
  Cluster& cluster = m.cluster;
  const uint32_t threads = launch.block.x * launch.block.y * launch.block.z;
  const uint32_t warps = (threads + kLanes - 1) / kLanes;
  cluster.launch = m.launch;
  cluster.threads.clear();
  cluster.blocks.clear();
  cluster.blocks.resize(launch.cluster);
  cluster.warps.assign(size_t{launch.cluster} * warps, Warp());
  cluster.threads.resize(size_t{launch.cluster} * threads);
  for (uint32_t rank = 0; rank < launch.cluster; ++rank) {
    Block& block = cluster.blocks[rank];
    block.cluster = &cluster;
    block.rank = rank;
    block.threads = threads;
    block.arena = m.arenas + size_t{rank} * kSharedWindow;
    block.firstThread = &cluster.threads[size_t{rank} * threads];
    block.firstWarp = &cluster.warps[size_t{rank} * warps];
    for (uint32_t w = 0; w < warps; ++w) {
      Warp& warp = block.firstWarp[w];
      const uint32_t lanes = std::min(kLanes, threads - w * kLanes);
      warp.block = &block;
      warp.threads = block.firstThread + size_t{w} * kLanes;
      warp.lanes = lanes == kLanes ? ~0u : (1u << lanes) - 1;
      warp.index = w;
    }
    for (uint32_t t = 0; t < threads; ++t) {
      Thread& thread = block.firstThread[t];
      thread.actor.id = static_cast<uint16_t>(rank * threads + t);
      thread.block = &block;
      thread.warp = block.firstWarp + t / kLanes;
      thread.index = unflatten(t, launch.block);
      thread.linear = t;
      thread.lane = static_cast<uint8_t>(t % kLanes);
    }
  }
}

void startCluster(Machine& m, const Launch& launch, uint64_t number) {
  Cluster& cluster = m.cluster;
  // Before the clocks that they hold are reset.
  for (Block& block : cluster.blocks) block.async = {};
  for (Thread& thread : cluster.threads) thread.async.reset();
  resetClocks(cluster.threads.size() + kAgents);
  m.queue.clear();
  m.clusterNumber = static_cast<uint32_t>(number);
  m.tickets.startCluster();
  m.spins = 0;
  m.agent = 0;
  std::memset(m.agentNow, 0, sizeof(m.agentNow));
  const dim3 clusters(launch.grid.x / launch.cluster, launch.grid.y, launch.grid.z);
  const uint3 index = unflatten(number, clusters);
  for (Block& block : cluster.blocks) {
    block.index = {index.x * launch.cluster + block.rank, index.y, index.z};
    block.live = block.threads;
    for (NamedBarrier& barrier : block.barriers) {
      barrier.published.reset();
      barrier.expected = barrier.arrived = barrier.phase = 0;
      barrier.waiters = nullptr;
    }
    std::memset(block.arena, 0xff, launch.sharedBytes);
    m.shadow.clear(block.rank, launch.sharedBytes);
  }
  for (Warp& warp : cluster.warps) {
    warp.exited = warp.meeting = warp.barred = 0;
    warp.runnable = warp.lanes;
    warp.queued = true;
    m.queue.push_back(&warp);
  }
  for (Thread& thread : cluster.threads) {
    thread.actor.known.reset();
    thread.actor.now = 1;
    thread.stackBegin = 0;
    thread.state = ThreadState::kNew;
    thread.barrier = -1;
    thread.inside = 0;
    thread.nextWaiter = nullptr;
    std::memset(thread.barrierPhase, 0, sizeof(thread.barrierPhase));
  }
  cluster.live = static_cast<uint32_t>(cluster.threads.size());
  resetClocks(cluster.threads.size() + kAgents);  // last: nothing refers to a clock any more
}

// The machine of an OS thread. The pool of clocks is made first, so that it outlives the machine's
// references.
struct Owner {
  Owner() { resetClocks(1); }
  std::unique_ptr<Machine> machine;
};

// Clusters in random order without a list of them: a walk of a step that has no divisor in common with their
// number.
struct RandomOrder {
  uint64_t count, step, at;
  RandomOrder(uint64_t n, Random& random) : count(n), step(1), at(random.below(static_cast<uint32_t>(n))) {
    if (n > 2) {
      do {
        step = 1 + random.below(static_cast<uint32_t>(n - 1));
      } while (std::gcd(step, n) != 1);
    }
  }
  uint64_t next() {
    const uint64_t result = at;
    at = (at + step) % count;
    return result;
  }
};

}  // namespace

int launch(KernelContext* context, dim3 grid, dim3 block, size_t sharedBytes, unsigned cluster,
           const void* parameters, size_t parameterBytes, void (*entry)(const void*)) {
  static std::atomic<uint64_t> serial{0};
  static thread_local Owner owner;
  Launch launch;
  launch.context = context;
  launch.grid = grid;
  launch.block = block;
  launch.cluster = cluster;
  launch.sharedBytes = sharedBytes;
  launch.parameters = parameters;
  launch.parameterBytes = parameterBytes;
  launch.entry = entry;
  launch.seed = chosenSeed();
  launch.serial = ++serial;
  if (const int status = checkShape(context, launch)) return status;
  const uint64_t count = uint64_t{grid.x / cluster} * grid.y * grid.z;
  if (count > UINT32_MAX)
    return fail(context, "launch: %llu blocks are too many", static_cast<unsigned long long>(count));
  try {
    if (owner.machine == nullptr) owner.machine = std::make_unique<Machine>();
    Machine& m = *owner.machine;
    runningMachine = &m;
    m.launch = &launch;
    m.delivering = nullptr;
    m.parameters = reinterpret_cast<uintptr_t>(parameters);
    m.parameterBytes = parameterBytes;
    m.random.seed(launch.seed + context->sequence * 0x9e3779b97f4a7c15u);
    shapeCluster(m, launch);
    m.tickets.startLaunch();
    m.trackGlobal = count <= kCellClusters;
    RandomOrder order(count, m.random);
    for (uint64_t i = 0; i < count && !launch.failed; ++i) {
      startCluster(m, launch, order.next());
      runCluster(m);
    }
    if (launch.failed) {
      m.operations.clear();
      m.stacks.reset();
    }
    m.launch = nullptr;
  } catch (const std::exception& error) {
    runningMachine = nullptr;
    return fail(context, "launch: %s", error.what());
  }
  return launch.failed ? 1 : 0;
}

}  // namespace anneal::simt
