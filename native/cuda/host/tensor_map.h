// tensor_map.h — the description of a tensor map for the copy engine (cuda/ptx/tma.h), the rules it must
// follow, and its encoding: by the driver on a GPU, by native/simt on the CPU.
#pragma once

#include <cinttypes>
#include <cstdint>
#include <cstdio>
#include <string>

#include "core/backend.h"
#include "cuda/ptx/swizzle.h"
#include "cuda/ptx/tensor_map.h"

namespace anneal::cuda {

enum class TensorMapType : uint8_t { kBf16, kF32, kU8, kI32 };

// What elements outside the tensor become.
enum class TensorMapFill : uint8_t { kZero, kNan };

// A tensor in global memory and the box that one copy moves; dimension 0 is contiguous.
struct TensorMapShape {
  const void* base;
  TensorMapType type;
  int rank;             // 1 to 5
  uint64_t dims[5];     // elements
  uint64_t strides[5];  // bytes between neighbours along each dimension; strides[0] is the element's size
  uint32_t box[5];      // elements
  Swizzle swizzle = Swizzle::kNone;
  TensorMapFill fill = TensorMapFill::kZero;
};

constexpr uint32_t elementBytes(TensorMapType type) {
  return type == TensorMapType::kBf16 ? 2 : type == TensorMapType::kU8 ? 1 : 4;
}

// Bytes of one box: what a barrier has to expect for one load.
constexpr uint32_t boxBytes(const TensorMapShape& shape) {
  uint32_t bytes = elementBytes(shape.type);
  for (int i = 0; i < shape.rank; ++i) bytes *= shape.box[i];
  return bytes;
}

// A row-major matrix [rows, columns] whose rows are `rowBytes` apart, in boxes of boxRows × boxColumns.
constexpr TensorMapShape matrixMap(const void* base, TensorMapType type, uint64_t rows, uint64_t columns,
                                   uint64_t rowBytes, uint32_t boxRows, uint32_t boxColumns,
                                   Swizzle swizzle) {
  return {base, type, 2, {columns, rows}, {elementBytes(type), rowBytes}, {boxColumns, boxRows}, swizzle};
}

// Empty for a legal shape, else which rule of the driver it breaks, with the values.
inline std::string tensorMapError(const TensorMapShape& shape) {
  char text[200];
  const auto say = [&](const char* format, auto... values) {
    std::snprintf(text, sizeof text, format, values...);
    return std::string(text);
  };
  if (shape.rank < 1 || shape.rank > 5) return say("tensor map: rank must be 1 to 5, got %d", shape.rank);
  if (shape.base == nullptr || reinterpret_cast<uintptr_t>(shape.base) % 16 != 0) {
    return say("tensor map: the tensor must start at a multiple of 16 bytes, got %p", shape.base);
  }
  const uint32_t element = elementBytes(shape.type);
  if (shape.strides[0] != element) {
    return say("tensor map: dimension 0 must be contiguous (%u bytes), got a stride of %" PRIu64, element,
               shape.strides[0]);
  }
  for (int i = 0; i < shape.rank; ++i) {
    if (shape.dims[i] < 1 || shape.dims[i] > (uint64_t{1} << 32)) {
      return say("tensor map: dimension %d must have 1 to 2^32 elements, got %" PRIu64, i, shape.dims[i]);
    }
    if (shape.box[i] < 1 || shape.box[i] > 256) {
      return say("tensor map: the box must have 1 to 256 elements along dimension %d, got %u", i,
                 shape.box[i]);
    }
    if (i > 0 && (shape.strides[i] % 16 != 0 || shape.strides[i] >= (uint64_t{1} << 40))) {
      return say(
          "tensor map: the stride of dimension %d must be a multiple of 16 bytes below 2^40, got %" PRIu64, i,
          shape.strides[i]);
    }
  }
  const uint32_t inner = shape.box[0] * element;
  if (inner % 16 != 0) {
    return say("tensor map: a row of the box must be a multiple of 16 bytes, got %u elements of %u",
               shape.box[0], element);
  }
  const uint32_t span = spanBytes(shape.swizzle);
  if (span != 0 && inner > span) {
    return say("tensor map: a row of the box must fit the swizzle's span of %u bytes, got %u", span, inner);
  }
  if (shape.fill == TensorMapFill::kNan &&
      (shape.type == TensorMapType::kU8 || shape.type == TensorMapType::kI32)) {
    return say("tensor map: only floating-point tensors can be filled with NaN");
  }
  return {};
}

// Encodes a legal shape; otherwise, or where the driver refuses, status 1 and context->error says why.
// Encoding is host work of a microsecond: maps are made per launch and passed by value.
int encodeTensorMap(KernelContext* context, const TensorMapShape& shape, TensorMap* map);

}  // namespace anneal::cuda
