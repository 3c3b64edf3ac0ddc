// control.h — proof that the checks of native/simt check: for each rule a kernel that breaks it and must be
// caught, and its twin that keeps it and must pass. A family of controls is a table of lines in a file of its
// own.
#pragma once

#include <cstddef>
#include <span>

#include "core/backend.h"

namespace anneal::controls {

// Runs the sound or the broken kernel and gives the launch's status, or 2 with context->error when the result
// of a kernel that passed is wrong.
using ControlFn = int (*)(KernelContext* context);

struct Control {
  const char* name;
  const char* message;  // that the broken twin must give, in part; alternatives are separated by '|'
  ControlFn sound;
  ControlFn broken;
};

// One line of a table: a kernel template <bool kSound> that run(context, kernel) starts.
#define ANNEAL_CONTROL(name, message, kernel)                                                   \
  {                                                                                             \
    name, message, [](::anneal::KernelContext* context) { return run(context, kernel<true>); }, \
        [](::anneal::KernelContext* context) { return run(context, kernel<false>); }            \
  }

// The families; each is defined at the end of its file.
std::span<const Control> memoryControls();
std::span<const Control> collectiveControls();
std::span<const Control> raceControls();
std::span<const Control> globalRaceControls();
std::span<const Control> asyncCopyControls();
std::span<const Control> matrixControls();
std::span<const Control> mbarrierControls();
std::span<const Control> copyEngineControls();
std::span<const Control> wgmmaLayoutControls();
std::span<const Control> wgmmaControls();
std::span<const Control> clusterControls();
std::span<const Control> pipelineControls();

// Global memory of `count` elements of T for the time of one control, all bytes zero.
class Buffer {
 public:
  explicit Buffer(size_t bytes);
  ~Buffer();
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;
  template <typename T>
  T* as() const {
    return static_cast<T*>(data_);
  }
  // Gives the memory back early; the pointer dangles then.
  void release();

 private:
  void* data_;
  bool held_ = true;
};

}  // namespace anneal::controls
