#include "addon/text/shards.h"

#include <memory>
#include <utility>
#include <vector>

#include "addon/environment.h"
#include "addon/job.h"
#include "text/error.h"
#include "text/shards/map.h"

namespace anneal::addon {
namespace {

using text::MappedFile;

// What JavaScript holds: the file until `unmapFile`, or until it is collected.
struct MapHandle {
  std::shared_ptr<MappedFile> file;
};

std::shared_ptr<MappedFile> fileOf(const Napi::Value& value) {
  if (!value.IsExternal()) throwCoded(value.Env(), "ERR_NATIVE", "a mapped file was expected");
  std::shared_ptr<MappedFile> file = value.As<Napi::External<MapHandle>>().Data()->file;
  if (file == nullptr) throw text::TextError("ERR_DATA", "The mapped file is closed.");
  return file;
}

template <typename Array>
Array arrayOf(const Napi::CallbackInfo& info, size_t index) {
  if (!info[index].IsTypedArray()) throwCoded(info.Env(), "ERR_NATIVE", "a typed array was expected");
  return info[index].As<Array>();
}

uint64_t wordOf(const Napi::CallbackInfo& info, size_t index) {
  const double value = info[index].IsNumber() ? info[index].As<Napi::Number>().DoubleValue() : -1;
  if (!(value >= 0 && value < 9007199254740992.0)) {
    throwCoded(info.Env(), "ERR_NATIVE", "an offset or count was expected");
  }
  return static_cast<uint64_t>(value);
}

// mapFile(path): handle
Napi::Value mapFile(const Napi::CallbackInfo& info) {
  return runNow(info.Env(), [&]() -> Napi::Value {
    auto handle = std::make_unique<MapHandle>();
    handle->file = std::make_shared<MappedFile>(info[0].ToString().Utf8Value());
    return Napi::External<MapHandle>::New(info.Env(), handle.release(),
                                          [](Napi::Env, MapHandle* ended) { delete ended; });
  });
}

// unmapFile(handle): work under way keeps the file until it ends.
Napi::Value unmapFile(const Napi::CallbackInfo& info) {
  if (!info[0].IsExternal()) throwCoded(info.Env(), "ERR_NATIVE", "a mapped file was expected");
  info[0].As<Napi::External<MapHandle>>().Data()->file.reset();
  return info.Env().Undefined();
}

Napi::Value mappedBytes(const Napi::CallbackInfo& info) {
  return runNow(info.Env(), [&]() -> Napi::Value {
    return Napi::Number::New(info.Env(), static_cast<double>(fileOf(info[0])->size()));
  });
}

// readMappedWords(handle, offset, target): u64 into a Float64Array.
Napi::Value readMappedWords(const Napi::CallbackInfo& info) {
  return runNow(info.Env(), [&]() -> Napi::Value {
    auto target = arrayOf<Napi::Float64Array>(info, 2);
    const auto file = fileOf(info[0]);
    file->check();
    file->readWords(wordOf(info, 1), target.ElementLength(), target.Data());
    return info.Env().Undefined();
  });
}

// readMappedBytes(handle, offset, target)
Napi::Value readMappedBytes(const Napi::CallbackInfo& info) {
  return runNow(info.Env(), [&]() -> Napi::Value {
    auto target = arrayOf<Napi::Uint8Array>(info, 2);
    const auto file = fileOf(info[0]);
    file->check();
    file->read(wordOf(info, 1), target.ByteLength(), target.Data());
    return info.Env().Undefined();
  });
}

// mappedWordsBetween(handle, offset, count, low, high): the ascending u64 w with low ≤ w < high, less `low`.
Napi::Value mappedWordsBetween(const Napi::CallbackInfo& info) {
  return runNow(info.Env(), [&]() -> Napi::Value {
    const auto file = fileOf(info[0]);
    const uint64_t offset = wordOf(info, 1);
    const uint64_t count = wordOf(info, 2);
    const uint64_t low = wordOf(info, 3);
    file->check();
    const uint64_t begin = file->lowerBound(offset, count, low);
    const uint64_t end = file->lowerBound(offset, count, wordOf(info, 4));
    const uint64_t found = end > begin ? end - begin : 0;
    auto words = Napi::Float64Array::New(info.Env(), found);
    file->readWords(offset + begin * 8, found, words.Data());
    for (size_t i = 0; i < found; ++i) words[i] -= static_cast<double>(low);
    return words;
  });
}

// A stretch of tokens and where it goes.
struct Copy {
  const MappedFile* file;
  uint64_t offset;
  uint64_t count;
  unsigned width;
  int32_t* to;
};

// The copies that a call asks for, with the files held.
struct CopyList {
  std::vector<std::shared_ptr<MappedFile>> files;
  std::vector<Copy> copies;
  bool ahead = false;  // stretches are large enough that asking for them beforehand pays

  void run() const {
    for (const auto& file : files) file->check();
    if (ahead) {
      for (const Copy& copy : copies) copy.file->expect(copy.offset, copy.count * copy.width);
    }
    for (const Copy& copy : copies) copy.file->readTokens(copy.offset, copy.count, copy.width, copy.to);
  }
};

// (handles, copies, target): `copies` is a Float64Array of [index of the handle, byte offset, tokens, bytes
// per token, place in the target] for each stretch; the target is an Int32Array.
CopyList copiesOf(const Napi::CallbackInfo& info, size_t first) {
  constexpr size_t kWords = 5;
  constexpr uint64_t kAheadBytes = 8192;
  const Napi::Env env = info.Env();
  const auto handles = info[first].As<Napi::Array>();
  const auto words = arrayOf<Napi::Float64Array>(info, first + 1);
  auto target = arrayOf<Napi::Int32Array>(info, first + 2);
  CopyList list;
  for (uint32_t i = 0; i < handles.Length(); ++i) list.files.push_back(fileOf(handles[i]));
  const size_t count = words.ElementLength() / kWords;
  list.copies.reserve(count);
  uint64_t bytes = 0;
  for (size_t i = 0; i < count; ++i) {
    const double* word = words.Data() + i * kWords;
    const auto length = static_cast<uint64_t>(word[2]);
    const auto width = static_cast<unsigned>(word[3]);
    const auto place = static_cast<uint64_t>(word[4]);
    if (!(word[0] >= 0 && word[0] < static_cast<double>(list.files.size())) || (width != 2 && width != 4) ||
        place > target.ElementLength() || length > target.ElementLength() - place) {
      throwCoded(env, "ERR_NATIVE", "a copy of tokens lies outside its file or target");
    }
    list.copies.push_back({list.files[static_cast<size_t>(word[0])].get(), static_cast<uint64_t>(word[1]),
                           length, width, target.Data() + place});
    bytes += length * width;
  }
  list.ahead = bytes >= kAheadBytes * count;
  return list;
}

Napi::Value copyTokensNow(const Napi::CallbackInfo& info) {
  return runNow(info.Env(), [&]() -> Napi::Value {
    copiesOf(info, 0).run();
    return info.Env().Undefined();
  });
}

Napi::Value copyTokens(const Napi::CallbackInfo& info) {
  return runNow(info.Env(), [&]() -> Napi::Value {
    return runJob(info.Env(), {info[3]}, info[0],
                  [list = std::make_shared<CopyList>(copiesOf(info, 1))](JobControl&) -> JobResult {
                    list->run();
                    return [](Napi::Env env) -> Napi::Value { return env.Undefined(); };
                  });
  });
}

}  // namespace

void exportShards(Napi::Env env, Napi::Object exports) {
  exports.Set("mapFile", Napi::Function::New(env, mapFile));
  exports.Set("unmapFile", Napi::Function::New(env, unmapFile));
  exports.Set("mappedBytes", Napi::Function::New(env, mappedBytes));
  exports.Set("readMappedWords", Napi::Function::New(env, readMappedWords));
  exports.Set("readMappedBytes", Napi::Function::New(env, readMappedBytes));
  exports.Set("mappedWordsBetween", Napi::Function::New(env, mappedWordsBetween));
  exports.Set("copyTokensNow", Napi::Function::New(env, copyTokensNow));
  exports.Set("copyTokens", Napi::Function::New(env, copyTokens));
}

}  // namespace anneal::addon
