// count.cc — texts to counts, for JavaScript.
#include "addon/text/count.h"

#include "addon/job.h"
#include "text/count/count.h"

namespace anneal::addon {
namespace {

// countTexts(bytes, ends, threads, out, words): fills `out`, a Float64Array of kTextCounts values per text.
Napi::Value countTexts(const Napi::CallbackInfo& info) {
  const text::TextBatch batch = batchArgument(info, 0);
  const unsigned threads = info[2].As<Napi::Number>().Uint32Value();
  Napi::Float64Array out = info[3].As<Napi::Float64Array>();
  auto* counts = reinterpret_cast<text::TextCounts*>(out.Data());
  return runJob(info.Env(), {info[0], info[1], info[3]}, info[4], [=](JobControl&) -> JobResult {
    text::countBatch(batch, threads, counts);
    return [](Napi::Env env) { return env.Undefined(); };
  });
}

}  // namespace

void exportCount(Napi::Env env, Napi::Object exports) {
  exports.Set("countTexts", Napi::Function::New(env, countTexts, "countTexts"));
}

}  // namespace anneal::addon
