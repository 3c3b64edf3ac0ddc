// tma.cc — the copy engine: boxes of tensor maps and plain runs of bytes, between global and shared memory. A
// load is delivered some time after its issue and counts its bytes into a barrier; of a multicast each block
// gets its copy at a time of its own. A store reads shared memory late, and writes global memory later still.
#include "simt/tma.h"

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <utility>

#include "cuda/ptx/swizzle.h"
#include "simt/async.h"
#include "simt/tensor_map.h"

namespace anneal::simt {
namespace {

constexpr unsigned kPiece = 16;  // bytes that a swizzle keeps together

enum class Element : uint8_t { kBf16, kF32, kU8, kI32 };

// A box of a tensor, or a run of bytes (rank 0), row by row: a row lies densely in shared memory.
struct Tile {
  TileMap map{};
  int32_t at[5] = {};
  uint32_t rows = 1;
  uint32_t rowBytes = 0;

  uint32_t bytes() const { return rows * rowBytes; }

  // Which bytes [first, last) of a row lie inside the tensor, and where the row's first byte would be.
  struct Row {
    uint32_t first, last;
    uint64_t address;
  };
  Row row(uint32_t index) const {
    if (map.rank == 0) return {0, rowBytes, map.base + uint64_t{index} * rowBytes};
    uint64_t address = map.base;
    for (unsigned d = 1; d < map.rank; ++d) {
      const int64_t place = int64_t{at[d]} + index % map.box[d];
      index /= map.box[d];
      if (place < 0 || static_cast<uint64_t>(place) >= map.dims[d]) return {0, 0, 0};
      address += static_cast<uint64_t>(place) * map.strides[d - 1];
    }
    const int64_t begin = at[0];
    const int64_t end = std::min<int64_t>(begin + map.box[0], static_cast<int64_t>(map.dims[0]));
    const int64_t skipped = begin < 0 ? -begin : 0;
    if (end <= begin + skipped) return {0, 0, 0};
    address += static_cast<uint64_t>(begin * map.elementBytes);
    return {static_cast<uint32_t>(skipped) * map.elementBytes,
            static_cast<uint32_t>(end - begin) * map.elementBytes, address};
  }

  // Where byte `byte` of the box lies behind the shared address `start`.
  uint32_t place(uint32_t start, uint32_t byte) const {
    return cuda::swizzled(static_cast<cuda::Swizzle>(map.swizzle), start + byte);
  }
};

Tile decode(const uint64_t* words, const int32_t* coordinates, size_t rank) {
  Tile tile;
  std::memcpy(&tile.map, words, sizeof(tile.map));
  if (tile.map.magic != kTileMapMagic) violation("the tensor map was not made by encodeTensorMap");
  if (tile.map.rank != rank) {
    violation("a tensor map of %u dimensions is used with %zu coordinates", tile.map.rank, rank);
  }
  for (size_t d = 0; d < rank; ++d) tile.at[d] = coordinates[d];
  for (size_t d = 1; d < rank; ++d) tile.rows *= tile.map.box[d];
  tile.rowBytes = tile.map.box[0] * tile.map.elementBytes;
  return tile;
}

Tile run(const void* global, uint32_t bytes) {
  Tile tile;
  tile.map.base = reinterpret_cast<uint64_t>(global);
  tile.map.elementBytes = 4;
  tile.map.type = static_cast<uint8_t>(Element::kF32);
  tile.rowBytes = bytes;
  return tile;
}

void checkShape(const char* what, uint32_t shared, uint32_t alignment, const void* global, uint32_t bytes) {
  if (shared % alignment != 0) {
    violation("misaligned %s: shared byte %u is not a multiple of %u", what, shared % kSharedWindow,
              alignment);
  }
  if (reinterpret_cast<uintptr_t>(global) % 16 != 0 || bytes % 16 != 0) {
    violation("misaligned %s: %u bytes at %p; both must be multiples of 16", what, bytes, global);
  }
}

void fillOutside(const Tile& tile, unsigned char* bytes, uint32_t count) {
  if (tile.map.nan == 0) {
    std::memset(bytes, 0, count);
  } else if (tile.map.elementBytes == 2) {
    for (uint32_t i = 0; i + 2 <= count; i += 2) std::memcpy(bytes + i, "\xff\x7f", 2);
  } else {
    for (uint32_t i = 0; i + 4 <= count; i += 4) std::memcpy(bytes + i, "\xff\xff\xff\x7f", 4);
  }
}

struct Load final : Operation {
  Tile tile;
  uint32_t destination = 0;  // shared addresses of the receiving block
  uint32_t barrier = 0;

  void deliver() override {
    peerBlock(destination, actor);
    for (uint32_t r = 0; r < tile.rows; ++r) {
      const Tile::Row row = tile.row(r);
      unsigned char* staged = stage_.data();
      fillOutside(tile, staged, tile.rowBytes);
      if (row.last > row.first) {
        checkGlobal(actor, row.address + row.first, row.last - row.first, Access::kRead);
        std::memcpy(staged + row.first, reinterpret_cast<const void*>(row.address + row.first),
                    row.last - row.first);
      }
      for (uint32_t b = 0; b < tile.rowBytes; b += kPiece) {
        unsigned char* piece = sharedPointer(tile.place(destination, r * tile.rowBytes + b), kPiece);
        checkProxy(reinterpret_cast<uintptr_t>(piece), kPiece, "the copy engine overwrites");
        checkShared(actor, reinterpret_cast<uintptr_t>(piece), kPiece, Access::kWrite);
        std::memcpy(piece, staged + b, kPiece);
      }
    }
    completeBytes(barrier, actor, tile.bytes());
  }
  void describe(char* text, size_t size) const override {
    std::snprintf(text, size, "load of %u bytes to shared byte %u by the copy engine", tile.bytes(),
                  destination % kSharedWindow);
  }
  bool mustBeAwaited() const override { return true; }

  void prepare() { stage_.resize(tile.rowBytes); }

 private:
  std::vector<unsigned char> stage_;
};

void deferLoads(const Tile& tile, uint32_t destination, uint32_t barrier, uint16_t ranks) {
  Thread& thread = self();
  Cluster& cluster = *thread.block->cluster;
  if (barrier / kSharedWindow != destination / kSharedWindow) {
    violation("a load to cluster rank %u with a barrier of rank %u; both must belong to one block",
              destination / kSharedWindow, barrier / kSharedWindow);
  }
  if (ranks >> cluster.blocks.size() != 0) {
    violation("multicast to the ranks %#x of a cluster of %zu blocks", ranks, cluster.blocks.size());
  }
  const uint32_t targets = ranks == 0 ? 1u << destination / kSharedWindow : ranks;
  for (uint32_t rest = targets; rest != 0; rest &= rest - 1) {
    const uint32_t window = static_cast<uint32_t>(__builtin_ctz(rest)) * kSharedWindow;
    auto load = std::make_unique<Load>();
    load->tile = tile;
    load->destination = window + destination % kSharedWindow;
    load->barrier = window + barrier % kSharedWindow;
    load->prepare();
    load->ranges.push_back(
        {reinterpret_cast<uintptr_t>(sharedPointer(load->destination, tile.bytes())), tile.bytes(), true});
    defer(std::move(load));
  }
}

// The second half of a store: the box, by then out of shared memory, to global memory.
struct StoreWrite final : GroupedOperation {
  Tile tile;
  bool add = false;
  bool filled = false;
  std::vector<unsigned char> data;

  bool ready() const override { return filled; }
  void deliver() override {
    for (uint32_t r = 0; r < tile.rows; ++r) {
      const Tile::Row row = tile.row(r);
      if (row.last <= row.first) continue;
      const uint32_t count = row.last - row.first;
      const uintptr_t address = row.address + row.first;
      const unsigned char* source = data.data() + size_t{r} * tile.rowBytes + row.first;
      checkGlobal(actor, address, count, add ? Access::kAtomic : Access::kWrite);
      if (add) {
        addRow(reinterpret_cast<unsigned char*>(address), source, count);
      } else {
        std::memcpy(reinterpret_cast<void*>(address), source, count);
      }
    }
    leaveGroup();
  }
  void describe(char* text, size_t size) const override {
    std::snprintf(text, size, "store of %u bytes by the copy engine", tile.bytes());
  }

 private:
  template <typename T>
  static T get(const unsigned char* bytes) {
    T value;
    std::memcpy(&value, bytes, sizeof(T));
    return value;
  }
  void addRow(unsigned char* destination, const unsigned char* source, uint32_t count) const {
    const auto type = static_cast<Element>(tile.map.type);
    for (uint32_t i = 0; i < count; i += tile.map.elementBytes) {
      if (type == Element::kF32) {
        const float sum = get<float>(destination + i) + get<float>(source + i);
        std::memcpy(destination + i, &sum, 4);
      } else if (type == Element::kBf16) {
        const auto wide = [](uint16_t bits) { return __builtin_bit_cast(float, uint32_t{bits} << 16); };
        const float sum = wide(get<uint16_t>(destination + i)) + wide(get<uint16_t>(source + i));
        const auto bits = __builtin_bit_cast(uint32_t, sum);
        const auto rounded =
            static_cast<uint16_t>(sum != sum ? 0x7fff : (bits + 0x7fffu + (bits >> 16 & 1)) >> 16);
        std::memcpy(destination + i, &rounded, 2);
      } else if (type == Element::kI32) {
        const uint32_t sum = get<uint32_t>(destination + i) + get<uint32_t>(source + i);
        std::memcpy(destination + i, &sum, 4);
      } else {
        violation("the copy engine does not add bytes; use a map of 32-bit integers, f32 or bf16");
      }
    }
  }
};

// The first half: reads shared memory.
struct StoreRead final : GroupedOperation {
  uint32_t source = 0;
  StoreWrite* write = nullptr;

  void deliver() override {
    const Tile& tile = write->tile;
    for (uint32_t b = 0; b < tile.bytes(); b += kPiece) {
      const unsigned char* piece = sharedPointer(tile.place(source, b), kPiece);
      const auto address = reinterpret_cast<uintptr_t>(piece);
      checkProxy(address, kPiece, "the copy engine reads");
      checkShared(actor, address, kPiece, Access::kRead);
      std::memcpy(write->data.data() + b, piece, kPiece);
    }
    write->filled = true;
    leaveGroup();
  }
  void describe(char* text, size_t size) const override {
    std::snprintf(text, size, "store of %u bytes from shared byte %u by the copy engine", write->tile.bytes(),
                  source % kSharedWindow);
  }
  bool mustBeAwaited() const override { return true; }
};

void deferStore(const Tile& tile, uint32_t source, bool add) {
  Thread& thread = self();
  if (source / kSharedWindow != thread.block->rank)
    violation("a store from the shared memory of another block");
  auto write = std::make_unique<StoreWrite>();
  write->tile = tile;
  write->add = add;
  write->data.resize(tile.bytes());
  auto read = std::make_unique<StoreRead>();
  read->source = source;
  read->write = write.get();
  read->ranges.push_back(
      {reinterpret_cast<uintptr_t>(sharedPointer(source, tile.bytes())), tile.bytes(), false});
  deferInGroup(thread.async.stores, std::move(read), true);
  deferInGroup(thread.async.stores, std::move(write), false);
}

}  // namespace

void tmaLoad(uint32_t destination, const uint64_t* map, uint32_t barrier, const int32_t* coordinates,
             size_t rank, uint16_t ranks) {
  InsideRuntime inside;
  const Tile tile = decode(map, coordinates, rank);
  checkShape("tensor load", destination, 128, nullptr, 0);
  mbarrierAt(barrier, self().actor, "load", nullptr);
  deferLoads(tile, destination, barrier, ranks);
}

void tmaStore(const uint64_t* map, uint32_t source, const int32_t* coordinates, size_t rank, bool add) {
  InsideRuntime inside;
  const Tile tile = decode(map, coordinates, rank);
  checkShape("tensor store", source, 128, nullptr, 0);
  deferStore(tile, source, add);
}

void bulkLoad(uint32_t destination, const void* source, uint32_t bytes, uint32_t barrier, uint16_t ranks) {
  InsideRuntime inside;
  checkShape("bulk load", destination, 16, source, bytes);
  mbarrierAt(barrier, self().actor, "load", nullptr);
  deferLoads(run(source, bytes), destination, barrier, ranks);
}

void bulkStore(void* destination, uint32_t source, uint32_t bytes, bool add) {
  InsideRuntime inside;
  checkShape("bulk store", source, 16, destination, bytes);
  deferStore(run(destination, bytes), source, add);
}

void bulkCommit() { ++self().async.stores.open; }

void bulkWait(unsigned pending, bool readsOnly) {
  InsideRuntime inside;
  waitForGroups(self(), self().async.stores, pending, readsOnly);
}

}  // namespace anneal::simt
