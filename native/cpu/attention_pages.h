// attention_pages.h — where the key rows of one segment lie: one after the other, or in pages of a pool that
// a table names.
#pragma once

#include <algorithm>
#include <cstdint>

#include "core/backend.h"
#include "core/kernels/attention.h"
#include "cpu/attention_plan.h"

ANNEAL_CPU_NAMESPACE_BEGIN

// Rows are counted from the segment's first key without a table, from the pool's first row with one.
struct KeyPlaces {
  const int32_t* table = nullptr;
  int shift = 0;

  KeyPlaces() = default;
  KeyPlaces(const AttentionForwardArgs& a, int64_t segment) {
    if (a.pages == nullptr) return;
    table = static_cast<const int32_t*>(a.pages) + segment * a.pageColumns;
    shift = __builtin_ctzll(static_cast<uint64_t>(a.pageSize));
  }

  [[gnu::always_inline]] int64_t row(int64_t key) const {
    if (table == nullptr) [[likely]]
      return key;
    return (int64_t{table[key >> shift]} << shift) + (key & ((int64_t{1} << shift) - 1));
  }

  // How many of the `keys` keys from `key` on lie one after the other for certain.
  int64_t run(int64_t key, int64_t keys) const {
    if (table == nullptr) [[likely]]
      return keys;
    return std::min(keys, (((key >> shift) + 1) << shift) - key);
  }
};

// Where the tensors hold row `row` of the keys, for one key head.
template <typename T>
struct FirstKey {
  const T *own, *shared, *value;  // shared: null without shared channels

  FirstKey(const AttentionForwardArgs& a, int64_t row, int64_t kvHead)
      : own(static_cast<const T*>(a.k) + row * a.kRow + kvHead * a.kHead),
        shared(a.sharedDim > 0 ? static_cast<const T*>(a.kShared) + row * a.kSharedRow : nullptr),
        value(static_cast<const T*>(a.v) + row * a.vRow + kvHead * a.vHead) {}
};

// The rows of keys that lie in several pages, brought together in `scratch`; keys that lie in one run are
// taken as blockRows and keyRows take them. `shared` as in keyRows.
template <typename T>
inline Rows placedRows(float* scratch, int64_t scratchRow, const KeyPlaces& places, int64_t begin,
                       int64_t keys, const T* own, int64_t ownRow, int64_t ownWidth, const T* shared,
                       int64_t sharedRow, int64_t sharedWidth) {
  const auto sharedAt = [&](int64_t row) { return sharedWidth > 0 ? shared + row * sharedRow : nullptr; };
  if (places.run(begin, keys) == keys) {
    const int64_t row = places.row(begin);
    return keyRows(scratch, scratchRow, own + row * ownRow, ownRow, ownWidth, sharedAt(row), sharedRow,
                   sharedWidth, keys);
  }
  for (int64_t done = 0; done < keys;) {
    const int64_t row = places.row(begin + done), count = places.run(begin + done, keys - done);
    float* to = scratch + done * scratchRow;
    copyRows(to, scratchRow, own + row * ownRow, ownRow, count, ownWidth);
    if (sharedWidth > 0) copyRows(to + ownWidth, scratchRow, sharedAt(row), sharedRow, count, sharedWidth);
    done += count;
  }
  return {scratch, scratchRow};
}

// Checks the page table: 0, or 1 with an error.
inline int checkPages(KernelContext* context, const AttentionForwardArgs& a) {
  if (a.pages == nullptr) return 0;
  if (a.kLengths == nullptr || a.pageSize < 1 || (a.pageSize & (a.pageSize - 1)) != 0 || a.pageCount < 1) {
    return fail(context,
                "attentionForward: pages need kLengths, a page size that is a power of two and at least one "
                "page; got %s lengths, %lld rows a page and %lld pages",
                a.kLengths == nullptr ? "no" : "the", static_cast<long long>(a.pageSize),
                static_cast<long long>(a.pageCount));
  }
  const auto* cuQ = static_cast<const int32_t*>(a.cuQ);
  for (int64_t s = 0; s < a.segments; ++s) {
    if (cuQ[s + 1] == cuQ[s]) continue;
    const auto* table = static_cast<const int32_t*>(a.pages) + s * a.pageColumns;
    const int64_t keys = static_cast<const int32_t*>(a.kLengths)[s];
    for (int64_t i = 0; i * a.pageSize < keys; ++i) {
      if (table[i] >= 0 && table[i] < a.pageCount) continue;
      return fail(
          context, "attentionForward: page %d at entry %lld of the table is outside the pool of %lld pages",
          table[i], static_cast<long long>(s * a.pageColumns + i), static_cast<long long>(a.pageCount));
    }
  }
  return 0;
}

ANNEAL_CPU_NAMESPACE_END
