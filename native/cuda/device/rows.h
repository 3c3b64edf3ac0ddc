// rows.h — one thread's share of a contiguous row, folded: 16-byte loads, four in flight, for any length and
// start.
#pragma once

#include <cstdint>

#include "cuda/ptx/target.h"
#include "cuda/ptx/vector.h"

namespace anneal::cuda {

// Numbers that elements are computed in: f32 for f32 and bf16, i32 for i32.
ANNEAL_DEVICE float numberOf(float x) { return x; }
ANNEAL_DEVICE float numberOf(bf16 x) { return toFloat(x); }
ANNEAL_DEVICE int32_t numberOf(int32_t x) { return x; }

// A fold turns elements into states and combines states: lift(number, index as i32), combine(State, State)
// and start(), the state of nothing. Vectors are combined by halves, so that a sum has short chains.
template <typename Fold, typename T>
ANNEAL_DEVICE typename Fold::State foldVector(const Vec<T, kLanes16<T>>& x, int32_t index) {
  constexpr int kVec = kLanes16<T>;
  typename Fold::State state[kVec];
  for (int i = 0; i < kVec; ++i) state[i] = Fold::lift(numberOf(x.lane[i]), index + i);
  for (int width = kVec / 2; width > 0; width /= 2) {
    for (int i = 0; i < width; ++i) state[i] = Fold::combine(state[i], state[i + width]);
  }
  return state[0];
}

// Folds the share of thread `lane` of `lanes` of `count` elements at `row`; the first has the index `first`.
// The order depends on count, lanes and the row's place within 16 bytes.
template <typename Fold, typename T>
ANNEAL_DEVICE typename Fold::State foldRow(const T* row, int64_t first, int64_t count, unsigned lane,
                                           unsigned lanes) {
  constexpr int kVec = kLanes16<T>, kFlight = 4;
  using Vector = Vec<T, kVec>;
  typename Fold::State state = Fold::start();
  const unsigned skew = static_cast<unsigned>(reinterpret_cast<uintptr_t>(row) / sizeof(T)) % kVec;
  const int64_t before = (kVec - skew) % kVec, head = count < before ? count : before;
  const unsigned vectors = static_cast<unsigned>((count - head) / kVec);
  const Vector* body = reinterpret_cast<const Vector*>(row + head);
  const int32_t origin = static_cast<int32_t>(first), bodyOrigin = origin + static_cast<int32_t>(head);
  const auto scalars = [&](int64_t begin, int64_t end) {
    for (int64_t i = begin + lane; i < end; i += lanes) {
      state = Fold::combine(state, Fold::lift(numberOf(row[i]), origin + static_cast<int32_t>(i)));
    }
  };
  scalars(0, head);
  unsigned v = lane;
  for (; v + (kFlight - 1) * lanes < vectors; v += kFlight * lanes) {
    Vector held[kFlight];
    for (int k = 0; k < kFlight; ++k) held[k] = loadOnce<Vector>(body + v + k * lanes);
    for (int k = 0; k < kFlight; ++k) {
      const int32_t index = bodyOrigin + static_cast<int32_t>((v + k * lanes) * kVec);
      state = Fold::combine(state, foldVector<Fold, T>(held[k], index));
    }
  }
  for (; v < vectors; v += lanes) {
    const int32_t index = bodyOrigin + static_cast<int32_t>(v * kVec);
    state = Fold::combine(state, foldVector<Fold, T>(loadOnce<Vector>(body + v), index));
  }
  scalars(head + int64_t{vectors} * kVec, count);
  return state;
}

}  // namespace anneal::cuda
