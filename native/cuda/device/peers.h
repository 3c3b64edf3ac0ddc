// peers.h — which lanes of a warp hold the same small number, for counting and ranking without atomics.
#pragma once

#include <cstdint>

#include "cuda/ptx/target.h"
#include "cuda/ptx/warp.h"

namespace anneal::cuda {

// Lanes that have this lane's digit, among those that are valid. Each lane of the warp calls it.
ANNEAL_DEVICE uint32_t peersOf(uint32_t digit, bool valid, int bits) {
  uint32_t peers = ballot(valid);
  for (int b = 0; b < bits; ++b) {
    const bool set = digit >> b & 1u;
    const uint32_t lanes = ballot(set);
    peers &= set ? lanes : ~lanes;
  }
  return peers;
}

// Those of `peers` that come before this lane.
ANNEAL_DEVICE uint32_t lowerPeers(uint32_t peers) { return peers & ((1u << laneId()) - 1u); }

}  // namespace anneal::cuda
