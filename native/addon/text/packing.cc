#include "addon/text/packing.h"

#include <memory>
#include <utility>
#include <vector>

#include "addon/environment.h"
#include "addon/job.h"
#include "text/packing/best_fit.h"

namespace anneal::addon {
namespace {

// packDocuments(control, bounds: Float64Array, capacity, aligned, crop, buffer): promise of
// {pieces: BigUint64Array, ends: Uint32Array, padding, dropped, cut}
Napi::Value packDocuments(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  if (!info[1].IsTypedArray())
    throwCoded(env, "ERR_NATIVE", "a Float64Array of documents' bounds was expected");
  const auto bounds = info[1].As<Napi::Float64Array>();
  text::PackOptions options;
  options.capacity = info[2].ToNumber().Uint32Value();
  options.aligned = info[3].ToBoolean();
  options.crop = info[4].ToBoolean();
  options.buffer = info[5].ToNumber().Uint32Value();
  const size_t values = bounds.ElementLength();
  const double* data = bounds.Data();
  for (size_t i = 1; i < values; ++i) {
    if (!(data[i] >= data[i - 1])) throwCoded(env, "ERR_NATIVE", "documents' bounds must not decrease");
  }
  if (options.capacity == 0 || options.capacity >> text::kLengthBits != 0 || options.buffer == 0 ||
      values == 0 || !(data[0] >= 0 && data[values - 1] < 1099511627776.0)) {
    throwCoded(env, "ERR_NATIVE", "documents or rows are too long to be packed");
  }
  return runJob(env, {info[1]}, info[0], [options, data, values](JobControl& control) -> JobResult {
    auto rows = std::make_shared<text::PackedRows>(
        text::packDocuments(data, values - 1, options, [&control] { control.check(); }));
    return [rows](Napi::Env into) -> Napi::Value {
      Napi::Object result = Napi::Object::New(into);
      result.Set("pieces", copied<Napi::BigUint64Array>(into, rows->pieces.data(), rows->pieces.size()));
      result.Set("ends", copied<Napi::Uint32Array>(into, rows->ends.data(), rows->ends.size()));
      result.Set("padding", Napi::Number::New(into, static_cast<double>(rows->padding)));
      result.Set("dropped", Napi::Number::New(into, static_cast<double>(rows->dropped)));
      result.Set("cut", Napi::Number::New(into, static_cast<double>(rows->cut)));
      return result;
    };
  });
}

}  // namespace

void exportPacking(Napi::Env env, Napi::Object exports) {
  exports.Set("packDocuments", Napi::Function::New(env, packDocuments));
}

}  // namespace anneal::addon
