// The inner loop of MinHash: shingles × functions multiplications. Hash functions lie along the lanes, so
// that a shingle is one broadcast; coefficients and minima of a block of functions stay in registers. One
// source in GCC's vector notation, compiled for several instruction sets; every variant gives the same
// values.
#include "text/dedup/minhash.h"

#if defined(__x86_64__) || defined(__amd64__)
#define ANNEAL_MINHASH_X86
#define ANNEAL_TARGET(features) __attribute__((target(features)))
#endif

namespace anneal::text::dedup {
namespace {

// Runs `kVectors` vectors of `kLanes` functions over all shingles.
template <int kLanes, int kVectors>
[[gnu::always_inline]] inline void minimiseBlock(const uint64_t* a, const uint64_t* b,
                                                 const uint64_t* shingles, size_t count, uint64_t* minima) {
  typedef uint64_t Vector __attribute__((vector_size(kLanes * 8), aligned(8), may_alias));
  typedef int64_t Signed __attribute__((vector_size(kLanes * 8)));
  Vector factor[kVectors], add[kVectors], least[kVectors];
  for (int v = 0; v < kVectors; ++v) {
    factor[v] = *reinterpret_cast<const Vector*>(a + kLanes * v);
    add[v] = *reinterpret_cast<const Vector*>(b + kLanes * v);
    least[v] = *reinterpret_cast<const Vector*>(minima + kLanes * v);
  }
  for (size_t i = 0; i < count; ++i) {
    for (int v = 0; v < kVectors; ++v) {
      const Vector sum = factor[v] * shingles[i] + add[v];
      // 2^61 ≡ 1: the three upper bits are added to the lower 61, and one subtraction at most is left. Below
      // the modulus that one wraps to a great value, so the lesser of both is the residue.
      const Vector folded = (sum & kMersenne61) + (sum >> 61);
      const Vector less = folded - kMersenne61;
      if constexpr (kLanes == 8) {
        const Vector value = less < folded ? less : folded;
        least[v] = value < least[v] ? value : least[v];
      } else {
        // Older vectors compare signed numbers only.
        const Vector value = (Signed)(less) < 0 ? folded : less;
        least[v] = (Signed)(value) < (Signed)(least[v]) ? value : least[v];
      }
    }
  }
  for (int v = 0; v < kVectors; ++v) *reinterpret_cast<Vector*>(minima + kLanes * v) = least[v];
}

template <int kLanes, int kVectors>
[[gnu::always_inline]] inline void minimiseAll(const uint64_t* a, const uint64_t* b, size_t functions,
                                               const uint64_t* shingles, size_t count, uint64_t* minima) {
  constexpr size_t kBlock = size_t{kLanes} * kVectors;
  size_t j = 0;
  for (; j + kBlock <= functions; j += kBlock) {
    minimiseBlock<kLanes, kVectors>(a + j, b + j, shingles, count, minima + j);
  }
  for (; j < functions; j += kLanes) minimiseBlock<kLanes, 1>(a + j, b + j, shingles, count, minima + j);
}

// Where vectors have no product of 64 bits scalars are faster.
void minimisePortable(const uint64_t* a, const uint64_t* b, size_t functions, const uint64_t* shingles,
                      size_t count, uint64_t* minima) {
  minimiseAll<1, 4>(a, b, functions, shingles, count, minima);
}

#ifdef ANNEAL_MINHASH_X86
ANNEAL_TARGET("avx2")
void minimiseAvx2(const uint64_t* a, const uint64_t* b, size_t functions, const uint64_t* shingles,
                  size_t count, uint64_t* minima) {
  minimiseAll<4, 2>(a, b, functions, shingles, count, minima);
}

ANNEAL_TARGET("avx512f,avx512dq")
void minimiseAvx512(const uint64_t* a, const uint64_t* b, size_t functions, const uint64_t* shingles,
                    size_t count, uint64_t* minima) {
  minimiseAll<8, 7>(a, b, functions, shingles, count, minima);
}
#endif

}  // namespace

MinHashKernel minHashKernel(std::string_view name) {
#ifdef ANNEAL_MINHASH_X86
  const bool avx512 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq");
  if (avx512 && (name.empty() || name == "avx512")) return minimiseAvx512;
  if (__builtin_cpu_supports("avx2") && (name.empty() || name == "avx2")) return minimiseAvx2;
#endif
  return name.empty() || name == "portable" ? minimisePortable : nullptr;
}

}  // namespace anneal::text::dedup
