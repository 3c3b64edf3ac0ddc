// folds.h — sums, products and extremes of f32 and i32 in loops that vectorize, for the reductions. One loop
// per fold and number type: bf16 is widened into a buffer first.
#pragma once

#include <cstdint>
#include <type_traits>

#include "cpu/elements.h"

ANNEAL_CPU_NAMESPACE_BEGIN

constexpr int64_t kRowBlock = 4096;  // elements of a contiguous axis per partial result
constexpr int64_t kAxisBlock = 256;  // positions of a strided axis per partial result
constexpr int64_t kColumns = 128;    // columns (inner) of one task; their state is on its stack
constexpr float kLowest = -kFloatInfinity;

// What a fold needs: start value, step, and the number type of its state (f32, or i32 for i32 input).
struct Sum {
  template <typename Number>
  static constexpr Number identity = Number{0};
  ANNEAL_INLINE float operator()(float a, float b) const { return a + b; }
  ANNEAL_INLINE int32_t operator()(int32_t a, int32_t b) const {
    return static_cast<int32_t>(static_cast<uint32_t>(a) + static_cast<uint32_t>(b));
  }
};

struct Product {
  template <typename Number>
  static constexpr Number identity = Number{1};
  ANNEAL_INLINE float operator()(float a, float b) const { return a * b; }
};

template <typename Number>
constexpr Number extreme(float ofFloat, int32_t ofInt) {
  if constexpr (std::is_same_v<Number, float>)
    return ofFloat;
  else
    return ofInt;
}

struct Maximum {
  template <typename Number>
  static constexpr Number identity = extreme<Number>(kLowest, INT32_MIN);
  ANNEAL_INLINE float operator()(float a, float b) const { return maxOrNan(a, b); }
  ANNEAL_INLINE int32_t operator()(int32_t a, int32_t b) const { return a > b ? a : b; }
};

struct Minimum {
  template <typename Number>
  static constexpr Number identity = extreme<Number>(kFloatInfinity, INT32_MAX);
  ANNEAL_INLINE float operator()(float a, float b) const { return minOrNan(a, b); }
  ANNEAL_INLINE int32_t operator()(int32_t a, int32_t b) const { return a < b ? a : b; }
};

// Numbers are folded as f32 or i32; bf16 is widened into a buffer of the caller first, so that there is one
// loop per fold.
ANNEAL_INLINE int32_t numberOf(int32_t x) { return x; }
ANNEAL_INLINE float numberOf(float x) { return x; }
ANNEAL_INLINE float numberOf(bf16 x) { return toFloat(x); }

template <typename T>
using NumberOf = decltype(numberOf(T{}));

template <typename T>
const NumberOf<T>* widen(const T* x, int64_t n, NumberOf<T>* buffer) {
  if constexpr (std::is_same_v<T, bf16>) {
#pragma omp simd
    for (int64_t i = 0; i < n; ++i) buffer[i] = toFloat(x[i]);
    return buffer;
  } else {
    return x;
  }
}

template <typename T>
ANNEAL_INLINE T finish(NumberOf<T> value, float factor) {
  if constexpr (std::is_same_v<T, int32_t>)
    return value;
  else
    return fromFloat<T>(value * factor);
}

// Folds n contiguous numbers.
template <typename Fold, typename Number>
[[gnu::noinline]] Number foldSpan(const Number* x, int64_t n) {
  return laneFold(
      n, Fold::template identity<Number>, [x](int64_t i) { return x[i]; }, Fold{});
}

// Folds n numbers into as many states.
template <typename Fold, typename Number>
[[gnu::noinline]] void foldInto(Number* state, const Number* x, int64_t n) {
  constexpr Fold fold;
#pragma omp simd
  for (int64_t i = 0; i < n; ++i) state[i] = fold(state[i], x[i]);
}

// Folds `positions` rows of `count` columns into state; rows are `inner` elements apart.
template <typename T, typename Fold>
void foldColumns(const T* x, int64_t positions, int64_t inner, int64_t count, NumberOf<T>* state) {
  NumberOf<T> buffer[kColumns];
  for (int64_t i = 0; i < count; ++i) state[i] = Fold::template identity<NumberOf<T>>;
  for (int64_t j = 0; j < positions; ++j) foldInto<Fold>(state, widen(x + j * inner, count, buffer), count);
}

ANNEAL_CPU_NAMESPACE_END
