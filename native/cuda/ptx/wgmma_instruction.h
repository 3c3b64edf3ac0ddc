// wgmma_instruction.h — the text of wgmma.mma_async for each number of columns, for wgmma.h alone: PTX wants
// every register named, so the lists are put together from blocks of eight.
#pragma once

#define ANNEAL_D0 "%0, %1, %2, %3, %4, %5, %6, %7"
#define ANNEAL_D1 ", %8, %9, %10, %11, %12, %13, %14, %15"
#define ANNEAL_D2 ", %16, %17, %18, %19, %20, %21, %22, %23"
#define ANNEAL_D3 ", %24, %25, %26, %27, %28, %29, %30, %31"
#define ANNEAL_D4 ", %32, %33, %34, %35, %36, %37, %38, %39"
#define ANNEAL_D5 ", %40, %41, %42, %43, %44, %45, %46, %47"
#define ANNEAL_D6 ", %48, %49, %50, %51, %52, %53, %54, %55"
#define ANNEAL_D7 ", %56, %57, %58, %59, %60, %61, %62, %63"
#define ANNEAL_D8 ", %64, %65, %66, %67, %68, %69, %70, %71"
#define ANNEAL_D9 ", %72, %73, %74, %75, %76, %77, %78, %79"
#define ANNEAL_D10 ", %80, %81, %82, %83, %84, %85, %86, %87"
#define ANNEAL_D11 ", %88, %89, %90, %91, %92, %93, %94, %95"
#define ANNEAL_D12 ", %96, %97, %98, %99, %100, %101, %102, %103"
#define ANNEAL_D13 ", %104, %105, %106, %107, %108, %109, %110, %111"
#define ANNEAL_D14 ", %112, %113, %114, %115, %116, %117, %118, %119"
#define ANNEAL_D15 ", %120, %121, %122, %123, %124, %125, %126, %127"

#define ANNEAL_D0_2 ANNEAL_D0 ANNEAL_D1
#define ANNEAL_D0_3 ANNEAL_D0_2 ANNEAL_D2
#define ANNEAL_D0_4 ANNEAL_D0_3 ANNEAL_D3
#define ANNEAL_D0_5 ANNEAL_D0_4 ANNEAL_D4
#define ANNEAL_D0_6 ANNEAL_D0_5 ANNEAL_D5
#define ANNEAL_D0_7 ANNEAL_D0_6 ANNEAL_D6
#define ANNEAL_D0_8 ANNEAL_D0_7 ANNEAL_D7
#define ANNEAL_D0_9 ANNEAL_D0_8 ANNEAL_D8
#define ANNEAL_D0_10 ANNEAL_D0_9 ANNEAL_D9
#define ANNEAL_D0_11 ANNEAL_D0_10 ANNEAL_D10
#define ANNEAL_D0_12 ANNEAL_D0_11 ANNEAL_D11
#define ANNEAL_D0_13 ANNEAL_D0_12 ANNEAL_D12
#define ANNEAL_D0_14 ANNEAL_D0_13 ANNEAL_D13
#define ANNEAL_D0_15 ANNEAL_D0_14 ANNEAL_D14
#define ANNEAL_D0_16 ANNEAL_D0_15 ANNEAL_D15

#define ANNEAL_R4(d, i) "+f"(d[i]), "+f"(d[i + 1]), "+f"(d[i + 2]), "+f"(d[i + 3])
#define ANNEAL_R8(d, i) ANNEAL_R4(d, i), ANNEAL_R4(d, i + 4)
#define ANNEAL_R16(d, i) ANNEAL_R8(d, i), ANNEAL_R8(d, i + 8)
#define ANNEAL_R32(d, i) ANNEAL_R16(d, i), ANNEAL_R16(d, i + 16)
#define ANNEAL_R64(d, i) ANNEAL_R32(d, i), ANNEAL_R32(d, i + 32)

#define ANNEAL_N8 ANNEAL_R4(d, 0)
#define ANNEAL_N16 ANNEAL_R8(d, 0)
#define ANNEAL_N32 ANNEAL_R16(d, 0)
#define ANNEAL_N48 ANNEAL_R16(d, 0), ANNEAL_R8(d, 16)
#define ANNEAL_N64 ANNEAL_R32(d, 0)
#define ANNEAL_N80 ANNEAL_R32(d, 0), ANNEAL_R8(d, 32)
#define ANNEAL_N96 ANNEAL_R32(d, 0), ANNEAL_R16(d, 32)
#define ANNEAL_N112 ANNEAL_R32(d, 0), ANNEAL_R16(d, 32), ANNEAL_R8(d, 48)
#define ANNEAL_N128 ANNEAL_R64(d, 0)
#define ANNEAL_N144 ANNEAL_R64(d, 0), ANNEAL_R8(d, 64)
#define ANNEAL_N160 ANNEAL_R64(d, 0), ANNEAL_R16(d, 64)
#define ANNEAL_N176 ANNEAL_R64(d, 0), ANNEAL_R16(d, 64), ANNEAL_R8(d, 80)
#define ANNEAL_N192 ANNEAL_R64(d, 0), ANNEAL_R32(d, 64)
#define ANNEAL_N208 ANNEAL_R64(d, 0), ANNEAL_R32(d, 64), ANNEAL_R8(d, 96)
#define ANNEAL_N224 ANNEAL_R64(d, 0), ANNEAL_R32(d, 64), ANNEAL_R16(d, 96)
#define ANNEAL_N240 ANNEAL_R64(d, 0), ANNEAL_R32(d, 64), ANNEAL_R16(d, 96), ANNEAL_R8(d, 112)
#define ANNEAL_N256 ANNEAL_R64(d, 0), ANNEAL_R64(d, 64)

// A and B by descriptor; i0 to i4 are the numbers of the operands behind the accumulators.
#define ANNEAL_WGMMA_SHARED(n, list, registers, i0, i1, i2, i3, i4)                                         \
  asm volatile("{\n .reg .pred p;\n setp.ne.b32 p, %" #i2                                                   \
               ", 0;\n"                                                                                     \
               " wgmma.mma_async.sync.aligned.m64n" #n "k16.f32.bf16.bf16 {" list "}, %" #i0 ", %" #i1      \
               ", p, 1, 1, %" #i3 ", %" #i4 ";\n}"                                                          \
               : registers                                                                                  \
               : "l"(a), "l"(b), "r"(static_cast<uint32_t>(accumulate)), "n"(kTransposeA), "n"(kTransposeB) \
               : "memory")

// A in four registers.
#define ANNEAL_WGMMA_REGISTERS(n, list, registers, i0, i1, i2, i3, i4, i5, i6)                               \
  asm volatile("{\n .reg .pred p;\n setp.ne.b32 p, %" #i5                                                    \
               ", 0;\n"                                                                                      \
               " wgmma.mma_async.sync.aligned.m64n" #n "k16.f32.bf16.bf16 {" list "}, {%" #i0 ", %" #i1      \
               ", %" #i2 ", %" #i3 "}, %" #i4 ", p, 1, 1, %" #i6 ";\n}"                                      \
               : registers                                                                                   \
               : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b), "r"(static_cast<uint32_t>(accumulate)), \
                 "n"(kTransposeB)                                                                            \
               : "memory")

// Both forms for every N that wgmma.h offers: list(N, registers' text, registers, first operand behind
// them…).
#define ANNEAL_WGMMA_SHARED_CASES                                                 \
  if constexpr (N == 8) {                                                         \
    ANNEAL_WGMMA_SHARED(8, "%0, %1, %2, %3", ANNEAL_N8, 4, 5, 6, 7, 8);           \
  } else if constexpr (N == 16) {                                                 \
    ANNEAL_WGMMA_SHARED(16, ANNEAL_D0, ANNEAL_N16, 8, 9, 10, 11, 12);             \
  } else if constexpr (N == 32) {                                                 \
    ANNEAL_WGMMA_SHARED(32, ANNEAL_D0_2, ANNEAL_N32, 16, 17, 18, 19, 20);         \
  } else if constexpr (N == 48) {                                                 \
    ANNEAL_WGMMA_SHARED(48, ANNEAL_D0_3, ANNEAL_N48, 24, 25, 26, 27, 28);         \
  } else if constexpr (N == 64) {                                                 \
    ANNEAL_WGMMA_SHARED(64, ANNEAL_D0_4, ANNEAL_N64, 32, 33, 34, 35, 36);         \
  } else if constexpr (N == 80) {                                                 \
    ANNEAL_WGMMA_SHARED(80, ANNEAL_D0_5, ANNEAL_N80, 40, 41, 42, 43, 44);         \
  } else if constexpr (N == 96) {                                                 \
    ANNEAL_WGMMA_SHARED(96, ANNEAL_D0_6, ANNEAL_N96, 48, 49, 50, 51, 52);         \
  } else if constexpr (N == 112) {                                                \
    ANNEAL_WGMMA_SHARED(112, ANNEAL_D0_7, ANNEAL_N112, 56, 57, 58, 59, 60);       \
  } else if constexpr (N == 128) {                                                \
    ANNEAL_WGMMA_SHARED(128, ANNEAL_D0_8, ANNEAL_N128, 64, 65, 66, 67, 68);       \
  } else if constexpr (N == 144) {                                                \
    ANNEAL_WGMMA_SHARED(144, ANNEAL_D0_9, ANNEAL_N144, 72, 73, 74, 75, 76);       \
  } else if constexpr (N == 160) {                                                \
    ANNEAL_WGMMA_SHARED(160, ANNEAL_D0_10, ANNEAL_N160, 80, 81, 82, 83, 84);      \
  } else if constexpr (N == 176) {                                                \
    ANNEAL_WGMMA_SHARED(176, ANNEAL_D0_11, ANNEAL_N176, 88, 89, 90, 91, 92);      \
  } else if constexpr (N == 192) {                                                \
    ANNEAL_WGMMA_SHARED(192, ANNEAL_D0_12, ANNEAL_N192, 96, 97, 98, 99, 100);     \
  } else if constexpr (N == 208) {                                                \
    ANNEAL_WGMMA_SHARED(208, ANNEAL_D0_13, ANNEAL_N208, 104, 105, 106, 107, 108); \
  } else if constexpr (N == 224) {                                                \
    ANNEAL_WGMMA_SHARED(224, ANNEAL_D0_14, ANNEAL_N224, 112, 113, 114, 115, 116); \
  } else if constexpr (N == 240) {                                                \
    ANNEAL_WGMMA_SHARED(240, ANNEAL_D0_15, ANNEAL_N240, 120, 121, 122, 123, 124); \
  } else if constexpr (N == 256) {                                                \
    ANNEAL_WGMMA_SHARED(256, ANNEAL_D0_16, ANNEAL_N256, 128, 129, 130, 131, 132); \
  }

#define ANNEAL_WGMMA_REGISTERS_CASES                                                           \
  if constexpr (N == 8) {                                                                      \
    ANNEAL_WGMMA_REGISTERS(8, "%0, %1, %2, %3", ANNEAL_N8, 4, 5, 6, 7, 8, 9, 10);              \
  } else if constexpr (N == 16) {                                                              \
    ANNEAL_WGMMA_REGISTERS(16, ANNEAL_D0, ANNEAL_N16, 8, 9, 10, 11, 12, 13, 14);               \
  } else if constexpr (N == 32) {                                                              \
    ANNEAL_WGMMA_REGISTERS(32, ANNEAL_D0_2, ANNEAL_N32, 16, 17, 18, 19, 20, 21, 22);           \
  } else if constexpr (N == 48) {                                                              \
    ANNEAL_WGMMA_REGISTERS(48, ANNEAL_D0_3, ANNEAL_N48, 24, 25, 26, 27, 28, 29, 30);           \
  } else if constexpr (N == 64) {                                                              \
    ANNEAL_WGMMA_REGISTERS(64, ANNEAL_D0_4, ANNEAL_N64, 32, 33, 34, 35, 36, 37, 38);           \
  } else if constexpr (N == 80) {                                                              \
    ANNEAL_WGMMA_REGISTERS(80, ANNEAL_D0_5, ANNEAL_N80, 40, 41, 42, 43, 44, 45, 46);           \
  } else if constexpr (N == 96) {                                                              \
    ANNEAL_WGMMA_REGISTERS(96, ANNEAL_D0_6, ANNEAL_N96, 48, 49, 50, 51, 52, 53, 54);           \
  } else if constexpr (N == 112) {                                                             \
    ANNEAL_WGMMA_REGISTERS(112, ANNEAL_D0_7, ANNEAL_N112, 56, 57, 58, 59, 60, 61, 62);         \
  } else if constexpr (N == 128) {                                                             \
    ANNEAL_WGMMA_REGISTERS(128, ANNEAL_D0_8, ANNEAL_N128, 64, 65, 66, 67, 68, 69, 70);         \
  } else if constexpr (N == 144) {                                                             \
    ANNEAL_WGMMA_REGISTERS(144, ANNEAL_D0_9, ANNEAL_N144, 72, 73, 74, 75, 76, 77, 78);         \
  } else if constexpr (N == 160) {                                                             \
    ANNEAL_WGMMA_REGISTERS(160, ANNEAL_D0_10, ANNEAL_N160, 80, 81, 82, 83, 84, 85, 86);        \
  } else if constexpr (N == 176) {                                                             \
    ANNEAL_WGMMA_REGISTERS(176, ANNEAL_D0_11, ANNEAL_N176, 88, 89, 90, 91, 92, 93, 94);        \
  } else if constexpr (N == 192) {                                                             \
    ANNEAL_WGMMA_REGISTERS(192, ANNEAL_D0_12, ANNEAL_N192, 96, 97, 98, 99, 100, 101, 102);     \
  } else if constexpr (N == 208) {                                                             \
    ANNEAL_WGMMA_REGISTERS(208, ANNEAL_D0_13, ANNEAL_N208, 104, 105, 106, 107, 108, 109, 110); \
  } else if constexpr (N == 224) {                                                             \
    ANNEAL_WGMMA_REGISTERS(224, ANNEAL_D0_14, ANNEAL_N224, 112, 113, 114, 115, 116, 117, 118); \
  } else if constexpr (N == 240) {                                                             \
    ANNEAL_WGMMA_REGISTERS(240, ANNEAL_D0_15, ANNEAL_N240, 120, 121, 122, 123, 124, 125, 126); \
  } else if constexpr (N == 256) {                                                             \
    ANNEAL_WGMMA_REGISTERS(256, ANNEAL_D0_16, ANNEAL_N256, 128, 129, 130, 131, 132, 133, 134); \
  }
