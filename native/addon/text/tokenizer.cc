// A tokenizer's handle is an external value. `tokenizerRelease` frees what it holds; the garbage collector
// does for handles that nobody released.
#include "addon/text/tokenizer.h"

#include <cstring>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "addon/environment.h"
#include "addon/job.h"
#include "text/error.h"
#include "text/parallel.h"
#include "text/tokenizer/tokenizer.h"
#include "text/unicode/utf8.h"

namespace anneal::addon {
namespace {

using text::Tokenizer;
using Shared = std::shared_ptr<const Tokenizer>;

// Texts from which on a synchronous call shares the work between threads.
constexpr size_t kSharedBytes = size_t{128} << 10;
// Decoded texts that one thread takes at a time.
constexpr size_t kDecodeGrain = 16;

Napi::Value wrap(Napi::Env env, std::unique_ptr<Tokenizer> tokenizer) {
  return Napi::External<Shared>::New(env, new Shared(std::move(tokenizer)),
                                     [](Napi::Env, Shared* held) { delete held; });
}

const Shared& sharedOf(const Napi::CallbackInfo& info) {
  if (!info[0].IsExternal()) throwCoded(info.Env(), "ERR_NATIVE", "the first argument must be a tokenizer");
  const Shared& held = *info[0].As<Napi::External<Shared>>().Data();
  if (held == nullptr)
    throwCoded(info.Env(), "ERR_DISPOSED", "The tokenizer was disposed of; load it again.");
  return held;
}

std::string_view bytesArgument(const Napi::Value& value) {
  const auto bytes = value.As<Napi::Uint8Array>();
  return {reinterpret_cast<const char*>(bytes.Data()), bytes.ByteLength()};
}

Napi::Int32Array idsOf(Napi::Env env, const std::vector<uint32_t>& ids) {
  Napi::Int32Array array = Napi::Int32Array::New(env, ids.size());
  if (!ids.empty()) std::memcpy(array.Data(), ids.data(), ids.size() * sizeof(uint32_t));
  return array;
}

// Hands malloc'ed ids over without a copy, where the runtime takes memory from outside.
Napi::Int32Array handOver(Napi::Env env, text::EncodedBatch& batch) {
  const size_t count = batch.ends.empty() ? 0 : batch.ends.back();
  const size_t bytes = count * sizeof(uint32_t);
  napi_value buffer = nullptr;
  if (count > 0) {
    void* memory = batch.ids.get();
    const auto release = [](napi_env, void* data, void*) { text::EncodedBatch::Free()(data); };
    if (napi_create_external_arraybuffer(env, memory, bytes, release, nullptr, &buffer) == napi_ok) {
      batch.ids.release();
      return Napi::Int32Array::New(env, count, Napi::ArrayBuffer(env, buffer), 0);
    }
  }
  Napi::Int32Array array = Napi::Int32Array::New(env, count);
  if (count > 0) std::memcpy(array.Data(), batch.ids.get(), bytes);
  return array;
}

// tokenizerFromJson(json: Uint8Array, file)
Napi::Value fromJson(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return runNow(env, [&] {
    return wrap(env, Tokenizer::fromJson(bytesArgument(info[0]), info[1].ToString().Utf8Value()));
  });
}

// tokenizerFromRanks(ranks: Uint8Array, pattern, contents, ids, file)
Napi::Value fromRanks(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return runNow(env, [&] {
    const auto contents = info[2].As<Napi::Array>();
    const auto ids = info[3].As<Napi::Uint32Array>();
    std::vector<std::pair<std::string, uint32_t>> specials;
    for (uint32_t i = 0; i < contents.Length() && i < ids.ElementLength(); ++i) {
      specials.emplace_back(contents.Get(i).ToString().Utf8Value(), ids[i]);
    }
    return wrap(env, Tokenizer::fromRanks(bytesArgument(info[0]), info[1].ToString().Utf8Value(),
                                          std::move(specials), info[4].ToString().Utf8Value()));
  });
}

// tokenizerRelease(tokenizer): work under way keeps what it needs.
Napi::Value release(const Napi::CallbackInfo& info) {
  if (info[0].IsExternal()) info[0].As<Napi::External<Shared>>().Data()->reset();
  return info.Env().Undefined();
}

// tokenizerInfo(tokenizer) → {vocabSize, byteLevel, cuttable, model}
Napi::Value describe(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const Shared& tokenizer = sharedOf(info);
  Napi::Object result = Napi::Object::New(env);
  result.Set("vocabSize", Napi::Number::New(env, tokenizer->idEnd()));
  result.Set("byteLevel", Napi::Boolean::New(env, tokenizer->byteLevel()));
  result.Set("cuttable", Napi::Boolean::New(env, tokenizer->cuttable()));
  result.Set("model", Napi::String::New(env, tokenizer->model().type()));
  return result;
}

// tokenizerIdOf(tokenizer, token) → id, or −1
Napi::Value idOf(const Napi::CallbackInfo& info) {
  const uint32_t id = sharedOf(info)->idOf(info[1].ToString().Utf8Value());
  return Napi::Number::New(info.Env(), id == text::kNoToken ? -1.0 : id);
}

// tokenizerTokenOf(tokenizer, id) → its spelling, or undefined
Napi::Value tokenOf(const Napi::CallbackInfo& info) {
  std::string_view token;
  if (!sharedOf(info)->tokenOf(info[1].ToNumber().Uint32Value(), token)) return info.Env().Undefined();
  return Napi::String::New(info.Env(), token.data(), token.size());
}

// tokenizerBytesOf(tokenizer, id) → the bytes it stands for, nearly so where decoding depends on neighbours
Napi::Value bytesOf(const Napi::CallbackInfo& info) {
  const std::string bytes = sharedOf(info)->bytesOf(info[1].ToNumber().Uint32Value());
  return Napi::Buffer<char>::Copy(info.Env(), bytes.data(), bytes.size());
}

// tokenizerEncode(tokenizer, text, addSpecialTokens, threads) → Int32Array
Napi::Value encode(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return runNow(env, [&]() -> Napi::Value {
    const Shared& tokenizer = sharedOf(info);
    const std::string text = info[1].ToString().Utf8Value();
    const bool special = info[2].ToBoolean();
    if (text.size() < kSharedBytes || !tokenizer->cuttable())
      return idsOf(env, tokenizer->encode(text, special));
    const auto end = static_cast<uint32_t>(text.size());
    text::BatchOptions options;
    options.addSpecialTokens = special;
    options.threads = info[3].ToNumber().Uint32Value();
    text::EncodedBatch batch = tokenizer->encodeBatch({text.data(), &end, 1}, options);
    return handOver(env, batch);
  });
}

// tokenizerEncodeWithOffsets(tokenizer, text, pair | undefined, addSpecialTokens) → columns; offsets are
// pairs of UTF-16 code units
Napi::Value encodeWithOffsets(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return runNow(env, [&]() -> Napi::Value {
    const Shared& tokenizer = sharedOf(info);
    const std::string text = info[1].ToString().Utf8Value();
    std::optional<std::string> second;
    if (info[2].IsString()) second = info[2].As<Napi::String>().Utf8Value();
    const std::string_view pair = second ? std::string_view(*second) : std::string_view();
    const text::Encoding encoding =
        tokenizer->encodeWithOffsets(text, second ? &pair : nullptr, info[3].ToBoolean());
    const size_t count = encoding.ids.size();
    // Offsets of the first text and then those of the second, each counted in its own text.
    std::vector<uint32_t> places[2];
    for (size_t i = 0; i < count; ++i) {
      const text::ByteRange& range = encoding.offsets[i];
      auto& list = places[encoding.sequence[i]];
      list.push_back(range.begin);
      list.push_back(range.end);
    }
    text::bytesToUtf16(text, places[0].data(), places[0].size());
    if (second) text::bytesToUtf16(*second, places[1].data(), places[1].size());
    Napi::Uint32Array offsets = Napi::Uint32Array::New(env, 2 * count);
    size_t next[2] = {0, 0};
    for (size_t i = 0; i < count; ++i) {
      const size_t text = encoding.sequence[i];
      offsets[2 * i] = places[text][next[text]++];
      offsets[2 * i + 1] = places[text][next[text]++];
    }
    Napi::Object result = Napi::Object::New(env);
    result.Set("ids", idsOf(env, encoding.ids));
    result.Set("offsets", offsets);
    result.Set("typeIds", copied<Napi::Uint8Array>(env, encoding.typeIds.data(), count));
    result.Set("specialMask", copied<Napi::Uint8Array>(env, encoding.special.data(), count));
    result.Set("sequenceIds", copied<Napi::Uint8Array>(env, encoding.sequence.data(), count));
    return result;
  });
}

// tokenizerEncodeBatch(tokenizer, bytes, ends, addSpecialTokens, threads, control) → {ids, ends}
Napi::Value encodeBatch(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const Shared tokenizer = sharedOf(info);
  const text::TextBatch batch = batchArgument(info, 1);
  text::BatchOptions options;
  options.addSpecialTokens = info[3].ToBoolean();
  options.threads = info[4].ToNumber().Uint32Value();
  return runJob(env, {info[1], info[2]}, info[5], [=](JobControl& control) mutable -> JobResult {
    const auto total = static_cast<double>(batch.totalBytes());
    control.progress(0, total);
    options.progress = [&](size_t bytes) {
      control.check();
      control.progress(static_cast<double>(bytes), total);
    };
    auto encoded = std::make_shared<text::EncodedBatch>(tokenizer->encodeBatch(batch, options));
    control.progress(total, total);
    return [encoded](Napi::Env e) -> Napi::Value {
      Napi::Object result = Napi::Object::New(e);
      result.Set("ends", copied<Napi::Uint32Array>(e, encoded->ends.data(), encoded->ends.size()));
      result.Set("ids", handOver(e, *encoded));
      return result;
    };
  });
}

// tokenizerDecode(tokenizer, ids: Int32Array, skipSpecialTokens) → text
Napi::Value decode(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return runNow(env, [&]() -> Napi::Value {
    const auto ids = info[1].As<Napi::Int32Array>();
    const std::string text = sharedOf(info)->decode(reinterpret_cast<const uint32_t*>(ids.Data()),
                                                    ids.ElementLength(), info[2].ToBoolean());
    return Napi::String::New(env, text.data(), text.size());
  });
}

// tokenizerDecodeBatch(tokenizer, ids: Int32Array, ends: Uint32Array, skipSpecialTokens, threads, control) →
// {bytes, ends}
Napi::Value decodeBatch(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const Shared tokenizer = sharedOf(info);
  const auto ids = info[1].As<Napi::Int32Array>();
  const auto ends = info[2].As<Napi::Uint32Array>();
  const auto* values = reinterpret_cast<const uint32_t*>(ids.Data());
  const uint32_t* limits = ends.Data();
  const size_t count = ends.ElementLength();
  for (size_t i = 0; i < count; ++i) {
    if (limits[i] < (i == 0 ? 0 : limits[i - 1]) || limits[i] > ids.ElementLength()) {
      throwCoded(env, "ERR_TOKENIZER", "the ends of a batch of ids must not decrease, nor go beyond the ids");
    }
  }
  const bool skip = info[3].ToBoolean();
  const unsigned threads = info[4].ToNumber().Uint32Value();
  return runJob(env, {info[1], info[2]}, info[5], [=](JobControl& control) -> JobResult {
    std::vector<std::string> texts(count);
    text::parallelFor(count, threads, kDecodeGrain, [&](size_t i, unsigned) {
      control.check();
      const uint32_t begin = i == 0 ? 0 : limits[i - 1];
      texts[i] = tokenizer->decode(values + begin, limits[i] - begin, skip);
    });
    auto bytes = std::make_shared<std::string>();
    auto byteEnds = std::make_shared<std::vector<uint32_t>>();
    for (const std::string& one : texts) {
      *bytes += one;
      if (bytes->size() > 0xFFFFFFFFU) {
        throw text::TextError("ERR_TOKENIZER",
                              "A batch of decoded texts has 4 GiB or more. Use smaller batches.");
      }
      byteEnds->push_back(static_cast<uint32_t>(bytes->size()));
    }
    return [bytes, byteEnds](Napi::Env e) -> Napi::Value {
      Napi::Object result = Napi::Object::New(e);
      result.Set("bytes", Napi::Buffer<char>::Copy(e, bytes->data(), bytes->size()));
      result.Set("ends", copied<Napi::Uint32Array>(e, byteEnds->data(), byteEnds->size()));
      return result;
    };
  });
}

}  // namespace

void exportTokenizer(Napi::Env env, Napi::Object exports) {
  const auto add = [&](const char* name, Napi::Value (*function)(const Napi::CallbackInfo&)) {
    exports.Set(name, Napi::Function::New(env, function, name));
  };
  add("tokenizerFromJson", fromJson);
  add("tokenizerFromRanks", fromRanks);
  add("tokenizerRelease", release);
  add("tokenizerInfo", describe);
  add("tokenizerIdOf", idOf);
  add("tokenizerTokenOf", tokenOf);
  add("tokenizerBytesOf", bytesOf);
  add("tokenizerEncode", encode);
  add("tokenizerEncodeWithOffsets", encodeWithOffsets);
  add("tokenizerEncodeBatch", encodeBatch);
  add("tokenizerDecode", decode);
  add("tokenizerDecodeBatch", decodeBatch);
}

}  // namespace anneal::addon
