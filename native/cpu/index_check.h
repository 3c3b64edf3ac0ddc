// index_check.h — finds the first index outside its range while many threads read indices, for one error
// message that is the same in every run. Inside the namespace of the instruction set: inline code that is not
// would be merged between their builds.
#pragma once

#include <cstdint>

#include "cpu/isa.h"

ANNEAL_CPU_NAMESPACE_BEGIN

// The lowest position reported so far; a kernel skips what it reports and fails at the end.
class FirstBad {
 public:
  void report(int64_t position) {
    int64_t known = __atomic_load_n(&position_, __ATOMIC_RELAXED);
    while (position < known && !__atomic_compare_exchange_n(&position_, &known, position, true,
                                                            __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {
    }
  }
  bool found() const { return position() != INT64_MAX; }
  int64_t position() const { return __atomic_load_n(&position_, __ATOMIC_RELAXED); }

 private:
  int64_t position_ = INT64_MAX;
};

ANNEAL_CPU_NAMESPACE_END
