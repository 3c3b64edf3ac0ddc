// memory.cc — tensor memory for JavaScript: allocate, view, free, write, read, statistics.
#include "addon/memory.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <future>
#include <iterator>

#include "addon/environment.h"

namespace anneal::addon {
namespace {

constexpr double kMaxBytes = 9007199254740991.0;

Slot& slotArgument(const Napi::CallbackInfo& info, size_t index) {
  const double handle = info[index].As<Napi::Number>().DoubleValue();
  Slot* slot = Environment::of(info.Env()).slots.find(static_cast<uint64_t>(handle));
  if (slot == nullptr) throwCoded(info.Env(), "ERR_DISPOSED", "the tensor was disposed");
  return *slot;
}

size_t sizeArgument(const Napi::CallbackInfo& info, size_t index) {
  const double value = info[index].As<Napi::Number>().DoubleValue();
  if (!(value >= 0 && value <= kMaxBytes)) throwCoded(info.Env(), "ERR_NATIVE", "a byte count is not valid");
  return static_cast<size_t>(value);
}

// Checks that [offset, offset + bytes) lies inside the slot.
void checkRange(Napi::Env env, const Slot& slot, size_t offset, size_t bytes) {
  if (offset > slot.bytes || bytes > slot.bytes - offset) {
    throwCoded(env, "ERR_SHAPE",
               "bytes " + std::to_string(offset) + " to " + std::to_string(offset + bytes) +
                   " lie outside a tensor of " + std::to_string(slot.bytes) + " bytes");
  }
}

struct View {
  char* data;
  size_t bytes;
};

View typedArray(const Napi::CallbackInfo& info, size_t index) {
  if (!info[index].IsTypedArray()) throwCoded(info.Env(), "ERR_NATIVE", "expected a typed array");
  const Napi::TypedArray array = info[index].As<Napi::TypedArray>();
  return {static_cast<char*>(array.ArrayBuffer().Data()) + array.ByteOffset(), array.ByteLength()};
}

void refuse(const Napi::Env env, const Slot& slot, const char* operation, const char* fix) {
  refuseWhileRecording(env, *Environment::of(env).devices[slot.buffer->device], operation, fix);
}

constexpr const char* kReadFix = "nothing of it has run yet; return the tensor and read it after replay()";

// `12.3 GiB`, `4.0 KiB` or `512 bytes`.
std::string readable(double bytes) {
  char text[32];
  const char* const units[] = {"KiB", "MiB", "GiB", "TiB"};
  if (bytes < 1024) {
    std::snprintf(text, sizeof(text), "%.0f bytes", bytes);
    return text;
  }
  size_t unit = 0;
  for (bytes /= 1024; bytes >= 1024 && unit + 1 < std::size(units); ++unit) bytes /= 1024;
  std::snprintf(text, sizeof(text), "%.1f %s", bytes, units[unit]);
  return text;
}

// What was asked, what is free and who holds the rest.
std::string outOfMemory(Device& device, size_t bytes) {
  const MemoryStatistics& memory = device.pool.statistics();
  std::string text = "out of memory on " + device.name + ": " + std::to_string(bytes) +
                     " bytes were asked for, " + std::to_string(memory.live) + " bytes are in use by " +
                     std::to_string(memory.buffers) + " buffers, ";
  text += device.pool.limit() == 0 ? std::string("the limit is the system's")
                                   : "the limit is " + std::to_string(device.pool.limit());
  DeviceMemory facts{};
  const DeviceApi* api = device.backend->device;
  if (api != nullptr && api->memory(&device.context, &facts) == 0) {
    const double kept = static_cast<double>(memory.reserved - memory.live);
    const double others = static_cast<double>(facts.total - facts.free - facts.workspace) -
                          static_cast<double>(memory.reserved);
    text += "; of the device's " + readable(static_cast<double>(facts.total)) + ", " +
            readable(static_cast<double>(facts.free)) + " are free, " + readable(kept) +
            " are rounding and buffers kept for reuse, " + readable(static_cast<double>(facts.workspace)) +
            " are kernels' workspace, and " + readable(std::max(0.0, others)) +
            " belong to the driver and other processes";
  }
  return text + "; use a smaller batch, a shorter sequence or activation checkpointing";
}

// A block, after giving back what the pool holds unused if need be; null when there is none.
void* allocateBlock(Device& device, size_t bytes, bool fresh) {
  const auto ask = [&] {
    device.context.error[0] = 0;
    return fresh ? device.pool.allocateFresh(bytes) : device.pool.allocate(bytes);
  };
  if (void* data = ask()) return data;
  for (const Pool::Unused& block : device.pool.takeUnused()) device.executor->freeBlock(block);
  device.executor->drain();
  return ask();
}

// (device, bytes, fresh?) → handle. fresh: memory that no call of the recording under way uses
Napi::Value allocate(const Napi::CallbackInfo& info) {
  Environment& environment = Environment::of(info.Env());
  Device& device = deviceArgument(info, 0);
  const size_t bytes = sizeArgument(info, 1);
  const bool paused = device.recording != nullptr && device.recording->paused;
  void* data = allocateBlock(device, bytes, paused || info[2].ToBoolean());
  // A device that a kernel has broken refuses memory too; then its own reason is the one that helps.
  if (data == nullptr && device.context.error[0] != 0)
    throwCoded(info.Env(), "ERR_DEVICE", "no memory from " + device.name + ": " + device.context.error);
  if (data == nullptr) throwCoded(info.Env(), "ERR_OUT_OF_MEMORY", outOfMemory(device, bytes));
  Buffer* buffer = new Buffer{data, bytes, 0, info[0].As<Napi::Number>().Uint32Value()};
  return Napi::Number::New(
      info.Env(), static_cast<double>(environment.slots.add(buffer, static_cast<char*>(data), bytes)));
}

// (handle, byteOffset, bytes) → handle of a view that shares the memory
Napi::Value view(const Napi::CallbackInfo& info) {
  const Slot slot = slotArgument(info, 0);
  const size_t offset = sizeArgument(info, 1), bytes = sizeArgument(info, 2);
  checkRange(info.Env(), slot, offset, bytes);
  return Napi::Number::New(
      info.Env(),
      static_cast<double>(Environment::of(info.Env()).slots.add(slot.buffer, slot.data + offset, bytes)));
}

// (handle) → whether the handle was live; freeing twice is harmless
Napi::Value release(const Napi::CallbackInfo& info) {
  Environment& environment = Environment::of(info.Env());
  const uint64_t handle = static_cast<uint64_t>(info[0].As<Napi::Number>().DoubleValue());
  Slot* slot = environment.slots.find(handle);
  if (slot == nullptr) return Napi::Boolean::New(info.Env(), false);
  if (Buffer* buffer = environment.slots.remove(handle, slot)) {
    Device& device = *environment.devices[buffer->device];
    Pool::Unused unused;
    const bool table = device.recording != nullptr && device.recording->tables.erase(buffer) != 0;
    if (device.recording != nullptr) device.recording->used.erase(buffer);
    if (table) {
      device.pool.retire(buffer->data, device.recording->arena);
    } else if (device.pool.release(buffer->data, &unused))
      device.executor->freeBlock(unused);
    delete buffer;
  }
  return Napi::Boolean::New(info.Env(), true);
}

// (handle, byteOffset, typedArray): queued; the array may be reused at once
void write(const Napi::CallbackInfo& info) {
  const Slot slot = slotArgument(info, 0);
  const View source = typedArray(info, 2);
  const size_t offset = sizeArgument(info, 1);
  checkRange(info.Env(), slot, offset, source.bytes);
  refuse(info.Env(), slot, "an upload (tensor(), write())",
         "replays would not repeat it; make the tensor before the recording and write into it before each "
         "replay");
  if (source.bytes == 0) return;
  void* staging = std::malloc(source.bytes);
  if (staging == nullptr) throwCoded(info.Env(), "ERR_OUT_OF_MEMORY", "out of host memory for an upload");
  std::memcpy(staging, source.data, source.bytes);
  Environment::of(info.Env())
      .devices[slot.buffer->device]
      ->executor->copyIn(slot.data + offset, staging, source.bytes);
}

// (handle, byteOffset, typedArray) → promise, settled when the array holds the data
Napi::Value read(const Napi::CallbackInfo& info) {
  const Slot slot = slotArgument(info, 0);
  const View target = typedArray(info, 2);
  const size_t offset = sizeArgument(info, 1);
  checkRange(info.Env(), slot, offset, target.bytes);
  refuse(info.Env(), slot, "a read (data(), item())", kReadFix);
  Environment& environment = Environment::of(info.Env());
  napi_value promise = nullptr;
  PendingRead* pending = environment.begin(info.Env(), info[2], &promise);
  environment.devices[slot.buffer->device]->executor->copyOut(
      target.data, slot.data + offset, target.bytes,
      [&environment, pending](std::unique_ptr<KernelFailure> failure) {
        pending->failure = std::move(failure);
        environment.finish(pending);
      });
  return Napi::Value(info.Env(), promise);
}

// (handle, byteOffset, typedArray): blocks the JavaScript thread until the array holds the data
void readSync(const Napi::CallbackInfo& info) {
  const Slot slot = slotArgument(info, 0);
  const View target = typedArray(info, 2);
  const size_t offset = sizeArgument(info, 1);
  checkRange(info.Env(), slot, offset, target.bytes);
  refuse(info.Env(), slot, "a read (dataSync())", kReadFix);
  std::promise<std::unique_ptr<KernelFailure>> done;
  Environment::of(info.Env())
      .devices[slot.buffer->device]
      ->executor->copyOut(
          target.data, slot.data + offset, target.bytes,
          [&done](std::unique_ptr<KernelFailure> failure) { done.set_value(std::move(failure)); });
  if (const auto failure = done.get_future().get()) {
    throwCoded(info.Env(), "ERR_KERNEL", "kernel " + failure->kernel + " failed: " + failure->message);
  }
}

// (device) → promise, settled when everything queued so far has run
Napi::Value synchronize(const Napi::CallbackInfo& info) {
  Device& device = deviceArgument(info, 0);
  refuseWhileRecording(info.Env(), device, "synchronize()", "nothing of it has run yet");
  Environment& environment = Environment::of(info.Env());
  napi_value promise = nullptr;
  PendingRead* pending = environment.begin(info.Env(), nullptr, &promise);
  device.executor->copyOut(nullptr, nullptr, 0,
                           [&environment, pending](std::unique_ptr<KernelFailure> failure) {
                             pending->failure = std::move(failure);
                             environment.finish(pending);
                           });
  return Napi::Value(info.Env(), promise);
}

// While recording: gives a new buffer memory that no recorded call writes, and that none gets later.
void makeTable(const Napi::CallbackInfo& info, Device& device) {
  Slot& slot = slotArgument(info, 0);
  Buffer& buffer = *slot.buffer;
  Recording& recording = *device.recording;
  if (buffer.references != 1 || recording.used.contains(&buffer)) {
    throwCoded(info.Env(), "ERR_CAPTURE",
               "writePointers while kernel calls are recorded on " + device.name +
                   ": the table must be a new tensor; make one for each recording");
  }
  void* data = allocateBlock(device, buffer.bytes, true);
  if (data == nullptr) throwCoded(info.Env(), "ERR_OUT_OF_MEMORY", outOfMemory(device, buffer.bytes));
  Pool::Unused unused;
  device.pool.release(buffer.data, &unused);
  buffer.data = data;
  slot.data = static_cast<char*>(data);
  recording.tables.insert(&buffer);
}

// (handle, Float64Array words, string kinds): writes 8-byte words, those of kind 't' being handles whose
// addresses are written. The kinds repeat over the words. Used for the optimizers' tables of pointers. While
// a recording is under way the table is written now, once: the addresses are the same in every replay, and
// the table's memory and the tensors that it names stay the recording's.
void writePointers(const Napi::CallbackInfo& info) {
  const Napi::Float64Array source = info[1].As<Napi::Float64Array>();
  const std::string kinds = info[2].As<Napi::String>().Utf8Value();
  const size_t count = source.ElementLength(), bytes = count * sizeof(uint64_t);
  if (kinds.empty()) throwCoded(info.Env(), "ERR_NATIVE", "writePointers needs a kind for every word");
  checkRange(info.Env(), slotArgument(info, 0), 0, bytes);
  if (bytes == 0) return;
  Environment& environment = Environment::of(info.Env());
  Device& device = *environment.devices[slotArgument(info, 0).buffer->device];
  Recording* recording = recordingOf(device);
  if (recording != nullptr) makeTable(info, device);
  const Slot slot = slotArgument(info, 0);
  auto* staging = static_cast<uint64_t*>(std::malloc(bytes));
  if (staging == nullptr) throwCoded(info.Env(), "ERR_OUT_OF_MEMORY", "out of host memory for an upload");
  for (size_t i = 0; i < count; ++i) {
    const double value = source[i];
    if (kinds[i % kinds.size()] != 't') {
      staging[i] = static_cast<uint64_t>(static_cast<int64_t>(value));
    } else if (value == 0) {
      staging[i] = 0;
    } else if (const Slot* target = environment.slots.find(static_cast<uint64_t>(value))) {
      staging[i] = reinterpret_cast<uint64_t>(target->data);
      if (recording != nullptr) recording->used.insert(target->buffer);
    } else {
      std::free(staging);
      throwCoded(info.Env(), "ERR_DISPOSED", "a tensor in a table of pointers was disposed");
    }
  }
  device.executor->copyIn(slot.data, staging, bytes);
}

// (device) → {live, peak, reserved, buffers, recorded, limit} in bytes
Napi::Value memory(const Napi::CallbackInfo& info) {
  Device& device = deviceArgument(info, 0);
  const MemoryStatistics& statistics = device.pool.statistics();
  Napi::Object result = Napi::Object::New(info.Env());
  result.Set("live", static_cast<double>(statistics.live));
  result.Set("peak", static_cast<double>(statistics.peak));
  result.Set("reserved", static_cast<double>(statistics.reserved));
  result.Set("buffers", static_cast<double>(statistics.buffers));
  result.Set("recorded", static_cast<double>(statistics.recorded));
  result.Set("limit", static_cast<double>(device.pool.limit()));
  return result;
}

void resetPeak(const Napi::CallbackInfo& info) { deviceArgument(info, 0).pool.resetPeak(); }

// (device, bytes): 0 removes the limit
void setMemoryLimit(const Napi::CallbackInfo& info) {
  deviceArgument(info, 0).pool.setLimit(sizeArgument(info, 1));
}

// (device): gives unused memory back to the system
void trim(const Napi::CallbackInfo& info) {
  Device& device = deviceArgument(info, 0);
  for (const Pool::Unused& block : device.pool.takeUnused()) device.executor->freeBlock(block);
}

}  // namespace

void exportMemory(Napi::Env env, Napi::Object exports) {
  exports.Set("allocate", Napi::Function::New(env, allocate));
  exports.Set("view", Napi::Function::New(env, view));
  exports.Set("release", Napi::Function::New(env, release));
  exports.Set("write", Napi::Function::New(env, write));
  exports.Set("read", Napi::Function::New(env, read));
  exports.Set("readSync", Napi::Function::New(env, readSync));
  exports.Set("synchronize", Napi::Function::New(env, synchronize));
  exports.Set("writePointers", Napi::Function::New(env, writePointers));
  exports.Set("memory", Napi::Function::New(env, memory));
  exports.Set("resetPeak", Napi::Function::New(env, resetPeak));
  exports.Set("setMemoryLimit", Napi::Function::New(env, setMemoryLimit));
  exports.Set("trim", Napi::Function::New(env, trim));
}

}  // namespace anneal::addon
