// recording.h — a recorded run of kernel calls: what the executor repeats (Calls), and what the JavaScript
// thread keeps for it (Recording): the memory that the calls use, so that nothing else gets it while they may
// run again.
#pragma once

#include <napi.h>

#include <cstdint>
#include <memory>
#include <unordered_set>
#include <vector>

#include "addon/pool.h"
#include "addon/slots.h"

namespace anneal::addon {

// Belongs to the executor's thread from the first replay on.
struct Calls {
  struct Call {
    uint32_t kernel;
    uint32_t first;  // of its words
  };
  std::vector<Call> calls;
  std::vector<uint64_t> words;
  void* graph = nullptr;  // what the device made of the calls
  bool ran = false;       // once, one by one, after which it may be captured
  bool plain = false;     // the device wants them one by one

  void add(uint32_t kernel, const uint64_t* from, size_t count) {
    calls.push_back({kernel, static_cast<uint32_t>(words.size())});
    words.insert(words.end(), from, from + count);
  }
};

struct Recording {
  std::unique_ptr<Calls> calls = std::make_unique<Calls>();
  // Memory that was freed during the recording; its later calls use it again.
  Pool::Arena arena;
  // Buffers that the calls name and that somebody holds. After the recording each counts one reference more.
  std::unordered_set<Buffer*> used;
  // Buffers of pointer tables: written once, while recording.
  std::unordered_set<Buffer*> tables;
  // Kernel calls go to the executor for a while, on memory that the recorded ones do not use.
  bool paused = false;

  ~Recording();
};

struct Device;

// The recording that takes the device's kernel calls now, or null.
Recording* recordingOf(const Device& device);

// Whether something is recorded on the device: then throws an error of code ERR_CAPTURE that names the
// operation.
void refuseWhileRecording(Napi::Env env, const Device& device, const char* operation, const char* fix);

void exportRecording(Napi::Env env, Napi::Object exports);

}  // namespace anneal::addon
