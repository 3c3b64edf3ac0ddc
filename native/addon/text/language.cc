#include "addon/text/language.h"

#include <memory>
#include <string>
#include <utility>

#include "addon/environment.h"
#include "addon/job.h"
#include "text/language/fasttext.h"

namespace anneal::addon {
namespace {

using Model = std::shared_ptr<const text::FastTextModel>;

// What JavaScript holds is a share of the model; a job under way holds another.
const napi_type_tag kModelTag = {0x6661737454657874, 0x616e6e65616c2d31};

Model& modelArgument(const Napi::CallbackInfo& info, size_t index) {
  if (info[index].IsExternal()) {
    auto external = info[index].As<Napi::External<Model>>();
    if (external.CheckTypeTag(&kModelTag)) return *external.Data();
  }
  throwCoded(info.Env(), "ERR_NATIVE", "expected a fastText model");
}

Napi::Value facts(Napi::Env env, const Model& model) {
  const auto bytes = static_cast<int64_t>(model->bytes());
  auto handle = Napi::External<Model>::New(env, new Model(model), [](Napi::Env ending, Model* share) {
    Napi::MemoryManagement::AdjustExternalMemory(ending, -static_cast<int64_t>((*share)->bytes()));
    delete share;
  });
  handle.TypeTag(&kModelTag);
  Napi::MemoryManagement::AdjustExternalMemory(env, bytes);
  Napi::Array labels = Napi::Array::New(env, model->labels());
  for (int32_t i = 0; i < model->labels(); ++i) {
    const std::string_view label = model->label(i);
    labels[static_cast<uint32_t>(i)] = Napi::String::New(env, label.data(), label.size());
  }
  const text::FastTextSettings& settings = model->settings();
  Napi::Object result = Napi::Object::New(env);
  result.Set("handle", handle);
  result.Set("labels", labels);
  result.Set("words", model->words());
  result.Set("dimensions", settings.dimensions);
  result.Set("loss", settings.loss);
  result.Set("wordNgrams", settings.wordNgrams);
  result.Set("minCharacters", settings.minCharacters);
  result.Set("maxCharacters", settings.maxCharacters);
  result.Set("quantised", model->quantised());
  result.Set("bytes", static_cast<double>(bytes));
  return result;
}

// loadFastText(path, words) → promise of the model's facts and handle.
Napi::Value loadFastText(const Napi::CallbackInfo& info) {
  const std::string path = info[0].ToString().Utf8Value();
  return runJob(info.Env(), {}, info[1], [path](JobControl& control) -> JobResult {
    const Model model = std::make_shared<const text::FastTextModel>(path, [&] { control.check(); });
    return [model](Napi::Env env) { return facts(env, model); };
  });
}

// predictFastText(handle, bytes, ends, k, threshold, threads, labels, scores, words): fills labels
// (Int32Array) and scores (Float32Array), k of each per text.
Napi::Value predictFastText(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const Model model = modelArgument(info, 0);
  const text::TextBatch batch = batchArgument(info, 1);
  const int32_t k = info[3].ToNumber().Int32Value();
  const float threshold = info[4].ToNumber().FloatValue();
  const unsigned threads = info[5].ToNumber().Uint32Value();
  auto labels = info[6].As<Napi::Int32Array>();
  auto scores = info[7].As<Napi::Float32Array>();
  if (k < 1 || labels.ElementLength() < batch.count * k || scores.ElementLength() < batch.count * k) {
    throwCoded(env, "ERR_NATIVE", "the arrays for predictions are too small");
  }
  int32_t* labelTarget = labels.Data();
  float* scoreTarget = scores.Data();
  return runJob(env, {info[1], info[2], info[6], info[7]}, info[8], [=](JobControl& control) -> JobResult {
    const auto total = static_cast<double>(batch.count);
    model->predict(batch, k, threshold, threads, labelTarget, scoreTarget, [&](size_t done) {
      control.check();
      control.progress(static_cast<double>(done), total);
    });
    control.progress(total, total);
    return [](Napi::Env result) { return result.Undefined(); };
  });
}

}  // namespace

void exportLanguage(Napi::Env env, Napi::Object exports) {
  exports.Set("loadFastText", Napi::Function::New(env, loadFastText, "loadFastText"));
  exports.Set("predictFastText", Napi::Function::New(env, predictFastText, "predictFastText"));
}

}  // namespace anneal::addon
