#include "addon/text/dedup.h"

#include <memory>
#include <utility>

#include "addon/environment.h"
#include "addon/job.h"
#include "text/dedup/keys.h"
#include "text/dedup/merge.h"
#include "text/parallel.h"

namespace anneal::addon {
namespace {

using namespace text::dedup;

uint64_t number(const Napi::Object& object, const char* name) {
  return static_cast<uint64_t>(object.Get(name).ToNumber().Int64Value());
}

MinHashSettings minHashSettings(const Napi::Value& value) {
  const Napi::Object object = value.As<Napi::Object>();
  MinHashSettings settings;
  settings.shingle = static_cast<uint32_t>(number(object, "shingle"));
  settings.buckets = static_cast<uint32_t>(number(object, "buckets"));
  settings.rows = static_cast<uint32_t>(number(object, "rows"));
  settings.seed = static_cast<uint32_t>(number(object, "seed"));
  settings.words = object.Get("words").ToString().Utf8Value() == "spaced" ? Words::kSpaced : Words::kScripts;
  if (object.Get("kernel").IsString()) settings.kernel = object.Get("kernel").ToString().Utf8Value();
  return settings;
}

// {bytes, stride, used}: the table's bytes must hold `lanes` lanes with room for `more` records of `size`
// bytes.
RecordTable recordTable(const Napi::Value& value, size_t lanes, size_t size, size_t more) {
  const Napi::Object object = value.As<Napi::Object>();
  auto bytes = object.Get("bytes").As<Napi::Uint8Array>();
  const RecordTable table{reinterpret_cast<char*>(bytes.Data()), number(object, "stride"),
                          number(object, "used")};
  if ((table.used + more) * size > table.stride || table.stride * lanes > bytes.ByteLength()) {
    throwCoded(value.Env(), "ERR_NATIVE", "a table of records is too small for what is written to it");
  }
  return table;
}

// foldTexts(bytes, ends, words) → {bytes, ends} of the folded texts.
Napi::Value foldTexts(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return runNow(env, [&]() -> Napi::Value {
    const text::TextBatch batch = batchArgument(info, 0);
    const Words words = info[2].ToString().Utf8Value() == "spaced" ? Words::kSpaced : Words::kScripts;
    std::string all;
    std::vector<uint32_t> ends;
    FoldedText folded;
    for (size_t i = 0; i < batch.count; ++i) {
      fold(batch[i], words, false, folded);
      all += folded.text;
      ends.push_back(static_cast<uint32_t>(all.size()));
    }
    Napi::Object result = Napi::Object::New(env);
    result.Set("bytes", Napi::Buffer<char>::Copy(env, all.data(), all.size()));
    result.Set("ends", copied<Napi::Uint32Array>(env, ends.data(), ends.size()));
    return result;
  });
}

// minHashSignatures(bytes, ends, settings, threads, control) → {values, shingles}
Napi::Value minHashSignatures(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const text::TextBatch batch = batchArgument(info, 0);
  const MinHashSettings settings = minHashSettings(info[2]);
  const unsigned threads = info[3].ToNumber().Uint32Value();
  return runJob(env, {info[0], info[1]}, info[4], [=](JobControl& control) -> JobResult {
    const size_t functions = settings.functions();
    auto values = std::make_shared<std::vector<uint64_t>>(batch.count * functions);
    auto shingles = std::make_shared<std::vector<uint32_t>>(batch.count);
    std::vector<std::unique_ptr<Signer>> signers(std::max(1U, threads));
    text::parallelFor(batch.count, threads, 1, [&](size_t i, unsigned worker) {
      control.check();
      if (signers[worker] == nullptr) signers[worker] = std::make_unique<Signer>(settings);
      const uint64_t* minima = signers[worker]->sign(batch[i]);
      (*shingles)[i] = static_cast<uint32_t>(signers[worker]->shingles());
      if (minima != nullptr)
        std::copy_n(minima, functions, values->begin() + static_cast<ptrdiff_t>(i * functions));
    });
    return [values, shingles](Napi::Env e) -> Napi::Value {
      Napi::Object result = Napi::Object::New(e);
      result.Set("values", copied<Napi::BigUint64Array>(e, values->data(), values->size()));
      result.Set("shingles", copied<Napi::Uint32Array>(e, shingles->data(), shingles->size()));
      return result;
    };
  });
}

// addMinHashKeys(bytes, ends, settings, first, table, signatures | undefined, threads, control) → records
Napi::Value addMinHashKeysJob(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const text::TextBatch batch = batchArgument(info, 0);
  const MinHashSettings settings = minHashSettings(info[2]);
  const uint32_t first = info[3].ToNumber().Uint32Value();
  const RecordTable table = recordTable(info[4], settings.buckets, sizeof(Record<3>), batch.count);
  std::vector<Napi::Value> keep{info[0], info[1], info[4].As<Napi::Object>().Get("bytes")};
  uint32_t* signatures = nullptr;
  if (info[5].IsTypedArray()) {
    auto array = info[5].As<Napi::Uint32Array>();
    if (array.ElementLength() < batch.count * settings.functions()) {
      throwCoded(env, "ERR_NATIVE", "the array for signatures is too small");
    }
    signatures = array.Data();
    keep.push_back(array);
  }
  const unsigned threads = info[6].ToNumber().Uint32Value();
  return runJob(env, keep, info[7], [=](JobControl& control) -> JobResult {
    const uint64_t added =
        addMinHashKeys(batch, settings, first, threads, table, signatures, [&] { control.check(); });
    return [added](Napi::Env e) -> Napi::Value { return Napi::Number::New(e, static_cast<double>(added)); };
  });
}

// addExactKeys(bytes, ends, sameness, first, table, threads, control)
Napi::Value addExactKeysJob(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const text::TextBatch batch = batchArgument(info, 0);
  const std::string name = info[2].ToString().Utf8Value();
  const Sameness sameness = name == "bytes"       ? Sameness::kBytes
                            : name == "canonical" ? Sameness::kCanonical
                                                  : Sameness::kFolded;
  const uint32_t first = info[3].ToNumber().Uint32Value();
  const RecordTable table = recordTable(info[4], 1, sizeof(Record<4>), batch.count);
  const unsigned threads = info[5].ToNumber().Uint32Value();
  const Napi::Value bytes = info[4].As<Napi::Object>().Get("bytes");
  return runJob(env, {info[0], info[1], bytes}, info[6], [=](JobControl& control) -> JobResult {
    addExactKeys(batch, sameness, first, threads, table, [&] { control.check(); });
    return [](Napi::Env e) -> Napi::Value { return e.Undefined(); };
  });
}

size_t recordBytes(size_t words) { return (words + 1) * sizeof(uint32_t); }

size_t keyWords(Napi::Env env, const Napi::Value& value) {
  const size_t words = value.ToNumber().Uint32Value();
  if (words != 3 && words != 4) throwCoded(env, "ERR_NATIVE", "a key has 3 or 4 words");
  return words;
}

// sortLanes(table, words, lanes, threads, control) → checksums
Napi::Value sortLanesJob(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const size_t words = keyWords(env, info[1]);
  const size_t lanes = info[2].ToNumber().Uint32Value();
  const RecordTable table = recordTable(info[0], lanes, recordBytes(words), 0);
  const unsigned threads = info[3].ToNumber().Uint32Value();
  const Napi::Value bytes = info[0].As<Napi::Object>().Get("bytes");
  return runJob(env, {bytes}, info[4], [=](JobControl&) -> JobResult {
    auto sums = std::make_shared<std::vector<uint64_t>>(
        sortLanes(table.bytes, words, lanes, table.stride, table.used, threads));
    return [sums](Napi::Env e) -> Napi::Value {
      return copied<Napi::BigUint64Array>(e, sums->data(), sums->size());
    };
  });
}

// One run of the list: a file {path, count, checksums} or a sorted table {bytes, stride, used}.
Run runOf(const Napi::Object& object, size_t words, size_t lanes) {
  Run run;
  if (object.Get("path").IsString()) {
    run.path = object.Get("path").ToString().Utf8Value();
    run.count = number(object, "count");
    run.stride = run.count * recordBytes(words);
    const auto sums = object.Get("checksums").As<Napi::BigUint64Array>();
    if (sums.ElementLength() != lanes)
      throwCoded(object.Env(), "ERR_NATIVE", "a run has one checksum per lane");
    run.checksums.assign(sums.Data(), sums.Data() + lanes);
  } else {
    const RecordTable table = recordTable(object, lanes, recordBytes(words), 0);
    run.memory = table.bytes;
    run.stride = table.stride;
    run.count = table.used;
  }
  return run;
}

// mergeRuns(runs, {words, lanes, bufferBytes, threads, verify, functions, signatures}, parents, control)
//   → {pairs, rejected, members, ends}
Napi::Value mergeRunsJob(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const auto options = info[1].As<Napi::Object>();
  std::vector<Napi::Value> keep{info[2]};
  MergeSettings settings;
  settings.words = keyWords(env, options.Get("words"));
  settings.lanes = number(options, "lanes");
  settings.bufferBytes = number(options, "bufferBytes");
  settings.threads = static_cast<unsigned>(number(options, "threads"));
  settings.verify = options.Get("verify").ToNumber().DoubleValue();
  settings.functions = number(options, "functions");
  const auto files = options.Get("signatures").As<Napi::Array>();
  for (uint32_t i = 0; i < files.Length(); ++i) {
    const auto object = files.Get(i).As<Napi::Object>();
    SignatureFile file;
    file.first = number(object, "first");
    file.count = number(object, "count");
    if (object.Get("path").IsString()) {
      file.path = object.Get("path").ToString().Utf8Value();
    } else {
      auto values = object.Get("values").As<Napi::Uint32Array>();
      if (values.ElementLength() < file.count * settings.functions) {
        throwCoded(env, "ERR_NATIVE", "an array of signatures is too small");
      }
      file.memory = values.Data();
      keep.push_back(values);
    }
    settings.signatures.push_back(std::move(file));
  }
  const auto list = info[0].As<Napi::Array>();
  std::vector<Run> runs;
  for (uint32_t i = 0; i < list.Length(); ++i) {
    const auto object = list.Get(i).As<Napi::Object>();
    runs.push_back(runOf(object, settings.words, settings.lanes));
    if (object.Get("bytes").IsTypedArray()) keep.push_back(object.Get("bytes"));
  }
  auto parents = info[2].As<Napi::Uint32Array>();
  uint32_t* const words = parents.Data();
  const size_t documents = parents.ElementLength();
  return runJob(env, keep, info[3], [=](JobControl& control) -> JobResult {
    for (size_t i = 0; i < documents; ++i) words[i] = static_cast<uint32_t>(i);
    const MergeCounts counts = mergeRuns(runs, settings, words, documents, [&](double share) {
      control.progress(share, 1);
      control.check();
    });
    auto clusters = std::make_shared<Clusters>(collectClusters(words, documents));
    return [counts, clusters](Napi::Env e) -> Napi::Value {
      Napi::Object result = Napi::Object::New(e);
      result.Set("pairs", Napi::Number::New(e, static_cast<double>(counts.pairs)));
      result.Set("rejected", Napi::Number::New(e, static_cast<double>(counts.rejected)));
      result.Set("members", copied<Napi::Uint32Array>(e, clusters->members.data(), clusters->members.size()));
      result.Set("ends", copied<Napi::Uint32Array>(e, clusters->ends.data(), clusters->ends.size()));
      return result;
    };
  });
}

}  // namespace

void exportDedup(Napi::Env env, Napi::Object exports) {
  exports.Set("foldTexts", Napi::Function::New<foldTexts>(env));
  exports.Set("minHashSignatures", Napi::Function::New<minHashSignatures>(env));
  exports.Set("addMinHashKeys", Napi::Function::New<addMinHashKeysJob>(env));
  exports.Set("addExactKeys", Napi::Function::New<addExactKeysJob>(env));
  exports.Set("sortLanes", Napi::Function::New<sortLanesJob>(env));
  exports.Set("mergeRuns", Napi::Function::New<mergeRunsJob>(env));
}

}  // namespace anneal::addon
