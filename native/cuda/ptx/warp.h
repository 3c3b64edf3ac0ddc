// warp.h — communication inside a warp. Every lane named in `mask` must make the same call; a warp is never
// assumed to run in step.
#pragma once

#include "cuda/ptx/target.h"

namespace anneal::cuda {

#if defined(ANNEAL_SIMT)
template <typename T>
ANNEAL_DEVICE T shuffle(T value, unsigned lane, uint32_t mask = kAllLanes) {
  return simt::shuffle(value, lane, mask);
}
template <typename T>
ANNEAL_DEVICE T shuffleXor(T value, unsigned distance, uint32_t mask = kAllLanes) {
  return simt::shuffle(value, laneId() ^ distance, mask);
}
template <typename T>
ANNEAL_DEVICE T shuffleUp(T value, unsigned distance, uint32_t mask = kAllLanes) {
  return simt::shuffle(value, laneId() < distance ? laneId() : laneId() - distance, mask);
}
template <typename T>
ANNEAL_DEVICE T shuffleDown(T value, unsigned distance, uint32_t mask = kAllLanes) {
  return simt::shuffle(value, laneId() + distance >= kWarpSize ? laneId() : laneId() + distance, mask);
}
ANNEAL_DEVICE uint32_t ballot(bool predicate, uint32_t mask = kAllLanes) {
  return simt::ballot(predicate, mask);
}
ANNEAL_DEVICE void syncWarp(uint32_t mask = kAllLanes) { simt::syncWarp(mask); }
ANNEAL_DEVICE bool anyLane(bool predicate, uint32_t mask = kAllLanes) { return ballot(predicate, mask) != 0; }
ANNEAL_DEVICE bool allLanes(bool predicate, uint32_t mask = kAllLanes) {
  return ballot(predicate, mask) == mask;
}
// The largest and the smallest value of the whole warp, in every lane.
ANNEAL_DEVICE uint32_t warpMax(uint32_t value) {
  for (unsigned distance = kWarpSize / 2; distance > 0; distance /= 2) {
    const uint32_t other = shuffleXor(value, distance);
    value = other > value ? other : value;
  }
  return value;
}
ANNEAL_DEVICE uint32_t warpMin(uint32_t value) { return ~warpMax(~value); }
ANNEAL_DEVICE int countBits(uint32_t value) { return __builtin_popcount(value); }
// Index of the lowest set bit plus one, 0 for none.
ANNEAL_DEVICE int firstBit(uint32_t value) { return __builtin_ffs(static_cast<int>(value)); }
#else
template <typename T>
ANNEAL_DEVICE T shuffle(T value, unsigned lane, uint32_t mask = kAllLanes) {
  return __shfl_sync(mask, value, static_cast<int>(lane));
}
template <typename T>
ANNEAL_DEVICE T shuffleXor(T value, unsigned distance, uint32_t mask = kAllLanes) {
  return __shfl_xor_sync(mask, value, static_cast<int>(distance));
}
template <typename T>
ANNEAL_DEVICE T shuffleUp(T value, unsigned distance, uint32_t mask = kAllLanes) {
  return __shfl_up_sync(mask, value, distance);
}
template <typename T>
ANNEAL_DEVICE T shuffleDown(T value, unsigned distance, uint32_t mask = kAllLanes) {
  return __shfl_down_sync(mask, value, distance);
}
ANNEAL_DEVICE uint32_t ballot(bool predicate, uint32_t mask = kAllLanes) {
  return __ballot_sync(mask, predicate);
}
ANNEAL_DEVICE void syncWarp(uint32_t mask = kAllLanes) { __syncwarp(mask); }
ANNEAL_DEVICE bool anyLane(bool predicate, uint32_t mask = kAllLanes) {
  return __any_sync(mask, predicate) != 0;
}
ANNEAL_DEVICE bool allLanes(bool predicate, uint32_t mask = kAllLanes) {
  return __all_sync(mask, predicate) != 0;
}
// The largest and the smallest value of the whole warp, in every lane (redux.sync, compute capability 8.0).
ANNEAL_DEVICE uint32_t warpMax(uint32_t value) { return __reduce_max_sync(kAllLanes, value); }
ANNEAL_DEVICE uint32_t warpMin(uint32_t value) { return __reduce_min_sync(kAllLanes, value); }
ANNEAL_DEVICE int countBits(uint32_t value) { return __popc(value); }
// Index of the lowest set bit plus one, 0 for none.
ANNEAL_DEVICE int firstBit(uint32_t value) { return __ffs(static_cast<int>(value)); }
#endif

}  // namespace anneal::cuda
