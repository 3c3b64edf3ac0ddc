// choice.h — a warp that holds a row of numbers, 32 neighbours a step, and marks the largest of them, ties
// going to the lowest index. Comparisons are of integer keys, so that each choice is exact.
#pragma once

#include <cstdint>

#include "cuda/device/reduce.h"
#include "cuda/ptx/target.h"
#include "cuda/ptx/warp.h"

namespace anneal::cuda {

// Numbers 32·i + lane of a row in this lane: `held` of them in registers, or (0) `steps` in shared memory.
template <typename T, int held>
struct Lane {
  T value[held];
  ANNEAL_DEVICE Lane(T*, int) {}
  // body(i, number 32·i + lane) for each i in ascending order.
  template <typename Body>
  ANNEAL_DEVICE void each(const Body& body) {
#pragma unroll
    for (int i = 0; i < held; ++i) body(i, value[i]);
  }
};
template <typename T>
struct Lane<T, 0> {
  T* row;  // of the warp, 32·steps numbers
  int steps;
  ANNEAL_DEVICE Lane(T* shared, int count) : row(shared), steps(count) {}
  template <typename Body>
  ANNEAL_DEVICE void each(const Body& body) {
    for (int i = 0; i < steps; ++i) body(i, row[i * kWarpSize + laneId()]);
  }
};

// The numbers of two rows that are held alike: body(i, a, b).
template <typename A, typename B, int held, typename Body>
ANNEAL_DEVICE void eachOf(Lane<A, held>& a, Lane<B, held>& b, const Body& body) {
  if constexpr (held > 0) {
#pragma unroll
    for (int i = 0; i < held; ++i) body(i, a.value[i], b.value[i]);
  } else {
    for (int i = 0; i < a.steps; ++i)
      body(i, a.row[i * kWarpSize + laneId()], b.row[i * kWarpSize + laneId()]);
  }
}

// Keys are those of orderOf (reduce.h), which gives neither of these two.
constexpr uint32_t kTaken = 0;     // has been chosen
constexpr uint32_t kExcluded = 1;  // may not be

// The number of a key.
ANNEAL_DEVICE float numberOf(uint32_t key) {
  return key == ~0u ? asFloat(0x7fffffffu) : asFloat(key ^ (key >> 31 != 0 ? 0x80000000u : ~0u));
}

// Marks the `count` largest keys, of which at least as many are not excluded. Each lane of the warp calls it.
template <int held>
ANNEAL_DEVICE void takeLargest(Lane<uint32_t, held>& keys, int count) {
  for (int round = 0; round < count; ++round) {
    uint32_t best = kTaken;
    int step = 0;
    keys.each([&](int i, uint32_t& key) {
      if (key > best) {
        best = key;
        step = i;
      }
    });
    const uint32_t index = static_cast<uint32_t>(step) * kWarpSize + laneId();
    const uint32_t winner = warpMin(best == warpMax(best) ? index : ~0u);
    if constexpr (held > 0) {
      keys.each([&](int i, uint32_t& key) {
        if (i * kWarpSize + laneId() == winner) key = kTaken;
      });
    } else if (index == winner) {
      keys.row[winner] = kTaken;
    }
  }
}

}  // namespace anneal::cuda
