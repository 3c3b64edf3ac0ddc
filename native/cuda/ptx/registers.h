// registers.h — setmaxnreg (sm_90a): warpgroups of one block trade registers. The kernel needs a register
// limit at entry
// (__launch_bounds__(threads, 1)), and all warps of the warpgroup call with the same count.
#pragma once

#include "cuda/ptx/arch.h"

#if defined(ANNEAL_SIMT)
#include "simt/registers.h"
#endif

namespace anneal::cuda {

// increaseRegisters<N>: N registers a thread, at least as many as now; waits until other warpgroups have
// given enough back. decreaseRegisters<N>: keeps N, at most as many as now. N is a multiple of 8 from 24 to
// 256.
#if defined(ANNEAL_SIMT)
template <int N>
ANNEAL_DEVICE void increaseRegisters() {
  static_assert(N % 8 == 0 && N >= 24 && N <= 256);
  simt::increaseRegisters(N);
}
template <int N>
ANNEAL_DEVICE void decreaseRegisters() {
  static_assert(N % 8 == 0 && N >= 24 && N <= 256);
  simt::decreaseRegisters(N);
}
#else
template <int N>
ANNEAL_DEVICE void increaseRegisters() {
  static_assert(N % 8 == 0 && N >= 24 && N <= 256);
#if ANNEAL_SM90A
  asm volatile("setmaxnreg.inc.sync.aligned.u32 %0;" ::"n"(N));
#endif
}
template <int N>
ANNEAL_DEVICE void decreaseRegisters() {
  static_assert(N % 8 == 0 && N >= 24 && N <= 256);
#if ANNEAL_SM90A
  asm volatile("setmaxnreg.dec.sync.aligned.u32 %0;" ::"n"(N));
#endif
}
#endif

}  // namespace anneal::cuda
