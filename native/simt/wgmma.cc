// wgmma.cc — wgmma by the 128 fibers of a warpgroup. A product is queued when all have called, and executed
// some time before the wait that covers its group, with what shared memory then holds. From the issue to a
// thread's wait its accumulator holds NaN and may not be touched.
#include "simt/wgmma.h"

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <memory>
#include <utility>
#include <vector>

#include "simt/async.h"
#include "simt/wgmma_tile.h"

namespace anneal::simt {

namespace {

constexpr const char* kWgmma = "wgmma.mma_async";
constexpr uint32_t kPoison = 0x7fffffffu;
constexpr size_t kRemembered = 8;  // accumulators of a thread

// The accumulator of 128 threads while products write it.
struct Result {
  float* registers[kWarpgroup];
  unsigned n = 0;
  std::vector<float> values;  // [64, n]
  uint32_t lastGroup = 0;
  uint32_t issued = 0;
  uint32_t executed = 0;
  uint32_t returned = 0;  // threads that have waited and got theirs
};

struct ProductOperation;

struct Group {
  uint32_t number = 0;
  std::vector<ProductOperation*> pending;
  ClockRef done;        // the operations' times
  uint32_t waited = 0;  // threads
};

}  // namespace

struct Warpgroup {
  std::vector<std::shared_ptr<Result>> results;
  std::vector<Group> groups;
};

namespace {

struct ProductOperation final : Operation {
  Warpgroup* warpgroup = nullptr;
  std::shared_ptr<Result> result;
  uint32_t group = 0;
  uint32_t order = 0;  // among the result's products
  uint32_t rank = 0;
  uint64_t a = 0, b = 0;
  bool registersA = false, transposedA = false, transposedB = false, accumulate = false;
  float fragmentA[kProductRows][kProductDepth];

  bool ready() const override { return result->executed == order; }

  void deliver() override {
    float operandA[kProductRows][kProductDepth], operandB[kProductColumns][kProductDepth];
    if (!registersA) readOperand(actor, rank, a, transposedA, kProductRows, operandA);
    readOperand(actor, rank, b, transposedB, result->n, operandB);
    if (!accumulate) std::fill(result->values.begin(), result->values.end(), 0.0f);
    multiplyTile(result->values.data(), result->n, registersA ? fragmentA : operandA, operandB);
    ++result->executed;
    for (Group& entry : warpgroup->groups) {
      if (entry.number == group) std::erase(entry.pending, this);
    }
  }

  void describe(char* text, size_t size) const override {
    std::snprintf(text, size, "wgmma m64n%uk16 of group %u", result->n, group);
  }
  bool mustBeAwaited() const override { return true; }
};

// What each thread brings.
struct Operands {
  float* accumulator;
  unsigned n;
  const uint32_t* registersA;
  bool transposedA, transposedB, accumulate;
};

const Operands& operandsOf(const Thread* thread) {
  return *static_cast<const Operands*>(thread->call.operand);
}

// visit(register, row, column) for each element of the accumulator of a thread.
template <typename F>
void forRegisters(unsigned rank, unsigned n, F visit) {
  const unsigned row = rank / kLanes * 16 + rank % kLanes / 4, column = 2 * (rank % 4);
  for (unsigned r = 0; r < n / 2; ++r) visit(r, row + (r / 2 % 2) * 8, r / 4 * 8 + column + r % 2);
}

void agree(Thread* const* threads) {
  const Operands& first = operandsOf(threads[0]);
  for (unsigned i = 0; i < kWarpgroup; ++i) {
    const Operands& other = operandsOf(threads[i]);
    if (other.n != first.n || other.transposedA != first.transposedA ||
        other.transposedB != first.transposedB || other.accumulate != first.accumulate ||
        (other.registersA == nullptr) != (first.registersA == nullptr)) {
      violation("wgmma: threads %u and %u of the warpgroup call with different shapes or flags",
                threads[0]->linear, threads[i]->linear);
    }
    const ThreadAsync& async = threads[i]->async;
    if (async.productGroup != threads[0]->async.productGroup ||
        async.productsWaited != threads[0]->async.productsWaited) {
      violation("wgmma: threads %u and %u of the warpgroup have committed or waited for different groups",
                threads[0]->linear, threads[i]->linear);
    }
    if (!async.fenced) {
      violation(
          "wgmma without wgmmaFence: thread %u has touched registers of the product since its last fence, or "
          "never "
          "called it",
          threads[i]->linear);
    }
  }
}

// Remembers where the thread's accumulator lies and marks it as under way.
void watch(Thread& thread, const float* accumulator, unsigned registers) {
  auto& known = thread.async.accumulators;
  const auto address = reinterpret_cast<uintptr_t>(accumulator);
  const auto bytes = static_cast<uint32_t>(registers * sizeof(float));
  size_t kept = 0;
  for (size_t i = 0; i < known.size(); ++i) {
    const bool overlaps = known[i].address < address + bytes && address < known[i].address + known[i].bytes;
    if (overlaps && known[i].inFlight && known[i].address != address) {
      violation("wgmma: the accumulator overlaps another one that is under way");
    }
    if (!overlaps) known[kept++] = known[i];
  }
  known.resize(kept);
  if (known.size() >= kRemembered && !known.front().inFlight) known.erase(known.begin());
  known.push_back({address, bytes, true});
  thread.async.watching = true;
}

Group& openGroup(Warpgroup& warpgroup, uint32_t number) {
  if (warpgroup.groups.empty() || warpgroup.groups.back().number != number) {
    warpgroup.groups.emplace_back();
    warpgroup.groups.back().number = number;
  }
  return warpgroup.groups.back();
}

std::shared_ptr<Result> resultFor(Warpgroup& warpgroup, Thread* const* threads) {
  const Operands& first = operandsOf(threads[0]);
  for (const auto& result : warpgroup.results) {
    if (result->registers[0] != first.accumulator) continue;
    if (result->n != first.n) {
      violation("wgmma: n%u into an accumulator for which n%u is under way; wait for it first", first.n,
                result->n);
    }
    return result;
  }
  auto result = std::make_shared<Result>();
  result->n = first.n;
  result->values.resize(size_t{kProductRows} * first.n);
  for (unsigned i = 0; i < kWarpgroup; ++i) {
    float* registers = operandsOf(threads[i]).accumulator;
    result->registers[i] = registers;
    forRegisters(i, first.n, [&](unsigned r, unsigned row, unsigned column) {
      if (first.accumulate) result->values[size_t{row} * first.n + column] = registers[r];
      std::memcpy(registers + r, &kPoison, sizeof(kPoison));
    });
  }
  warpgroup.results.push_back(result);
  return result;
}

void runWgmma(Thread* const* threads, unsigned) {
  agree(threads);
  const Call& call = threads[0]->call;
  const Operands& first = operandsOf(threads[0]);
  Block& block = *threads[0]->block;
  std::shared_ptr<Warpgroup>& slot = block.async.warpgroups[threads[0]->linear / kWarpgroup];
  if (slot == nullptr) slot = std::make_shared<Warpgroup>();
  Warpgroup& warpgroup = *slot;
  for (unsigned i = 0; i < kWarpgroup; ++i)
    watch(*threads[i], operandsOf(threads[i]).accumulator, first.n / 2);

  auto operation = std::make_unique<ProductOperation>();
  ProductOperation& product = *operation;
  product.warpgroup = &warpgroup;
  product.result = resultFor(warpgroup, threads);
  product.group = product.result->lastGroup = threads[0]->async.productGroup;
  product.order = product.result->issued++;
  product.rank = block.rank;
  product.a = call.a;
  product.b = call.b;
  product.registersA = first.registersA != nullptr;
  product.transposedA = first.transposedA;
  product.transposedB = first.transposedB;
  product.accumulate = first.accumulate;
  for (unsigned i = 0; product.registersA && i < kWarpgroup; ++i) {
    const unsigned row = i / kLanes * 16 + i % kLanes / 4, column = 2 * (i % 4);
    for (unsigned w = 0; w < 4; ++w) {
      const uint32_t word = operandsOf(threads[i]).registersA[w];
      float* target = product.fragmentA[row + w % 2 * 8] + column + w / 2 * 8;
      target[0] = __builtin_bit_cast(float, word << 16);
      target[1] = __builtin_bit_cast(float, word & 0xffff0000u);
    }
  }
  defer(std::move(operation));
  // It may rely on what every thread of the warpgroup knows, not on the last one's knowledge.
  Actor* actors[kWarpgroup];
  for (unsigned i = 0; i < kWarpgroup; ++i) actors[i] = &threads[i]->actor;
  product.actor.known = knownToAll(actors, kWarpgroup);
  Group& group = openGroup(warpgroup, product.group);
  group.pending.push_back(&product);
  Actor bare;
  bare.id = product.actor.id;
  bare.now = product.actor.now;
  publish(bare, group.done);
}

}  // namespace

void wgmmaFence() { self().async.fenced = true; }

void wgmmaCommit() { ++self().async.productGroup; }

void wgmma(float* accumulator, unsigned n, const uint32_t* registersA, uint64_t a, bool transposedA,
           uint64_t b, bool transposedB, bool accumulate) {
  InsideRuntime inside;
  if (registersA == nullptr) checkDescriptor(a, "A");
  checkDescriptor(b, "B");
  Operands operands{accumulator, n, registersA, transposedA, transposedB, accumulate};
  Call call;
  call.kind = kWgmma;
  call.mask = 0xffffffffu;
  call.a = a;
  call.b = b;
  call.operand = &operands;
  meetWarpgroup(call, runWgmma);
}

void wgmmaWait(unsigned pending) {
  InsideRuntime inside;
  Thread& thread = self();
  ThreadAsync& async = thread.async;
  const std::shared_ptr<Warpgroup>& slot = thread.block->async.warpgroups[thread.linear / kWarpgroup];
  if (slot == nullptr) return;
  Warpgroup& warpgroup = *slot;
  const uint32_t rank = thread.linear % kWarpgroup;
  const auto due = [&](uint32_t group) { return group + pending < async.productGroup; };
  for (size_t i = 0; i < warpgroup.groups.size();) {
    if (!due(warpgroup.groups[i].number) || warpgroup.groups[i].number < async.productsWaited) {
      ++i;
      continue;
    }
    while (!warpgroup.groups[i].pending.empty()) {
      ProductOperation* next = warpgroup.groups[i].pending.front();
      for (ProductOperation* other : warpgroup.groups[i].pending) {
        if (other->ready()) next = other;
      }
      deliverNow(next);
    }
    Group& group = warpgroup.groups[i];
    learn(thread.actor, group.done);
    if (++group.waited == kWarpgroup) {
      warpgroup.groups.erase(warpgroup.groups.begin() + static_cast<ptrdiff_t>(i));
    } else {
      ++i;
    }
  }
  for (size_t i = 0; i < warpgroup.results.size();) {
    Result& result = *warpgroup.results[i];
    if (!due(result.lastGroup) || result.lastGroup < async.productsWaited) {
      ++i;
      continue;
    }
    float* registers = result.registers[rank];
    forRegisters(rank, result.n, [&](unsigned r, unsigned row, unsigned column) {
      registers[r] = result.values[size_t{row} * result.n + column];
    });
    for (Accumulator& known : async.accumulators) {
      if (known.address == reinterpret_cast<uintptr_t>(registers)) known.inFlight = false;
    }
    if (++result.returned == kWarpgroup) {
      warpgroup.results.erase(warpgroup.results.begin() + static_cast<ptrdiff_t>(i));
    } else {
      ++i;
    }
  }
  if (async.productGroup > pending && async.productGroup - pending > async.productsWaited) {
    async.productsWaited = async.productGroup - pending;
  }
}

void wgmmaRequire(const float* accumulator, unsigned registers) {
  for (const Accumulator& known : self().async.accumulators) {
    if (!known.inFlight || known.address != reinterpret_cast<uintptr_t>(accumulator)) continue;
    violation("wgmmaWait names an accumulator of %u registers whose group it does not wait for", registers);
  }
}

void checkRegisters(Thread& thread, uintptr_t address, size_t bytes) {
  for (const Accumulator& known : thread.async.accumulators) {
    if (known.address >= address + bytes || address >= known.address + known.bytes) continue;
    if (known.inFlight)
      violation("an accumulator of wgmma is touched before wgmmaWait: its product is under way");
    thread.async.fenced = false;
  }
}

bool productsUnderWay(const Block& block) {
  for (const auto& warpgroup : block.async.warpgroups) {
    if (warpgroup != nullptr && !warpgroup->results.empty()) return true;
  }
  return false;
}

}  // namespace anneal::simt
