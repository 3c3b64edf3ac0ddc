#include "cpu/scratch.h"

#include <atomic>
#include <cstdlib>
#include <new>

namespace anneal::cpu {
namespace {

constexpr int kSlots = 8;
std::atomic<size_t> total{0};

struct Arena {
  void* data[kSlots] = {};
  size_t capacity[kSlots] = {};

  ~Arena() {
    for (int slot = 0; slot < kSlots; ++slot) {
      std::free(data[slot]);
      total -= capacity[slot];
    }
  }
};

thread_local Arena arena;

}  // namespace

void* threadScratch(int slot, size_t bytes) {
  if (arena.capacity[slot] < bytes) {
    const size_t grown = (bytes + bytes / 8 + 4095) & ~size_t{4095};
    std::free(arena.data[slot]);
    total -= arena.capacity[slot];
    arena.capacity[slot] = 0;
    arena.data[slot] = std::aligned_alloc(4096, grown);
    if (arena.data[slot] == nullptr) throw std::bad_alloc();
    arena.capacity[slot] = grown;
    total += grown;
  }
  return arena.data[slot];
}

size_t scratchBytes() { return total; }

}  // namespace anneal::cpu
