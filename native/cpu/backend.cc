#include "cpu/backend.h"

#include <cstdlib>
#include <cstring>

namespace anneal::cpu {

namespace portable {
void registerKernels(Backend& table);
}
#if defined(ANNEAL_HAVE_X86_VARIANTS)
namespace avx2 {
void registerKernels(Backend& table);
}
namespace avx512 {
void registerKernels(Backend& table);
}
#endif
void registerMatmul(Backend& table);

namespace {

enum class Isa { kPortable, kAvx2, kAvx512 };

Isa choose() {
  Isa best = Isa::kPortable;
#if defined(ANNEAL_HAVE_X86_VARIANTS)
  __builtin_cpu_init();
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) best = Isa::kAvx2;
  if (best == Isa::kAvx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
      __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq")) {
    best = Isa::kAvx512;
  }
  const char* wanted = std::getenv("ANNEAL_CPU_ISA");
  if (wanted != nullptr) {
    if (std::strcmp(wanted, "portable") == 0) return Isa::kPortable;
    if (std::strcmp(wanted, "avx2") == 0 && best >= Isa::kAvx2) return Isa::kAvx2;
  }
#endif
  return best;
}

const Isa isa = choose();

Backend makeTable() {
  Backend table{};
  table.abiVersion = kAbiVersion;
  table.kernelCount = kKernelCount;
  table.name = "cpu";
  switch (isa) {
#if defined(ANNEAL_HAVE_X86_VARIANTS)
    case Isa::kAvx512:
      avx512::registerKernels(table);
      break;
    case Isa::kAvx2:
      avx2::registerKernels(table);
      break;
#endif
    default:
      portable::registerKernels(table);
  }
  registerMatmul(table);
  return table;
}

}  // namespace

const Backend* backend() {
  static const Backend table = makeTable();
  return &table;
}

const char* isaName() {
  switch (isa) {
    case Isa::kAvx512:
      return "avx512";
    case Isa::kAvx2:
      return "avx2";
    default:
      return "portable";
  }
}

}  // namespace anneal::cpu
