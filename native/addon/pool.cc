#include "addon/pool.h"

#include <sys/mman.h>

#include <cstdlib>

namespace anneal::addon {
namespace {

constexpr size_t kAlignment = 64;
constexpr size_t kLarge = size_t{1} << 20;     // from here on blocks come from mmap
constexpr size_t kHugePage = size_t{2} << 20;  // transparent huge pages save page faults and TLB misses

// Small sizes are rounded to a power of two quarter, so that few distinct sizes exist; large ones to 64 KiB.
size_t roundUp(size_t bytes) {
  if (bytes <= 256) return (bytes + kAlignment - 1) / kAlignment * kAlignment;
  if (bytes >= kLarge) return (bytes + 65535) / 65536 * 65536;
  size_t step = 64;
  while (step * 8 < bytes) step *= 2;
  return (bytes + step - 1) / step * step;
}

}  // namespace

void Pool::clear() {
  for (const auto& [data, block] : blocks_) freeBlock(api_, context_, {data, block.capacity});
  blocks_.clear();
  unused_.clear();
}

void Pool::freeBlock(const DeviceApi* api, KernelContext* context, const Unused& block) {
  if (api != nullptr) {
    api->release(context, block.data);
  } else if (block.capacity >= kLarge) {
    munmap(block.data, block.capacity);
  } else {
    std::free(block.data);
  }
}

void* Pool::fromSystem(size_t capacity) {
  if (api_ != nullptr) return api_->allocate(context_, capacity);
  if (capacity < kLarge) return std::aligned_alloc(kAlignment, capacity);
  void* data = mmap(nullptr, capacity, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (data == MAP_FAILED) return nullptr;
  if (capacity >= kHugePage) madvise(data, capacity, MADV_HUGEPAGE);
  return data;
}

// The smallest unused block that is large enough and not larger than `most`, or null.
void* Pool::take(std::multimap<size_t, void*>& unused, size_t wanted, size_t most) {
  const auto fit = unused.lower_bound(wanted);
  if (fit == unused.end() || fit->first > most) return nullptr;
  void* data = fit->second;
  unused.erase(fit);
  return data;
}

void* Pool::use(void* data, size_t bytes) {
  blocks_[data].asked = bytes;
  statistics_.live += bytes;
  statistics_.buffers += 1;
  if (statistics_.live > statistics_.peak) statistics_.peak = statistics_.live;
  return data;
}

void* Pool::allocate(size_t bytes) {
  if (arena_ != nullptr) {
    const size_t needed = bytes == 0 ? 1 : bytes, wanted = exact() ? needed : roundUp(needed);
    if (void* data = take(arena_->unused, wanted, exact() ? wanted : wanted + wanted / 8)) {
      statistics_.recorded -= blocks_.at(data).capacity;
      return use(data, bytes);
    }
  }
  return allocateFresh(bytes);
}

void* Pool::allocateFresh(size_t bytes) {
  const size_t needed = bytes == 0 ? 1 : bytes;
  const size_t wanted = exact() ? needed : roundUp(needed);
  // Best fit, as long as at most an eighth of a reused block is wasted.
  void* data = take(unused_, wanted, wanted + wanted / 8);
  if (data == nullptr) {
    if (limit_ != 0 && statistics_.reserved + wanted > limit_) return nullptr;
    data = fromSystem(wanted);
    if (data == nullptr) return nullptr;
    blocks_.emplace(data, Block{wanted, 0});
    statistics_.reserved += wanted;
  }
  return use(data, bytes);
}

void Pool::giveBack(const Block& block) {
  statistics_.live -= block.asked;
  statistics_.buffers -= 1;
}

bool Pool::release(void* data, Unused* unused) {
  const Block block = blocks_.at(data);
  giveBack(block);
  if (arena_ != nullptr) {
    arena_->unused.emplace(block.capacity, data);
    statistics_.recorded += block.capacity;
    return false;
  }
  if (!exact()) {
    unused_.emplace(block.capacity, data);
    return false;
  }
  blocks_.erase(data);
  statistics_.reserved -= block.capacity;
  *unused = {data, block.capacity};
  return true;
}

void Pool::retire(void* data, Arena& arena) {
  const Block block = blocks_.at(data);
  giveBack(block);
  arena.kept.push_back(data);
  statistics_.recorded += block.capacity;
}

std::vector<Pool::Unused> Pool::dissolve(Arena& arena) {
  for (const auto& [capacity, data] : arena.unused) arena.kept.push_back(data);
  arena.unused.clear();
  std::vector<Unused> gone;
  for (void* data : arena.kept) {
    const size_t capacity = blocks_.at(data).capacity;
    statistics_.recorded -= capacity;
    if (exact()) {
      gone.push_back({data, capacity});
      blocks_.erase(data);
      statistics_.reserved -= capacity;
    } else {
      unused_.emplace(capacity, data);
    }
  }
  arena.kept.clear();
  return gone;
}

std::vector<Pool::Unused> Pool::takeUnused() {
  std::vector<Unused> taken;
  for (const auto& [capacity, data] : unused_) {
    taken.push_back({data, capacity});
    blocks_.erase(data);
    statistics_.reserved -= capacity;
  }
  unused_.clear();
  return taken;
}

}  // namespace anneal::addon
