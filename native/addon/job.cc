#include "addon/job.h"

#include <atomic>
#include <exception>
#include <memory>
#include <new>
#include <set>
#include <thread>
#include <utility>

#include "addon/environment.h"
#include "text/error.h"

namespace anneal::addon {
namespace {

using Details = std::vector<std::pair<std::string, text::Detail>>;

// Why a job failed, in values that outlive its thread.
struct Failure {
  std::string code;
  std::string message;
  Details details;
};

Failure failureOf(const std::exception_ptr& exception) {
  try {
    std::rethrow_exception(exception);
  } catch (const text::TextError& error) {
    return {error.code, error.what(), error.details};
  } catch (const Cancelled&) {
    return {"ERR_INTERRUPTED", "The work was interrupted.", {}};
  } catch (const std::bad_alloc&) {
    return {"ERR_OUT_OF_MEMORY", "The system has no memory left for this text. Work on smaller batches.", {}};
  } catch (const std::exception& error) {
    return {"ERR_NATIVE", error.what(), {}};
  }
}

Napi::Error errorOf(Napi::Env env, const Failure& failure) {
  Napi::Error error = Napi::Error::New(env, failure.message);
  error.Set("code", Napi::String::New(env, failure.code));
  Napi::Object details = Napi::Object::New(env);
  for (const auto& [name, value] : failure.details) {
    if (const auto* number = std::get_if<double>(&value)) {
      details.Set(name, Napi::Number::New(env, *number));
    } else {
      details.Set(name, Napi::String::New(env, std::get<std::string>(value)));
    }
  }
  error.Set("details", details);
  return error;
}

struct Job {
  explicit Job(Napi::Env env) : deferred(Napi::Promise::Deferred::New(env)) {}

  Napi::Promise::Deferred deferred;
  std::vector<Napi::Reference<Napi::Value>> kept;
  double* words = nullptr;
  JobWork work;
  JobResult result;
  std::unique_ptr<Failure> failure;
  std::thread thread;
};

}  // namespace

// The jobs of one environment that still run, and the channel on which they come back.
struct Jobs {
  std::set<Job*> running;
  napi_threadsafe_function channel = nullptr;
};

namespace {

// When the environment ends its jobs are asked to stop and are waited for.
void endAll(void* data) {
  const std::unique_ptr<Jobs> jobs(static_cast<Jobs*>(data));
  for (Job* job : jobs->running) JobControl(job->words).set(0, 1);
  for (Job* job : jobs->running) {
    if (job->thread.joinable()) job->thread.join();
  }
}

// On the JavaScript thread, once the work has ended. While the thread is being terminated `env` is null.
void settle(napi_env rawEnv, napi_value, void* context, void* data) {
  const std::unique_ptr<Job> job(static_cast<Job*>(data));
  if (job->thread.joinable()) job->thread.join();
  if (rawEnv == nullptr) return;
  const Napi::Env env(rawEnv);
  const Napi::HandleScope scope(env);
  auto* jobs = static_cast<Jobs*>(context);
  jobs->running.erase(job.get());
  if (jobs->running.empty()) napi_unref_threadsafe_function(env, jobs->channel);
  try {
    if (job->failure != nullptr) {
      job->deferred.Reject(errorOf(env, *job->failure).Value());
    } else {
      job->deferred.Resolve(job->result(env));
    }
  } catch (const Napi::Error& error) {
    job->deferred.Reject(error.Value());
  }
}

Jobs& jobsOf(Napi::Env env) {
  Environment& environment = Environment::of(env);
  if (environment.jobs == nullptr) {
    auto jobs = std::make_unique<Jobs>();
    const napi_value name = Napi::String::New(env, "anneal text");
    if (napi_create_threadsafe_function(env, nullptr, nullptr, name, 0, 1, nullptr, nullptr, jobs.get(),
                                        settle, &jobs->channel) != napi_ok) {
      throwCoded(env, "ERR_NATIVE", "the channel for jobs could not be made");
    }
    napi_unref_threadsafe_function(env, jobs->channel);
    environment.jobs = jobs.release();
    // Hooks run in reverse order: the jobs have ended before their channel is taken down.
    napi_add_env_cleanup_hook(env, endAll, environment.jobs);
  }
  return *environment.jobs;
}

}  // namespace

void JobControl::check() const {
  if (cancelled()) throw Cancelled{};
}

void JobControl::set(size_t word, double value) {
  if (words_ != nullptr) std::atomic_ref<double>(words_[word]).store(value, std::memory_order_relaxed);
}

double JobControl::load(size_t word) const {
  return std::atomic_ref<double>(words_[word]).load(std::memory_order_relaxed);
}

Napi::Promise runJob(Napi::Env env, const std::vector<Napi::Value>& keep, Napi::Value control, JobWork work) {
  auto owned = std::make_unique<Job>(env);
  Job* job = owned.get();
  job->work = std::move(work);
  for (const Napi::Value& value : keep) job->kept.push_back(Napi::Reference<Napi::Value>::New(value, 1));
  if (control.IsTypedArray()) {
    Napi::Float64Array words = control.As<Napi::Float64Array>();
    if (words.ElementLength() < 8) throwCoded(env, "ERR_NATIVE", "a job's control has fewer than 8 words");
    job->words = words.Data();
    job->kept.push_back(Napi::Reference<Napi::Value>::New(control, 1));
  }
  Jobs& jobs = jobsOf(env);
  const Napi::Promise promise = job->deferred.Promise();
  if (jobs.running.empty()) napi_ref_threadsafe_function(env, jobs.channel);
  jobs.running.insert(owned.release());
  const auto run = [job, channel = jobs.channel] {
    try {
      JobControl words(job->words);
      job->result = job->work(words);
    } catch (...) {
      job->failure = std::make_unique<Failure>(failureOf(std::current_exception()));
    }
    // What the work holds is freed here, not on the JavaScript thread.
    job->work = nullptr;
    napi_call_threadsafe_function(channel, job, napi_tsfn_nonblocking);
  };
  try {
    job->thread = std::thread(run);
  } catch (const std::exception&) {
    run();
  }
  return promise;
}

Napi::Value runNow(Napi::Env env, const std::function<Napi::Value()>& work) {
  try {
    return work();
  } catch (const Napi::Error&) {
    throw;
  } catch (...) {
    throw errorOf(env, failureOf(std::current_exception()));
  }
}

text::TextBatch batchArgument(const Napi::CallbackInfo& info, size_t index) {
  const Napi::Env env = info.Env();
  if (!info[index].IsTypedArray() || !info[index + 1].IsTypedArray()) {
    throwCoded(env, "ERR_NATIVE", "a batch of texts is a Uint8Array and a Uint32Array");
  }
  const auto bytes = info[index].As<Napi::Uint8Array>();
  const auto ends = info[index + 1].As<Napi::Uint32Array>();
  const text::TextBatch batch{reinterpret_cast<const char*>(bytes.Data()), ends.Data(), ends.ElementLength()};
  uint32_t last = 0;
  for (size_t i = 0; i < batch.count; ++i) {
    if (batch.ends[i] < last) throwCoded(env, "ERR_NATIVE", "the ends of a batch of texts must not decrease");
    last = batch.ends[i];
  }
  if (last > bytes.ByteLength()) throwCoded(env, "ERR_NATIVE", "a batch of texts ends behind its bytes");
  return batch;
}

}  // namespace anneal::addon
