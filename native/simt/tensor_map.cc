// tensor_map.cc — encodeTensorMap for the emulated copy engine.
#include "simt/tensor_map.h"

#include <cstring>

#include "cuda/host/tensor_map.h"

namespace anneal::cuda {

int encodeTensorMap(KernelContext* context, const TensorMapShape& shape, TensorMap* map) {
  const std::string problem = tensorMapError(shape);
  if (!problem.empty()) return fail(context, "%s", problem.c_str());
  simt::TileMap tile{};
  tile.magic = simt::kTileMapMagic;
  tile.base = reinterpret_cast<uint64_t>(shape.base);
  for (int i = 0; i < shape.rank; ++i) {
    tile.dims[i] = shape.dims[i];
    tile.box[i] = static_cast<uint16_t>(shape.box[i]);
    if (i > 0) tile.strides[i - 1] = shape.strides[i];
  }
  tile.rank = static_cast<uint8_t>(shape.rank);
  tile.elementBytes = static_cast<uint8_t>(elementBytes(shape.type));
  tile.type = static_cast<uint8_t>(shape.type);
  tile.nan = shape.fill == TensorMapFill::kNan;
  tile.swizzle = static_cast<uint16_t>(spanBytes(shape.swizzle));
  std::memcpy(map->words, &tile, sizeof(tile));
  return 0;
}

}  // namespace anneal::cuda
