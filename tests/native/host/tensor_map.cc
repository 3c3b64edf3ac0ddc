// tensor_map.cc — reads rows of "base type rank swizzle fill dims[5] strides[5] box[5]" and writes 0 for a
// legal tensor map, else which rule it breaks: 1 rank, 2 start, 3 contiguous, 4 dimension, 5 box, 6 stride, 7
// row of the box, 8 swizzle, 9 fill.
#include "cuda/host/tensor_map.h"

#include <iostream>

int main() {
  using namespace anneal::cuda;
  const char* const rules[] = {"rank must",           "must start",           "must be contiguous",
                               "must have 1 to 2^32", "the box must have",    "the stride of",
                               "must be a multiple",  "must fit the swizzle", "can be filled"};
  uint64_t base = 0, type = 0, swizzle = 0, fill = 0;
  while (std::cin >> base >> type) {
    TensorMapShape shape{};
    std::cin >> shape.rank >> swizzle >> fill;
    for (auto& dim : shape.dims) std::cin >> dim;
    for (auto& stride : shape.strides) std::cin >> stride;
    for (auto& box : shape.box) std::cin >> box;
    shape.base = reinterpret_cast<const void*>(base);
    shape.type = static_cast<TensorMapType>(type);
    shape.swizzle = static_cast<Swizzle>(swizzle);
    shape.fill = static_cast<TensorMapFill>(fill);
    const std::string text = tensorMapError(shape);
    int rule = 0;
    for (int i = 0; i < 9 && rule == 0; ++i) {
      if (text.find(rules[i]) != std::string::npos) rule = i + 1;
    }
    std::cout << (text.empty() ? 0 : rule == 0 ? -1 : rule) << ' ' << boxBytes(shape) << '\n';
  }
}
