// optimizer.cc — gradient norm, AdamW and SGD over a table of tensors. All tensors are cut into chunks of one
// fixed size; threads take equal runs of chunks, whatever tensors these belong to, and every array is passed
// over once.
#include <cmath>
#include <type_traits>

#include "core/backend.h"
#include "core/dtype.h"
#include "cpu/elements.h"
#include "cpu/random_lanes.h"
#include "cpu/scratch.h"

ANNEAL_CPU_NAMESPACE_BEGIN

namespace {

constexpr int64_t kChunk = 16384;  // elements; the arrays of a chunk stay in the second cache

inline int64_t chunksOf(int64_t count) { return (count + kChunk - 1) / kChunk; }

int64_t totalChunks(const ParameterEntry* table, int64_t entries) {
  int64_t total = 0;
  for (int64_t e = 0; e < entries; ++e) total += chunksOf(table[e].count);
  return total;
}

// Calls body(entry, first element, elements, number of the chunk) for every chunk of every tensor, in
// parallel.
template <typename Body>
void forEachChunk(const ParameterEntry* table, int64_t entries, const Body& body) {
  parallelFor(totalChunks(table, entries), kChunk, [&](int64_t begin, int64_t end) {
    int64_t entry = 0, before = 0;
    for (int64_t chunk = begin; chunk < end; ++chunk) {
      while (chunk - before >= chunksOf(table[entry].count)) before += chunksOf(table[entry++].count);
      const int64_t first = (chunk - before) * kChunk, rest = table[entry].count - first;
      body(table[entry], first, rest < kChunk ? rest : kChunk, chunk);
    }
  });
}

// In double, because squares of large gradients leave the range of f32 before their root does.
double sumOfSquares(const float* g, int64_t n) {
  return laneFold(
      n, 0.0, [g](int64_t i) { return static_cast<double>(g[i]) * static_cast<double>(g[i]); },
      [](double a, double b) { return a + b; });
}

int gradNorm(KernelContext* context, const void* raw) {
  const GradNormArgs& args = *static_cast<const GradNormArgs*>(raw);
  const ParameterEntry* table = static_cast<const ParameterEntry*>(args.table);
  if (args.entries < 0) return fail(context, "gradNorm: negative number of tensors");
  const int64_t chunks = totalChunks(table, args.entries);
  double* partial = static_cast<double*>(threadScratch(0, static_cast<size_t>(chunks) * sizeof(double)));
  forEachChunk(table, args.entries,
               [partial](const ParameterEntry& entry, int64_t first, int64_t n, int64_t chunk) {
                 partial[chunk] = sumOfSquares(static_cast<const float*>(entry.gradient) + first, n);
               });
  double total = 0.0;
  for (int64_t c = 0; c < chunks; ++c) total += partial[c];
  const float norm = static_cast<float>(std::sqrt(total));
  float clip = 1.0f;
  if (!(norm < kFloatInfinity)) {
    clip = -1.0f;
  } else if (args.maxNorm > 0.0) {
    const float wanted = static_cast<float>(args.maxNorm) / (norm + 1e-6f);
    if (wanted < 1.0f) clip = wanted;
  }
  *static_cast<float*>(args.norm) = norm;
  *static_cast<float*>(args.clip) = clip;
  return 0;
}

// The constants of one AdamW step: θ ← keep·θ − rate·m/(√v·root + eps), with the bias corrections inside rate
// and root.
struct AdamStep {
  float clip, beta1, beta2, rest1, rest2, rate, root, eps, keep, l2;
};

// Adds 16 random bits below the ones that bf16 keeps and cuts them off: rounds up with probability equal to
// the lost fraction.
ANNEAL_INLINE bf16 roundStochastic(float x, uint32_t random16) {
  const uint32_t u = std::bit_cast<uint32_t>(x);
  const uint32_t magnitude = u & 0x7FFFFFFFu;
  const uint32_t chosen = magnitude > 0x7F800000u ? (u | 0x00400000u) : u + random16;
  return {static_cast<uint16_t>(chosen >> 16)};
}

// n elements. Moment: f32 or bf16. kRounded: the parameter is bf16 beside its master. words: random bits, one
// word an element (stochastic only).
template <typename Moment, bool kRounded, bool kStochastic>
void adamSpan(const AdamStep& step, float* __restrict theta, bf16* __restrict parameter,
              const float* __restrict g, Moment* __restrict m, Moment* __restrict v,
              const uint32_t* __restrict words, int64_t n) {
  const AdamStep s = step;
#pragma omp simd
  for (int64_t i = 0; i < n; ++i) {
    const float old = theta[i];
    const float gradient = s.clip * g[i] + s.l2 * old;
    const float first = s.beta1 * toFloat(m[i]) + s.rest1 * gradient;
    const float second = s.beta2 * toFloat(v[i]) + s.rest2 * gradient * gradient;
    const float next = s.keep * old - s.rate * first / (sqrtf(second) * s.root + s.eps);
    theta[i] = next;
    if constexpr (kRounded) parameter[i] = roundToBf16(next);
    if constexpr (kStochastic) {
      m[i] = roundStochastic(first, words[i] & 0xFFFFu);
      v[i] = roundStochastic(second, words[i] >> 16);
    } else {
      m[i] = fromFloat<Moment>(first);
      v[i] = fromFloat<Moment>(second);
    }
  }
}

// What changes from step to step: from device memory where the call names some, else from the call.
struct Schedule {
  double lr;
  int64_t step;
};

template <typename Args>
Schedule scheduleOf(const Args& args) {
  if (args.schedule == nullptr) return {args.lr, args.step};
  const double* words = static_cast<const double*>(args.schedule);
  return {words[0], static_cast<int64_t>(words[1])};
}

template <typename Moment, bool kRounded>
void adamChunk(const AdamWArgs& args, int64_t number, const AdamStep& step, const ParameterEntry& entry,
               int64_t first, int64_t n, int64_t chunk) {
  float* theta = static_cast<float*>(kRounded ? entry.master : entry.parameter) + first;
  bf16* parameter = kRounded ? static_cast<bf16*>(entry.parameter) + first : nullptr;
  const float* g = static_cast<const float*>(entry.gradient) + first;
  Moment* m = static_cast<Moment*>(entry.firstMoment) + first;
  Moment* v = static_cast<Moment*>(entry.secondMoment) + first;
  if constexpr (std::is_same_v<Moment, bf16>) {
    if (args.stochasticSeed != 0) {
      // Elements count through all chunks of the table, so that no two tensors share random bits.
      alignas(64) uint32_t words[kRandomWords];
      for (int64_t i = 0; i < n; i += kRandomWords) {
        philoxWords(static_cast<uint64_t>(args.stochasticSeed), static_cast<uint64_t>(chunk * kChunk + i) / 4,
                    static_cast<uint64_t>(number), words);
        adamSpan<Moment, kRounded, true>(step, theta + i, kRounded ? parameter + i : nullptr, g + i, m + i,
                                         v + i, words, n - i < kRandomWords ? n - i : kRandomWords);
      }
      return;
    }
  }
  adamSpan<Moment, kRounded, false>(step, theta, parameter, g, m, v, nullptr, n);
}

// Checks what the table says of each tensor; returns 0 or the status of a failure.
int checkTable(KernelContext* context, const char* kernel, const ParameterEntry* table, int64_t entries) {
  for (int64_t e = 0; e < entries; ++e) {
    const ParameterEntry& entry = table[e];
    if (entry.parameterDtype != kF32 &&
        (entry.parameterDtype != kBF16 || (entry.count > 0 && entry.master == nullptr))) {
      return fail(context, "%s: parameter %lld must be f32, or bf16 with an f32 master copy; it is %s",
                  kernel, static_cast<long long>(e), dtypeName(entry.parameterDtype));
    }
    if (entry.firstMoment != nullptr && entry.momentDtype != kF32 && entry.momentDtype != kBF16) {
      return fail(context, "%s: the moments of parameter %lld must be f32 or bf16, got %s", kernel,
                  static_cast<long long>(e), dtypeName(entry.momentDtype));
    }
  }
  return 0;
}

int adamw(KernelContext* context, const void* raw) {
  const AdamWArgs& args = *static_cast<const AdamWArgs*>(raw);
  const ParameterEntry* table = static_cast<const ParameterEntry*>(args.table);
  const Schedule schedule = scheduleOf(args);
  if (schedule.step < 1)
    return fail(context, "adamw: step counts from 1, got %lld", static_cast<long long>(schedule.step));
  if (const int status = checkTable(context, "adamw", table, args.entries)) return status;
  for (int64_t e = 0; e < args.entries; ++e) {
    if (table[e].count > 0 && (table[e].firstMoment == nullptr || table[e].secondMoment == nullptr)) {
      return fail(context, "adamw: parameter %lld has no moments", static_cast<long long>(e));
    }
  }
  const float clip = args.clip == nullptr ? 1.0f : *static_cast<const float*>(args.clip);
  if (clip < 0.0f) return 0;
  const double t = static_cast<double>(schedule.step);
  const double correction1 = 1.0 - std::pow(args.beta1, t), correction2 = 1.0 - std::pow(args.beta2, t);
  AdamStep plain;
  plain.clip = clip;
  plain.beta1 = static_cast<float>(args.beta1);
  plain.beta2 = static_cast<float>(args.beta2);
  plain.rest1 = static_cast<float>(1.0 - args.beta1);
  plain.rest2 = static_cast<float>(1.0 - args.beta2);
  plain.rate = static_cast<float>(schedule.lr / correction1);
  plain.root = static_cast<float>(1.0 / std::sqrt(correction2));
  plain.eps = static_cast<float>(args.eps);
  plain.keep = 1.0f;
  plain.l2 = 0.0f;
  AdamStep decayed = plain;
  if (args.l2 != 0)
    decayed.l2 = static_cast<float>(args.weightDecay);
  else
    decayed.keep = static_cast<float>(1.0 - schedule.lr * args.weightDecay);
  forEachChunk(table, args.entries,
               [&](const ParameterEntry& entry, int64_t first, int64_t n, int64_t chunk) {
                 const AdamStep& step = entry.decays != 0 ? decayed : plain;
                 const bool rounded = entry.parameterDtype == kBF16;
                 if (entry.momentDtype == kBF16) {
                   if (rounded)
                     adamChunk<bf16, true>(args, schedule.step, step, entry, first, n, chunk);
                   else
                     adamChunk<bf16, false>(args, schedule.step, step, entry, first, n, chunk);
                 } else {
                   if (rounded)
                     adamChunk<float, true>(args, schedule.step, step, entry, first, n, chunk);
                   else
                     adamChunk<float, false>(args, schedule.step, step, entry, first, n, chunk);
                 }
               });
  return 0;
}

// The constants of one SGD step: buffer ← keep·buffer + take·g, θ −= lr·(direct·g + push·buffer).
struct SgdStep {
  float clip, decay, keep, take, lr, direct, push;
};

// buffer null: plain gradient descent.
template <typename Moment>
void sgdSpan(const SgdStep& step, float* __restrict theta, const float* __restrict g,
             Moment* __restrict buffer, int64_t n) {
  const SgdStep s = step;
  if (buffer == nullptr) {
#pragma omp simd
    for (int64_t i = 0; i < n; ++i) theta[i] -= s.lr * (s.clip * g[i] + s.decay * theta[i]);
  } else if (s.keep == 0.0f) {
    // The first step does not read the buffer, which may hold anything.
#pragma omp simd
    for (int64_t i = 0; i < n; ++i) {
      const float gradient = s.clip * g[i] + s.decay * theta[i];
      buffer[i] = fromFloat<Moment>(gradient);
      theta[i] -= s.lr * (s.direct + s.push) * gradient;
    }
  } else {
#pragma omp simd
    for (int64_t i = 0; i < n; ++i) {
      const float gradient = s.clip * g[i] + s.decay * theta[i];
      const float momentum = s.keep * toFloat(buffer[i]) + s.take * gradient;
      buffer[i] = fromFloat<Moment>(momentum);
      theta[i] -= s.lr * (s.direct * gradient + s.push * momentum);
    }
  }
}

int sgd(KernelContext* context, const void* raw) {
  const SgdArgs& args = *static_cast<const SgdArgs*>(raw);
  const ParameterEntry* table = static_cast<const ParameterEntry*>(args.table);
  const Schedule schedule = scheduleOf(args);
  if (schedule.step < 1)
    return fail(context, "sgd: step counts from 1, got %lld", static_cast<long long>(schedule.step));
  if (const int status = checkTable(context, "sgd", table, args.entries)) return status;
  const bool momentum = args.momentum != 0.0, firstStep = schedule.step == 1;
  for (int64_t e = 0; momentum && e < args.entries; ++e) {
    if (table[e].count > 0 && table[e].firstMoment == nullptr) {
      return fail(context, "sgd: momentum %g needs a buffer, parameter %lld has none", args.momentum,
                  static_cast<long long>(e));
    }
  }
  const float clip = args.clip == nullptr ? 1.0f : *static_cast<const float*>(args.clip);
  if (clip < 0.0f) return 0;
  SgdStep step;
  step.clip = clip;
  step.keep = firstStep ? 0.0f : static_cast<float>(args.momentum);
  step.take = static_cast<float>(1.0 - args.dampening);
  step.lr = static_cast<float>(schedule.lr);
  step.direct = args.nesterov != 0 ? 1.0f : 0.0f;
  step.push = args.nesterov != 0 ? static_cast<float>(args.momentum) : 1.0f;
  forEachChunk(table, args.entries, [&](const ParameterEntry& entry, int64_t first, int64_t n, int64_t) {
    SgdStep own = step;
    own.decay = entry.decays != 0 ? static_cast<float>(args.weightDecay) : 0.0f;
    const bool rounded = entry.parameterDtype == kBF16;
    float* theta = static_cast<float*>(rounded ? entry.master : entry.parameter) + first;
    const float* g = static_cast<const float*>(entry.gradient) + first;
    if (momentum && entry.momentDtype == kBF16) {
      sgdSpan(own, theta, g, static_cast<bf16*>(entry.firstMoment) + first, n);
    } else {
      sgdSpan(own, theta, g, momentum ? static_cast<float*>(entry.firstMoment) + first : nullptr, n);
    }
    if (rounded) {
      bf16* parameter = static_cast<bf16*>(entry.parameter) + first;
#pragma omp simd
      for (int64_t i = 0; i < n; ++i) parameter[i] = roundToBf16(theta[i]);
    }
  });
  return 0;
}

}  // namespace

void registerOptimizer(Backend& table) {
  table.kernels[kKernel_gradNorm] = gradNorm;
  table.kernels[kKernel_adamw] = adamw;
  table.kernels[kKernel_sgd] = sgd;
}

ANNEAL_CPU_NAMESPACE_END
