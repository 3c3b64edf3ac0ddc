// tensor_map.h — the 16 words of an emulated tensor map: written by encodeTensorMap, read by the copy engine.
#pragma once

#include <cstdint>

namespace anneal::simt {

struct TileMap {
  uint64_t magic;
  uint64_t base;  // address
  uint64_t dims[5];
  uint64_t strides[4];  // bytes, of dimensions 1 to 4
  uint16_t box[5];
  uint8_t rank;
  uint8_t elementBytes;
  uint8_t type;  // TensorMapType
  uint8_t nan;   // fill
  uint16_t swizzle;
};
static_assert(sizeof(TileMap) <= 128);

constexpr uint64_t kTileMapMagic = 0x70616d656c697441;

}  // namespace anneal::simt
