// slots.h — the tensor slot table: integer handles for JavaScript, generation-counted, over reference-counted
// buffers. A stale handle is recognised, never followed.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace anneal::addon {

// Memory of one device; several slots (views) may share it.
struct Buffer {
  void* data = nullptr;
  size_t bytes = 0;
  uint32_t references = 0;
  uint32_t device = 0;
};

struct Slot {
  Buffer* buffer = nullptr;  // null: the slot is free
  char* data = nullptr;
  size_t bytes = 0;
  uint32_t generation = 0;
};

// A handle is index + 1 + generation·2²⁴, below 2⁵³, so that a JavaScript number holds it exactly. 0 is no
// tensor.
class SlotTable {
 public:
  static constexpr uint64_t kIndexBits = 24;
  static constexpr uint64_t kIndexMask = (uint64_t{1} << kIndexBits) - 1;

  uint64_t add(Buffer* buffer, char* data, size_t bytes) {
    uint32_t index;
    if (free_.empty()) {
      index = static_cast<uint32_t>(slots_.size());
      slots_.emplace_back();
    } else {
      index = free_.back();
      free_.pop_back();
    }
    Slot& slot = slots_[index];
    slot.buffer = buffer;
    slot.data = data;
    slot.bytes = bytes;
    buffer->references += 1;
    return (index + 1) | (uint64_t{slot.generation} << kIndexBits);
  }

  // The live slot of a handle, or null when the handle is stale or was never given out.
  Slot* find(uint64_t handle) {
    const uint64_t index = (handle & kIndexMask) - 1;
    if (index >= slots_.size()) return nullptr;
    Slot& slot = slots_[index];
    return slot.buffer != nullptr && slot.generation == (handle >> kIndexBits) ? &slot : nullptr;
  }

  // Frees the slot; gives back its buffer when no other slot uses it, else null.
  Buffer* remove(uint64_t handle, Slot* slot) {
    Buffer* buffer = slot->buffer;
    slot->buffer = nullptr;
    slot->generation = (slot->generation + 1) & ((uint32_t{1} << 28) - 1);
    free_.push_back(static_cast<uint32_t>((handle & kIndexMask) - 1));
    buffer->references -= 1;
    return buffer->references == 0 ? buffer : nullptr;
  }

  size_t live() const { return slots_.size() - free_.size(); }
  const std::vector<Slot>& all() const { return slots_; }

 private:
  std::vector<Slot> slots_;
  std::vector<uint32_t> free_;
};

}  // namespace anneal::addon
