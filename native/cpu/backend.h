// backend.h — the CPU backend: fills the kernel table of core/backend.h for the best instruction set of this
// processor.
#pragma once

#include "core/backend.h"

namespace anneal::cpu {

// The table, filled once per process. ANNEAL_CPU_ISA=avx512|avx2|portable in the environment overrides the
// choice (for tests).
const Backend* backend();

// The instruction set in use: "avx512", "avx2" or "portable".
const char* isaName();

}  // namespace anneal::cpu
