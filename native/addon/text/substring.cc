#include "addon/text/substring.h"

#include <memory>
#include <utility>

#include "addon/environment.h"
#include "addon/job.h"
#include "text/dedup/repeats.h"

namespace anneal::addon {
namespace {

using namespace text::dedup;

uint64_t number(const Napi::Object& object, const char* name) {
  return static_cast<uint64_t>(object.Get(name).ToNumber().Int64Value());
}

// winnowTexts(bytes, ends, length, start, threads, control) → records as bytes
Napi::Value winnowTexts(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const text::TextBatch batch = batchArgument(info, 0);
  const uint32_t length = info[2].ToNumber().Uint32Value();
  const auto start = static_cast<uint64_t>(info[3].ToNumber().Int64Value());
  const unsigned threads = info[4].ToNumber().Uint32Value();
  if (length == 0) throwCoded(env, "ERR_NATIVE", "a passage has at least one byte");
  return runJob(env, {info[0], info[1]}, info[5], [=](JobControl& control) -> JobResult {
    auto anchors = std::make_shared<std::vector<Anchor>>(
        winnow(batch, length, start, threads, [&] { control.check(); }));
    return [anchors](Napi::Env e) -> Napi::Value {
      return Napi::Buffer<char>::Copy(e, reinterpret_cast<const char*>(anchors->data()),
                                      anchors->size() * sizeof(Anchor));
    };
  });
}

// findRepeats(runs, corpus, documentEnds, {length, memory, bufferBytes, threads}, control)
//   → {spans: [begin, end, …], hotAnchors, sortedBytes}
Napi::Value findRepeatsJob(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  std::vector<Napi::Value> keep{info[2]};
  std::vector<Run> runs;
  const auto list = info[0].As<Napi::Array>();
  for (uint32_t i = 0; i < list.Length(); ++i) {
    const auto object = list.Get(i).As<Napi::Object>();
    Run run;
    if (object.Get("path").IsString()) {
      run.path = object.Get("path").ToString().Utf8Value();
      run.count = number(object, "count");
      const auto sums = object.Get("checksums").As<Napi::BigUint64Array>();
      if (sums.ElementLength() != 1) throwCoded(env, "ERR_NATIVE", "a run of anchors has one checksum");
      run.checksums.assign(sums.Data(), sums.Data() + 1);
    } else {
      auto bytes = object.Get("bytes").As<Napi::Uint8Array>();
      run.memory = reinterpret_cast<const char*>(bytes.Data());
      run.count = number(object, "used");
      if (run.count * sizeof(Anchor) > bytes.ByteLength())
        throwCoded(env, "ERR_NATIVE", "a run is too short");
      keep.push_back(bytes);
    }
    runs.push_back(std::move(run));
  }
  std::vector<CorpusPiece> corpus;
  const auto pieces = info[1].As<Napi::Array>();
  uint64_t total = 0;
  for (uint32_t i = 0; i < pieces.Length(); ++i) {
    const auto object = pieces.Get(i).As<Napi::Object>();
    CorpusPiece piece;
    piece.start = total;
    if (object.Get("path").IsString()) {
      piece.path = object.Get("path").ToString().Utf8Value();
      piece.length = number(object, "length");
    } else {
      auto bytes = object.Get("bytes").As<Napi::Uint8Array>();
      piece.memory = reinterpret_cast<const char*>(bytes.Data());
      piece.length = bytes.ByteLength();
      keep.push_back(bytes);
    }
    total += piece.length;
    if (piece.length > 0) corpus.push_back(std::move(piece));
  }
  auto ends = info[2].As<Napi::Float64Array>();
  const double* const documentEnds = ends.Data();
  const size_t documents = ends.ElementLength();
  for (size_t i = 0; i < documents; ++i) {
    if (!(documentEnds[i] >= (i == 0 ? 0 : documentEnds[i - 1]))) {
      throwCoded(env, "ERR_NATIVE", "the ends of documents must not decrease");
    }
  }
  if ((documents == 0 ? 0 : documentEnds[documents - 1]) != static_cast<double>(total)) {
    throwCoded(env, "ERR_NATIVE", "the last document must end with the corpus");
  }
  const auto options = info[3].As<Napi::Object>();
  RepeatSettings settings;
  settings.length = static_cast<uint32_t>(number(options, "length"));
  settings.memory = number(options, "memory");
  settings.bufferBytes = number(options, "bufferBytes");
  settings.threads = static_cast<unsigned>(number(options, "threads"));
  return runJob(env, keep, info[4], [=](JobControl& control) -> JobResult {
    auto repeats = std::make_shared<Repeats>(
        findRepeats(runs, corpus, documentEnds, documents, settings, [&](double share) {
          control.progress(share, 1);
          control.check();
        }));
    return [repeats](Napi::Env e) -> Napi::Value {
      Napi::Float64Array spans = Napi::Float64Array::New(e, repeats->spans.size() * 2);
      for (size_t i = 0; i < repeats->spans.size(); ++i) {
        spans[2 * i] = static_cast<double>(repeats->spans[i].begin);
        spans[2 * i + 1] = static_cast<double>(repeats->spans[i].end);
      }
      Napi::Object result = Napi::Object::New(e);
      result.Set("spans", spans);
      result.Set("hotAnchors", Napi::Number::New(e, static_cast<double>(repeats->hotAnchors)));
      result.Set("sortedBytes", Napi::Number::New(e, static_cast<double>(repeats->sortedBytes)));
      result.Set("incomplete", Napi::Number::New(e, static_cast<double>(repeats->incomplete)));
      return result;
    };
  });
}

}  // namespace

void exportSubstring(Napi::Env env, Napi::Object exports) {
  exports.Set("winnowTexts", Napi::Function::New<winnowTexts>(env));
  exports.Set("findRepeats", Napi::Function::New<findRepeatsJob>(env));
}

}  // namespace anneal::addon
