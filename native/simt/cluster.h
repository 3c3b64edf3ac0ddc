// cluster.h — what the host bodies of cuda/ptx/cluster.h call. A peer's shared address is (rank + 1) · 2^24 +
// offset; the own block's addresses are plain offsets.
#pragma once

#include <cstddef>
#include <cstdint>

namespace anneal::simt {

uint32_t clusterRank();
uint32_t clusterSize();
void clusterArrive();
void clusterWait();

uint32_t peerAddress(uint32_t address, uint32_t rank);
void readPeer(void* value, uint32_t address, size_t bytes);
void writePeer(uint32_t address, const void* value, size_t bytes);
// Delivered later; its bytes count into `barrier` of the receiving block.
void writePeerAsync(uint32_t address, const void* value, size_t bytes, uint32_t barrier);

}  // namespace anneal::simt
