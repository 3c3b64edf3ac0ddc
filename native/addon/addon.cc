// addon.cc — what the addon exports: devices, memory, dispatch, recordings. A list; the work is in the files
// named after it.
#include <napi.h>

#include "addon/devices.h"
#include "addon/dispatch.h"
#include "addon/environment.h"
#include "addon/memory.h"
#include "addon/recording.h"
#include "addon/workspace.h"

namespace anneal::addon {
namespace {

Napi::Object initialise(Napi::Env env, Napi::Object exports) {
  env.SetInstanceData(new Environment(env));
  exportDevices(env, exports);
  exportMemory(env, exports);
  exportWorkspace(env, exports);
  exportDispatch(env, exports);
  exportRecording(env, exports);
  return exports;
}

NODE_API_MODULE(anneal, initialise)

}  // namespace
}  // namespace anneal::addon
