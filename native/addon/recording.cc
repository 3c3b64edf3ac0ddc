#include "addon/recording.h"

#include <string>

#include "addon/environment.h"

namespace anneal::addon {
namespace {

// Gives the memory of a recording back to the pool; what is queued until now still may use it.
void free(Device& device, Recording& recording) {
  for (const Pool::Unused& block : device.pool.dissolve(recording.arena)) device.executor->freeBlock(block);
  for (Buffer* buffer : recording.used) {
    if (--buffer->references != 0) continue;
    Pool::Unused unused;
    if (device.pool.release(buffer->data, &unused)) device.executor->freeBlock(unused);
    delete buffer;
  }
  recording.used.clear();
}

// (device): kernel calls are noted from now on instead of queued
void beginRecording(const Napi::CallbackInfo& info) {
  Device& device = deviceArgument(info, 0);
  if (device.recording != nullptr)
    throwCoded(info.Env(), "ERR_CAPTURE", "a recording is under way on " + device.name + "; end it first");
  device.recording = std::make_unique<Recording>();
  device.pool.setArena(&device.recording->arena);
}

std::unique_ptr<Recording> stop(const Napi::CallbackInfo& info, Device& device) {
  if (device.recording == nullptr)
    throwCoded(info.Env(), "ERR_CAPTURE", "nothing is recorded on " + device.name);
  device.pool.setArena(nullptr);
  for (Buffer* buffer : device.recording->used) buffer->references += 1;
  return std::move(device.recording);
}

// (device) → recording
Napi::Value endRecording(const Napi::CallbackInfo& info) {
  Device& device = deviceArgument(info, 0);
  std::unique_ptr<Recording> recording = stop(info, device);
  const uint32_t id = device.nextRecording++;
  device.recordings.emplace(id, std::move(recording));
  return Napi::Number::New(info.Env(), id);
}

// (device): drops the recording under way
void abortRecording(const Napi::CallbackInfo& info) {
  Device& device = deviceArgument(info, 0);
  free(device, *stop(info, device));
}

// (device, paused): sets the recording under way aside, or goes on with it
void pauseRecording(const Napi::CallbackInfo& info) {
  Device& device = deviceArgument(info, 0);
  if (device.recording == nullptr)
    throwCoded(info.Env(), "ERR_CAPTURE", "nothing is recorded on " + device.name);
  device.recording->paused = info[1].ToBoolean();
}

// (device, recording): queues its calls
void replay(const Napi::CallbackInfo& info) {
  Device& device = deviceArgument(info, 0);
  refuseWhileRecording(info.Env(), device, "replay", "recordings do not nest");
  const auto found = device.recordings.find(info[1].As<Napi::Number>().Uint32Value());
  if (found == device.recordings.end()) throwCoded(info.Env(), "ERR_DISPOSED", "the recording was disposed");
  device.executor->replay(found->second->calls.get());
}

// (device, recording) → whether it was there; its memory goes back to the pool
Napi::Value releaseRecording(const Napi::CallbackInfo& info) {
  Device& device = deviceArgument(info, 0);
  const auto found = device.recordings.find(info[1].As<Napi::Number>().Uint32Value());
  if (found == device.recordings.end()) return Napi::Boolean::New(info.Env(), false);
  // A recording under way must not get the memory: its own calls would share it with others.
  if (device.recording != nullptr)
    throwCoded(info.Env(), "ERR_CAPTURE", "dispose of a recording after the one under way has ended");
  device.executor->discard(std::move(found->second->calls));
  free(device, *found->second);
  device.recordings.erase(found);
  return Napi::Boolean::New(info.Env(), true);
}

}  // namespace

// What is left when a device ends: its pool takes the memory as a whole.
Recording::~Recording() {
  for (Buffer* buffer : used) {
    if (--buffer->references == 0) delete buffer;
  }
}

Recording* recordingOf(const Device& device) {
  Recording* recording = device.recording.get();
  return recording == nullptr || recording->paused ? nullptr : recording;
}

void refuseWhileRecording(Napi::Env env, const Device& device, const char* operation, const char* fix) {
  if (recordingOf(device) == nullptr) return;
  throwCoded(env, "ERR_CAPTURE",
             std::string(operation) + " while kernel calls are recorded on " + device.name + ": " + fix);
}

void exportRecording(Napi::Env env, Napi::Object exports) {
  exports.Set("beginRecording", Napi::Function::New(env, beginRecording));
  exports.Set("endRecording", Napi::Function::New(env, endRecording));
  exports.Set("abortRecording", Napi::Function::New(env, abortRecording));
  exports.Set("pauseRecording", Napi::Function::New(env, pauseRecording));
  exports.Set("replay", Napi::Function::New(env, replay));
  exports.Set("releaseRecording", Napi::Function::New(env, releaseRecording));
}

}  // namespace anneal::addon
