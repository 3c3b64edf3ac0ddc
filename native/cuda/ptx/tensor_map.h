// tensor_map.h — the opaque map that the copy engine reads: a kernel takes it as `const __grid_constant__
// TensorMap map`. Made by encodeTensorMap (cuda/host/tensor_map.h).
#pragma once

#include <cstdint>

namespace anneal::cuda {

struct alignas(64) TensorMap {
  uint64_t words[16];
};

}  // namespace anneal::cuda
