// dtype.h — the element types that tensors may have, shared by every backend and mirrored in lib/native.
#pragma once

#include <cstddef>
#include <cstdint>

namespace anneal {

// The numeric values are part of the C ABI and of lib/native/dtype.ts.
enum DType : int64_t { kF32 = 0, kBF16 = 1, kI32 = 2, kU8 = 3, kI64 = 4 };

constexpr size_t dtypeSize(int64_t dtype) {
  switch (dtype) {
    case kF32:
    case kI32:
      return 4;
    case kBF16:
      return 2;
    case kU8:
      return 1;
    case kI64:
      return 8;
    default:
      return 0;
  }
}

constexpr const char* dtypeName(int64_t dtype) {
  switch (dtype) {
    case kF32:
      return "f32";
    case kBF16:
      return "bf16";
    case kI32:
      return "i32";
    case kU8:
      return "u8";
    case kI64:
      return "i64";
    default:
      return "unknown";
  }
}

}  // namespace anneal
