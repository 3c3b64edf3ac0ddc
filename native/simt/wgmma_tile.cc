// wgmma_tile.cc — decodes matrix descriptors and multiplies. A swizzled tile must start in the first row of
// its pattern (8 spans long), so that the descriptor's base offset is 0: that is how all kernels here lay out
// their tiles.
#include "simt/wgmma_tile.h"

#include <cstring>

#include "cuda/ptx/swizzle.h"
#include "simt/async.h"

namespace anneal::simt {
namespace {

constexpr uint64_t kReserved = ~(0x3fffull | 0x3fffull << 16 | 0x3fffull << 32 | 0x7ull << 49 | 0x3ull << 62);
constexpr unsigned kPieceValues = 8;  // bf16 in 16 bytes
constexpr unsigned kPieceBytes = 16;

struct Descriptor {
  uint32_t start;
  uint32_t leading;
  uint32_t stride;
  uint32_t base;
  cuda::Swizzle swizzle;
};

Descriptor decode(uint64_t bits) {
  const auto field = [&](unsigned shift) { return static_cast<uint32_t>(bits >> shift & 0x3fff) << 4; };
  constexpr cuda::Swizzle kModes[] = {cuda::Swizzle::kNone, cuda::Swizzle::k128, cuda::Swizzle::k64,
                                      cuda::Swizzle::k32};
  return {field(0), field(16), field(32), static_cast<uint32_t>(bits >> 49 & 7), kModes[bits >> 62]};
}

// Where piece `piece` along K (two of 8 values) of vector `r` starts, for operands that lie along K.
uint32_t offsetAlongK(const Descriptor& d, unsigned r, unsigned piece) {
  const uint32_t span = cuda::spanBytes(d.swizzle);
  if (span == 0) return r / 8 * d.stride + piece * d.leading + r % 8 * kPieceBytes;
  return r / 8 * d.stride + r % 8 * span + piece * kPieceBytes;
}

// Where the 8 vectors from 8 · piece on start at depth k, for operands that lie along M or N.
uint32_t offsetAcrossK(const Descriptor& d, unsigned piece, unsigned k) {
  const uint32_t span = cuda::spanBytes(d.swizzle);
  if (span == 0) return piece * d.stride + k / 8 * d.leading + k % 8 * kPieceBytes;
  const unsigned pieces = span / kPieceBytes;
  return piece / pieces * d.leading + piece % pieces * kPieceBytes + k / 8 * d.stride + k % 8 * span;
}

// Eight bf16 of one piece of the tile.
void readPiece(const Actor& actor, uint32_t rank, const Descriptor& d, uint32_t offset,
               float (&values)[kPieceValues]) {
  const uint32_t address = cuda::swizzled(d.swizzle, d.start + offset);
  if (address >= kSharedWindow) violation("wgmma: the descriptor leads to shared byte %u", address);
  const unsigned char* piece = sharedPointer(rank * kSharedWindow + address, kPieceBytes);
  checkProxy(reinterpret_cast<uintptr_t>(piece), kPieceBytes, "wgmma reads");
  checkShared(actor, reinterpret_cast<uintptr_t>(piece), kPieceBytes, Access::kRead);
  uint16_t raw[kPieceValues];
  std::memcpy(raw, piece, sizeof(raw));
  for (unsigned i = 0; i < kPieceValues; ++i) values[i] = __builtin_bit_cast(float, uint32_t{raw[i]} << 16);
}

}  // namespace

void checkDescriptor(uint64_t bits, const char* operand) {
  const Descriptor d = decode(bits);
  if ((bits & kReserved) != 0) {
    violation("wgmma: bits %#llx of the descriptor of %s are reserved",
              static_cast<unsigned long long>(bits & kReserved), operand);
  }
  const uint32_t span = cuda::spanBytes(d.swizzle);
  if (d.base != 0 || (span != 0 && d.start % (8 * span) >= span)) {
    violation(
        "wgmma: the tile of %s starts at shared byte %u (base offset %u), inside the pattern of a %u-byte "
        "swizzle; "
        "it must start at a multiple of %u bytes, or in its first row",
        operand, d.start, d.base, span, 8 * span);
  }
}

void readOperand(const Actor& actor, uint32_t rank, uint64_t descriptor, bool transposed, unsigned count,
                 float (*values)[kProductDepth]) {
  const Descriptor d = decode(descriptor);
  float piece[kPieceValues];
  if (!transposed) {
    for (unsigned r = 0; r < count; ++r) {
      for (unsigned p = 0; p < kProductDepth / kPieceValues; ++p) {
        readPiece(actor, rank, d, offsetAlongK(d, r, p), piece);
        for (unsigned i = 0; i < kPieceValues; ++i) values[r][p * kPieceValues + i] = piece[i];
      }
    }
    return;
  }
  for (unsigned p = 0; p < count / kPieceValues; ++p) {
    for (unsigned k = 0; k < kProductDepth; ++k) {
      readPiece(actor, rank, d, offsetAcrossK(d, p, k), piece);
      for (unsigned i = 0; i < kPieceValues; ++i) values[p * kPieceValues + i][k] = piece[i];
    }
  }
}

// A product of two bf16 is exact in f32, so that fused and separate multiplication give the same bits.
__attribute__((target_clones("arch=x86-64-v3", "default"))) void multiplyTile(
    float* c, unsigned n, const float (*a)[kProductDepth], const float (*b)[kProductDepth]) {
  float across[kProductDepth][kProductColumns];
  for (unsigned j = 0; j < n; ++j) {
    for (unsigned k = 0; k < kProductDepth; ++k) across[k][j] = b[j][k];
  }
  for (unsigned i = 0; i < kProductRows; ++i) {
    float* row = c + size_t{i} * n;
    for (unsigned k = 0; k < kProductDepth; ++k) {
      const float factor = a[i][k];
      const float* line = across[k];
      for (unsigned j = 0; j < n; ++j) row[j] += factor * line[j];
    }
  }
}

}  // namespace anneal::simt
