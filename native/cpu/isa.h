// isa.h — every file under native/cpu/kernels is compiled once per instruction set (avx512, avx2, portable),
// each time into its own namespace; backend.cc fills the kernel table from the best one the processor has.
// Plain loops, written for the vectorizer.
#pragma once

#ifndef ANNEAL_ISA
#define ANNEAL_ISA portable
#endif

#define ANNEAL_CPU_NAMESPACE_BEGIN \
  namespace anneal::cpu {          \
  namespace ANNEAL_ISA {
#define ANNEAL_CPU_NAMESPACE_END \
  }                              \
  }
