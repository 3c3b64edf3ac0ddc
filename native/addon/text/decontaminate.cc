#include "addon/text/decontaminate.h"

#include <memory>

#include "addon/environment.h"
#include "addon/job.h"
#include "text/dedup/overlap.h"

namespace anneal::addon {
namespace {

using namespace text::dedup;

// makeRunIndex(length, shortest, words): an index without items
Napi::Value makeRunIndex(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const uint32_t length = info[0].ToNumber().Uint32Value();
  const uint32_t shortest = info[1].ToNumber().Uint32Value();
  if (length == 0) throwCoded(env, "ERR_NATIVE", "a run has at least one word");
  const Words words = info[2].ToString().Utf8Value() == "spaced" ? Words::kSpaced : Words::kScripts;
  return Napi::External<WordRunIndex>::New(env, new WordRunIndex(length, shortest, words),
                                           [](Napi::Env, WordRunIndex* index) { delete index; });
}

WordRunIndex* indexArgument(const Napi::CallbackInfo& info) {
  if (!info[0].IsExternal()) throwCoded(info.Env(), "ERR_NATIVE", "an index of word runs was expected");
  return info[0].As<Napi::External<WordRunIndex>>().Data();
}

// addToRunIndex(index, bytes, ends, control) → {runs, tooShort}; nothing else may use the index meanwhile
Napi::Value addToRunIndex(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  WordRunIndex* const index = indexArgument(info);
  const text::TextBatch batch = batchArgument(info, 1);
  return runJob(env, {info[0], info[1], info[2]}, info[3], [=](JobControl&) -> JobResult {
    const size_t tooShort = index->add(batch);
    const size_t runs = index->runs();
    return [=](Napi::Env e) -> Napi::Value {
      Napi::Object result = Napi::Object::New(e);
      result.Set("runs", Napi::Number::New(e, static_cast<double>(runs)));
      result.Set("tooShort", Napi::Number::New(e, static_cast<double>(tooShort)));
      return result;
    };
  });
}

// findOverlaps(index, bytes, ends, threads, control) → [document, begin, end, item, runs] for each overlap
Napi::Value findOverlapsJob(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const WordRunIndex* const index = indexArgument(info);
  const text::TextBatch batch = batchArgument(info, 1);
  const unsigned threads = info[3].ToNumber().Uint32Value();
  return runJob(env, {info[0], info[1], info[2]}, info[4], [=](JobControl& control) -> JobResult {
    auto found = std::make_shared<std::vector<Overlap>>(
        findOverlaps(batch, *index, threads, [&] { control.check(); }));
    return [found](Napi::Env e) -> Napi::Value {
      static_assert(sizeof(Overlap) == 5 * sizeof(uint32_t));
      return copied<Napi::Uint32Array>(e, reinterpret_cast<const uint32_t*>(found->data()),
                                       found->size() * 5);
    };
  });
}

}  // namespace

void exportDecontaminate(Napi::Env env, Napi::Object exports) {
  exports.Set("makeRunIndex", Napi::Function::New<makeRunIndex>(env));
  exports.Set("addToRunIndex", Napi::Function::New<addToRunIndex>(env));
  exports.Set("findOverlaps", Napi::Function::New<findOverlapsJob>(env));
}

}  // namespace anneal::addon
