// job.h — work of the text room on a thread of its own, with a promise for its result. Node's own pool stays
// free for files, and the event loop for everything else.
#pragma once

#include <napi.h>

#include <cstddef>
#include <functional>
#include <string>
#include <vector>

#include "text/batch.h"

namespace anneal::addon {

// What JavaScript and a running job share: a Float64Array of 8 words. JavaScript writes word 0, the job all
// others.
class JobControl {
 public:
  explicit JobControl(double* words) : words_(words) {}
  // Whether JavaScript wants the work to end early.
  bool cancelled() const { return words_ != nullptr && load(0) != 0; }
  // Throws Cancelled when the work is to end early; to be called every few milliseconds.
  void check() const;
  void progress(double done, double total) {
    set(1, done);
    set(2, total);
  }
  // Words 3 to 7 mean what each job's TypeScript says.
  void set(size_t word, double value);

 private:
  double load(size_t word) const;
  double* words_;
};

// Thrown by JobControl::check; the promise is rejected with the code ERR_INTERRUPTED.
struct Cancelled {};

// Builds the value on the JavaScript thread.
using JobResult = std::function<Napi::Value(Napi::Env)>;
using JobWork = std::function<JobResult(JobControl&)>;

// Runs `work` on a new thread. `keep` are the values whose memory the work reads or writes; `control` is a
// Float64Array of 8 words or undefined. A TextError becomes an Error with `code` and `details`.
Napi::Promise runJob(Napi::Env env, const std::vector<Napi::Value>& keep, Napi::Value control, JobWork work);

// Runs `work` here and now, with the same errors.
Napi::Value runNow(Napi::Env env, const std::function<Napi::Value()>& work);

// The batch in arguments `index` (Uint8Array) and `index + 1` (Uint32Array of ends); throws where they do not
// fit.
text::TextBatch batchArgument(const Napi::CallbackInfo& info, size_t index);

// A fresh typed array with a copy of `count` values.
template <typename Array, typename Value>
Array copied(Napi::Env env, const Value* values, size_t count) {
  Array array = Array::New(env, count);
  for (size_t i = 0; i < count; ++i) array[i] = values[i];
  return array;
}

}  // namespace anneal::addon
