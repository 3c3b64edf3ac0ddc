// matrix.cc — ldmatrix, stmatrix and mma by the 32 lanes of a warp, with the fragment layouts that
// cuda/ptx/mma.h names. Sums are in f32, one product after the other in the order of k, each rounded to
// nearest.
#include "simt/matrix.h"

#include <cstring>

#include "simt/machine.h"

namespace anneal::simt {
namespace {

constexpr const char* kLoad = "ldmatrix";
constexpr const char* kLoadTransposed = "ldmatrix.trans";
constexpr const char* kStore = "stmatrix";
constexpr const char* kStoreTransposed = "stmatrix.trans";
constexpr const char* kMmaBf16 = "mma.m16n8k16 (bf16)";
constexpr const char* kMmaTf32 = "mma.m16n8k8 (tf32)";
constexpr unsigned kRowBytes = 16;

struct Matrices {
  uint32_t* words;
  uint32_t row;
};

// The row of matrix `matrix` that lane 8 · matrix + r addresses, checked as an access of that lane.
unsigned char* rowOf(Thread& lane, const Matrices& operand, Access access) {
  if (operand.row % kRowBytes != 0) {
    violation("%s: the row address %u of lane %u is not a multiple of 16", lane.call.kind, operand.row,
              lane.lane);
  }
  unsigned char* row = sharedPointer(operand.row, kRowBytes);
  checkShared(lane.actor, reinterpret_cast<uintptr_t>(row), kRowBytes, access);
  return row;
}

void runLoad(Thread* const* lanes, unsigned) {
  const auto count = static_cast<unsigned>(lanes[0]->call.a);
  const bool transposed = lanes[0]->call.kind == kLoadTransposed;
  for (unsigned m = 0; m < count; ++m) {
    uint16_t tile[8][8];
    for (unsigned r = 0; r < 8; ++r) {
      Thread& lane = *lanes[8 * m + r];
      std::memcpy(tile[r], rowOf(lane, *static_cast<Matrices*>(lane.call.operand), Access::kRead), kRowBytes);
    }
    for (unsigned l = 0; l < kLanes; ++l) {
      const unsigned g = l / 4, t = 2 * (l % 4);
      const uint32_t low = transposed ? tile[t][g] : tile[g][t];
      const uint32_t high = transposed ? tile[t + 1][g] : tile[g][t + 1];
      static_cast<Matrices*>(lanes[l]->call.operand)->words[m] = low | high << 16;
    }
  }
}

void runStore(Thread* const* lanes, unsigned) {
  const auto count = static_cast<unsigned>(lanes[0]->call.a);
  const bool transposed = lanes[0]->call.kind == kStoreTransposed;
  for (unsigned m = 0; m < count; ++m) {
    uint16_t tile[8][8];
    for (unsigned l = 0; l < kLanes; ++l) {
      const unsigned g = l / 4, t = 2 * (l % 4);
      const uint32_t word = static_cast<const Matrices*>(lanes[l]->call.operand)->words[m];
      (transposed ? tile[t][g] : tile[g][t]) = static_cast<uint16_t>(word);
      (transposed ? tile[t + 1][g] : tile[g][t + 1]) = static_cast<uint16_t>(word >> 16);
    }
    for (unsigned r = 0; r < 8; ++r) {
      Thread& lane = *lanes[8 * m + r];
      std::memcpy(rowOf(lane, *static_cast<Matrices*>(lane.call.operand), Access::kWrite), tile[r],
                  kRowBytes);
    }
  }
}

void meet(const char* kind, uint64_t a, void* operand, MeetingFn run) {
  Call call;
  call.kind = kind;
  call.mask = 0xffffffffu;
  call.a = a;
  call.operand = operand;
  meetWarp(call, run);
}

float bf16At(uint32_t word, unsigned half) {
  return __builtin_bit_cast(float, half == 0 ? word << 16 : word & 0xffff0000u);
}

float tf32At(uint32_t word) { return __builtin_bit_cast(float, word & ~0x1fffu); }

struct Mma {
  float* c;
  const uint32_t* a;
  uint32_t b[2];
};

Mma& operandOf(const Thread* lane) { return *static_cast<Mma*>(lane->call.operand); }

// c [16, 8] of all lanes += a [16, K] · b [K, 8].
template <unsigned K>
void multiply(Thread* const* lanes, const float (&a)[16][K], const float (&b)[K][8]) {
  float c[16][8];
  for (unsigned l = 0; l < kLanes; ++l) {
    for (unsigned i = 0; i < 4; ++i) c[l / 4 + i / 2 * 8][2 * (l % 4) + i % 2] = operandOf(lanes[l]).c[i];
  }
  for (unsigned row = 0; row < 16; ++row) {
    for (unsigned k = 0; k < K; ++k) {
      for (unsigned n = 0; n < 8; ++n) c[row][n] += a[row][k] * b[k][n];
    }
  }
  for (unsigned l = 0; l < kLanes; ++l) {
    for (unsigned i = 0; i < 4; ++i) operandOf(lanes[l]).c[i] = c[l / 4 + i / 2 * 8][2 * (l % 4) + i % 2];
  }
}

void runMmaBf16(Thread* const* lanes, unsigned) {
  float a[16][16], b[16][8];
  for (unsigned l = 0; l < kLanes; ++l) {
    const Mma& mma = operandOf(lanes[l]);
    const unsigned g = l / 4, t = 2 * (l % 4);
    for (unsigned half = 0; half < 2; ++half) {
      for (unsigned i = 0; i < 4; ++i) a[g + i % 2 * 8][t + i / 2 * 8 + half] = bf16At(mma.a[i], half);
      for (unsigned i = 0; i < 2; ++i) b[t + i * 8 + half][g] = bf16At(mma.b[i], half);
    }
  }
  multiply(lanes, a, b);
}

void runMmaTf32(Thread* const* lanes, unsigned) {
  float a[16][8], b[8][8];
  for (unsigned l = 0; l < kLanes; ++l) {
    const Mma& mma = operandOf(lanes[l]);
    const unsigned g = l / 4, t = l % 4;
    for (unsigned i = 0; i < 4; ++i) a[g + i % 2 * 8][t + i / 2 * 4] = tf32At(mma.a[i]);
    for (unsigned i = 0; i < 2; ++i) b[t + i * 4][g] = tf32At(mma.b[i]);
  }
  multiply(lanes, a, b);
}

}  // namespace

void loadMatrices(uint32_t* fragment, unsigned count, uint32_t rowAddress, bool transposed) {
  Matrices operand{fragment, rowAddress};
  meet(transposed ? kLoadTransposed : kLoad, count, &operand, runLoad);
}

void storeMatrices(const uint32_t* fragment, unsigned count, uint32_t rowAddress, bool transposed) {
  uint32_t words[4];
  for (unsigned i = 0; i < count; ++i) words[i] = fragment[i];
  Matrices operand{words, rowAddress};
  meet(transposed ? kStoreTransposed : kStore, count, &operand, runStore);
}

void mmaBf16(float (&c)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1) {
  Mma mma{c, a, {b0, b1}};
  meet(kMmaBf16, 0, &mma, runMmaBf16);
}

void mmaTf32(float (&c)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1) {
  Mma mma{c, a, {b0, b1}};
  meet(kMmaTf32, 0, &mma, runMmaTf32);
}

uint32_t roundToTf32(float value) {
  const uint32_t bits = __builtin_bit_cast(uint32_t, value);
  if ((bits & 0x7fffffffu) > 0x7f800000u) return 0x7fffffffu;
  return (bits + 0x1000u) & ~0x1fffu;
}

}  // namespace anneal::simt
