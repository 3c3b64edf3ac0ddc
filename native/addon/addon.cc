// addon.cc — what the addon exports: devices, memory, dispatch, recordings. A list; the work is in the files
// named after it.
#include <napi.h>

#include "addon/devices.h"
#include "addon/dispatch.h"
#include "addon/environment.h"
#include "addon/memory.h"
#include "addon/recording.h"
#include "addon/text/clean.h"
#include "addon/text/count.h"
#include "addon/text/decontaminate.h"
#include "addon/text/dedup.h"
#include "addon/text/language.h"
#include "addon/text/packing.h"
#include "addon/text/shards.h"
#include "addon/text/split.h"
#include "addon/text/substring.h"
#include "addon/text/tokenizer.h"
#include "addon/text/train.h"
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
  exportClean(env, exports);
  exportCount(env, exports);
  exportDecontaminate(env, exports);
  exportDedup(env, exports);
  exportLanguage(env, exports);
  exportPacking(env, exports);
  exportShards(env, exports);
  exportSubstring(env, exports);
  exportSplit(env, exports);
  exportTokenizer(env, exports);
  exportTrain(env, exports);
  return exports;
}

NODE_API_MODULE(anneal, initialise)

}  // namespace
}  // namespace anneal::addon
