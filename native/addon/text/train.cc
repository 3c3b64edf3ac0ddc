#include "addon/text/train.h"

#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "addon/environment.h"
#include "addon/job.h"
#include "text/train/open.h"
#include "text/train/pair_training.h"

namespace anneal::addon {
namespace {

// Word counts in the hands of JavaScript; jobs on them wait for one another.
struct Counter {
  std::mutex mutex;
  text::OpenCounts open;
};

using CounterPointer = std::shared_ptr<Counter>;

CounterPointer counterArgument(const Napi::CallbackInfo& info) {
  if (!info[0].IsExternal()) throwCoded(info.Env(), "ERR_NATIVE", "word counts are what openWordCounts gave");
  return *info[0].As<Napi::External<CounterPointer>>().Data();
}

text::Tick tickOf(JobControl& control) {
  return [&control](double done, double total) {
    control.check();
    control.progress(done, total);
  };
}

// openWordCounts(parts, bpe) → counts
Napi::Value openWordCounts(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return runNow(env, [&]() -> Napi::Value {
    auto counter = std::make_shared<Counter>();
    counter->open = text::openCounts(info[0].ToString().Utf8Value(), info[1].ToBoolean());
    return Napi::External<CounterPointer>::New(env, new CounterPointer(std::move(counter)),
                                               [](Napi::Env, CounterPointer* data) { delete data; });
  });
}

// feedWordCounts(counts, bytes, ends, threads, control)
Napi::Value feedWordCounts(const Napi::CallbackInfo& info) {
  const CounterPointer counter = counterArgument(info);
  const text::TextBatch batch = batchArgument(info, 1);
  const unsigned threads = info[3].ToNumber().Uint32Value();
  return runJob(info.Env(), {info[1], info[2]}, info[4], [=](JobControl& control) -> JobResult {
    const std::lock_guard<std::mutex> lock(counter->mutex);
    counter->open.counts->feed(batch, threads, tickOf(control));
    return [](Napi::Env env) -> Napi::Value { return env.Undefined(); };
  });
}

// settleWordCounts(counts, least, threads, control) → {distinct, total, bytes, removed}: forgets words seen
// fewer than `least` times.
Napi::Value settleWordCounts(const Napi::CallbackInfo& info) {
  const CounterPointer counter = counterArgument(info);
  const auto least = static_cast<uint64_t>(info[1].ToNumber().Int64Value());
  const unsigned threads = info[2].ToNumber().Uint32Value();
  return runJob(info.Env(), {}, info[3], [=](JobControl&) -> JobResult {
    const std::lock_guard<std::mutex> lock(counter->mutex);
    text::WordCounts& counts = *counter->open.counts;
    counts.settle(threads);
    const size_t removed = least > 1 ? counts.prune(least, threads) : 0;
    const double distinct = static_cast<double>(counts.distinct());
    const double total = static_cast<double>(counts.total());
    const double bytes = static_cast<double>(counts.bytes());
    return [=](Napi::Env env) -> Napi::Value {
      Napi::Object result = Napi::Object::New(env);
      result.Set("distinct", distinct);
      result.Set("total", total);
      result.Set("bytes", bytes);
      result.Set("removed", static_cast<double>(removed));
      return result;
    };
  });
}

// saveWordCounts(counts, table, control) → Uint8Array
Napi::Value saveWordCounts(const Napi::CallbackInfo& info) {
  const CounterPointer counter = counterArgument(info);
  const size_t table = info[1].ToNumber().Uint32Value() % text::WordCounts::kShards;
  return runJob(info.Env(), {}, info[2], [=](JobControl&) -> JobResult {
    const std::lock_guard<std::mutex> lock(counter->mutex);
    auto saved = std::make_shared<std::string>(counter->open.counts->saved(table));
    return [saved](Napi::Env env) -> Napi::Value {
      return Napi::Buffer<char>::Copy(env, saved->data(), saved->size());
    };
  });
}

// loadWordCounts(counts, bytes, control)
Napi::Value loadWordCounts(const Napi::CallbackInfo& info) {
  const CounterPointer counter = counterArgument(info);
  if (!info[1].IsTypedArray()) throwCoded(info.Env(), "ERR_NATIVE", "saved word counts are a Uint8Array");
  const auto bytes = info[1].As<Napi::Uint8Array>();
  const std::string_view saved(reinterpret_cast<const char*>(bytes.Data()), bytes.ByteLength());
  return runJob(info.Env(), {info[1]}, info[2], [=](JobControl&) -> JobResult {
    const std::lock_guard<std::mutex> lock(counter->mutex);
    counter->open.counts->load(saved);
    return [](Napi::Env env) -> Napi::Value { return env.Undefined(); };
  });
}

std::vector<std::string> stringsOf(const Napi::Object& object, const char* name) {
  const auto list = object.Get(name).As<Napi::Array>();
  std::vector<std::string> strings;
  for (uint32_t i = 0; i < list.Length(); ++i) strings.push_back(list.Get(i).ToString().Utf8Value());
  return strings;
}

text::PairTrainingSettings settingsOf(const Napi::Object& object) {
  text::PairTrainingSettings settings;
  const auto number = [&](const char* name) {
    return static_cast<uint64_t>(object.Get(name).ToNumber().Int64Value());
  };
  settings.vocabSize = number("vocabSize");
  settings.minFrequency = number("minFrequency");
  settings.specialTokens = stringsOf(object, "specialTokens");
  settings.initialAlphabet = stringsOf(object, "initialAlphabet");
  if (object.Get("limitAlphabet").IsNumber()) settings.limitAlphabet = number("limitAlphabet");
  if (object.Get("maxTokenLength").IsNumber()) settings.maxTokenLength = number("maxTokenLength");
  if (object.Get("continuingSubwordPrefix").IsString()) {
    settings.continuingSubwordPrefix = object.Get("continuingSubwordPrefix").ToString().Utf8Value();
  }
  if (object.Get("endOfWordSuffix").IsString()) {
    settings.endOfWordSuffix = object.Get("endOfWordSuffix").ToString().Utf8Value();
  }
  return settings;
}

// trainPairs(counts, settings, threads, control) → {bytes, ends, merges}: the tokens by id, one after the
// other in UTF-8, and the ids of each merge, two by two.
Napi::Value trainPairs(const Napi::CallbackInfo& info) {
  const CounterPointer counter = counterArgument(info);
  text::PairTrainingSettings settings = settingsOf(info[1].As<Napi::Object>());
  settings.byteLevel = counter->open.byteLevel;
  const unsigned threads = info[2].ToNumber().Uint32Value();
  return runJob(info.Env(), {}, info[3], [=](JobControl& control) -> JobResult {
    const std::lock_guard<std::mutex> lock(counter->mutex);
    counter->open.counts->settle(threads);
    const text::TrainedPairs trained =
        text::trainPairs(*counter->open.counts, settings, threads, tickOf(control));
    struct Flat {
      std::string bytes;
      std::vector<uint32_t> ends;
      std::vector<uint32_t> merges;
    };
    auto flat = std::make_shared<Flat>();
    for (const std::string& token : trained.tokens) {
      flat->bytes += token;
      flat->ends.push_back(static_cast<uint32_t>(flat->bytes.size()));
    }
    for (const auto& [left, right] : trained.merges) {
      flat->merges.push_back(left);
      flat->merges.push_back(right);
    }
    return [flat](Napi::Env env) -> Napi::Value {
      Napi::Object result = Napi::Object::New(env);
      result.Set("bytes", Napi::Buffer<char>::Copy(env, flat->bytes.data(), flat->bytes.size()));
      result.Set("ends", copied<Napi::Uint32Array>(env, flat->ends.data(), flat->ends.size()));
      result.Set("merges", copied<Napi::Uint32Array>(env, flat->merges.data(), flat->merges.size()));
      return result;
    };
  });
}

}  // namespace

void exportTrain(Napi::Env env, Napi::Object exports) {
  exports.Set("openWordCounts", Napi::Function::New(env, openWordCounts));
  exports.Set("feedWordCounts", Napi::Function::New(env, feedWordCounts));
  exports.Set("settleWordCounts", Napi::Function::New(env, settleWordCounts));
  exports.Set("saveWordCounts", Napi::Function::New(env, saveWordCounts));
  exports.Set("loadWordCounts", Napi::Function::New(env, loadWordCounts));
  exports.Set("trainPairs", Napi::Function::New(env, trainPairs));
}

}  // namespace anneal::addon
