// wgmma_tile.h — the arithmetic of wgmma: operands read through their descriptors, and the product itself.
#pragma once

#include <cstdint>

#include "simt/machine.h"

namespace anneal::simt {

constexpr unsigned kProductRows = 64;
constexpr unsigned kProductDepth = 16;
constexpr unsigned kProductColumns = 256;  // at most

// A violation when the descriptor is not one that the hardware takes, or that this project uses: see
// wgmma_tile.cc.
void checkDescriptor(uint64_t descriptor, const char* operand);

// Reads `count` (64 for A, N for B) vectors of 16 values along K, each 16-byte piece checked as an access of
// `actor` to the shared memory of block `rank` by the asynchronous proxy.
void readOperand(const Actor& actor, uint32_t rank, uint64_t descriptor, bool transposed, unsigned count,
                 float (*values)[kProductDepth]);

// c [64, n] += a [64, 16] · b [n, 16] transposed: f32, in the order of k, rounded to nearest after each
// addition.
void multiplyTile(float* c, unsigned n, const float (*a)[kProductDepth], const float (*b)[kProductDepth]);

}  // namespace anneal::simt
