#include "text/dedup/minhash.h"

#include <algorithm>
#include <random>

#include "text/dedup/xxhash.h"
#include "text/error.h"

namespace anneal::text::dedup {
namespace {

// Shingles hashed before the functions run over them: 16 KiB, which stay in the nearest cache.
constexpr size_t kBlock = 2048;

// numpy's legacy generator below a bound: 61 bits of the 64 from two draws, drawn again while they are above
// it.
class NumpyIntegers {
 public:
  explicit NumpyIntegers(uint32_t seed) : engine_(seed) {}
  uint64_t between(uint64_t low, uint64_t high) {
    const uint64_t range = high - 1 - low;
    for (;;) {
      const uint64_t upper = engine_();
      const uint64_t value = ((upper << 32) | engine_()) & kMersenne61;
      if (value <= range) return low + value;
    }
  }

 private:
  std::mt19937 engine_;
};

}  // namespace

HashFunctions::HashFunctions(const MinHashSettings& settings) {
  const size_t count = settings.functions();
  const size_t padded = (count + 7) / 8 * 8;
  NumpyIntegers random(settings.seed);
  for (size_t j = 0; j < count; ++j) a.push_back(random.between(1, kMersenne61));
  for (size_t j = 0; j < count; ++j) b.push_back(random.between(0, kMersenne61));
  a.resize(padded, a[0]);
  b.resize(padded, b[0]);
}

Signer::Signer(const MinHashSettings& settings)
    : settings_(settings),
      functions_(settings),
      kernel_(minHashKernel(settings.kernel)),
      hashes_(kBlock),
      minima_(functions_.a.size()) {
  if (kernel_ == nullptr) {
    throw TextError("ERR_CONFIG",
                    "This processor has no MinHash kernel \"" + settings.kernel +
                        "\": expected portable, avx2 or avx512, as far as the processor has them.",
                    {{"kernel", settings.kernel}});
  }
}

const uint64_t* Signer::sign(std::string_view text) {
  fold(text, settings_.words, false, folded_);
  const size_t words = folded_.words();
  shingles_ = words < settings_.shingle ? 0 : words - settings_.shingle + 1;
  if (shingles_ == 0) return nullptr;
  std::fill(minima_.begin(), minima_.end(), kMersenne61);
  for (size_t first = 0; first < shingles_; first += kBlock) {
    const size_t count = std::min(kBlock, shingles_ - first);
    for (size_t i = 0; i < count; ++i) hashes_[i] = xxhash64(folded_.span(first + i, settings_.shingle));
    kernel_(functions_.a.data(), functions_.b.data(), functions_.a.size(), hashes_.data(), count,
            minima_.data());
  }
  return minima_.data();
}

}  // namespace anneal::text::dedup
