// tensor_map.cu — encodeTensorMap on a GPU: the driver makes the map. Its function is looked up at run time,
// so that the library needs no driver to be opened.
#include <cuda.h>
#include <cuda_runtime.h>

#include <cstring>

#include "cuda/host/tensor_map.h"

namespace anneal::cuda {
namespace {

static_assert(sizeof(TensorMap) == sizeof(CUtensorMap));

using EncodeFn = decltype(&cuTensorMapEncodeTiled);

// Null where the driver does not know tensor maps (before CUDA 12).
EncodeFn findEncode() {
  void* entry = nullptr;
  cudaDriverEntryPointQueryResult found{};
#if CUDART_VERSION >= 12050
  const cudaError_t error =
      cudaGetDriverEntryPointByVersion("cuTensorMapEncodeTiled", &entry, 12000, cudaEnableDefault, &found);
#else
  const cudaError_t error =
      cudaGetDriverEntryPoint("cuTensorMapEncodeTiled", &entry, cudaEnableDefault, &found);
#endif
  if (error != cudaSuccess || found != cudaDriverEntryPointSuccess) return nullptr;
  return reinterpret_cast<EncodeFn>(entry);
}

CUtensorMapDataType dataType(TensorMapType type) {
  switch (type) {
    case TensorMapType::kBf16:
      return CU_TENSOR_MAP_DATA_TYPE_BFLOAT16;
    case TensorMapType::kF32:
      return CU_TENSOR_MAP_DATA_TYPE_FLOAT32;
    case TensorMapType::kU8:
      return CU_TENSOR_MAP_DATA_TYPE_UINT8;
    case TensorMapType::kI32:
      break;
  }
  return CU_TENSOR_MAP_DATA_TYPE_INT32;
}

CUtensorMapSwizzle swizzleMode(Swizzle swizzle) {
  switch (swizzle) {
    case Swizzle::k32:
      return CU_TENSOR_MAP_SWIZZLE_32B;
    case Swizzle::k64:
      return CU_TENSOR_MAP_SWIZZLE_64B;
    case Swizzle::k128:
      return CU_TENSOR_MAP_SWIZZLE_128B;
    case Swizzle::kNone:
      break;
  }
  return CU_TENSOR_MAP_SWIZZLE_NONE;
}

}  // namespace

int encodeTensorMap(KernelContext* context, const TensorMapShape& shape, TensorMap* map) {
  static const EncodeFn encode = findEncode();
  const std::string problem = tensorMapError(shape);
  if (!problem.empty()) return fail(context, "%s", problem.c_str());
  if (encode == nullptr) {
    return fail(context, "tensor map: this driver does not make tensor maps; CUDA 12 or newer is needed");
  }
  cuuint64_t dims[5], strides[5];
  cuuint32_t box[5], steps[5];
  for (int i = 0; i < shape.rank; ++i) {
    dims[i] = shape.dims[i];
    box[i] = shape.box[i];
    steps[i] = 1;
    if (i > 0) strides[i - 1] = shape.strides[i];
  }
  CUtensorMap encoded;
  const CUresult result =
      encode(&encoded, dataType(shape.type), static_cast<cuuint32_t>(shape.rank),
             const_cast<void*>(shape.base), dims, strides, box, steps, CU_TENSOR_MAP_INTERLEAVE_NONE,
             swizzleMode(shape.swizzle), CU_TENSOR_MAP_L2_PROMOTION_L2_128B,
             shape.fill == TensorMapFill::kNan ? CU_TENSOR_MAP_FLOAT_OOB_FILL_NAN_REQUEST_ZERO_FMA
                                               : CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE);
  if (result != CUDA_SUCCESS) {
    return fail(context, "tensor map: the driver refused it with error %d (rank %d, box %u × %u)",
                static_cast<int>(result), shape.rank, shape.box[0], shape.rank > 1 ? shape.box[1] : 1);
  }
  std::memcpy(map, &encoded, sizeof(encoded));
  return 0;
}

}  // namespace anneal::cuda
