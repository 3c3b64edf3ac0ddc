// sample.cc — draws one id per row of logits: temperature, top-k, top-p, min-p, then the inverse of the
// cumulative distribution. Probabilities are double, so that the choice does not depend on the backend's
// exponential.
#include <algorithm>

#include "core/backend.h"
#include "core/dtype.h"
#include "cpu/elements.h"
#include "cpu/index_check.h"
#include "cpu/random_lanes.h"
#include "cpu/scratch.h"
#include "cpu/vec_math_double.h"

ANNEAL_CPU_NAMESPACE_BEGIN

namespace {

struct Candidate {
  double z;
  int32_t id;
};

// Orders a heap whose top is the most probable token, the lower id on ties.
struct LessProbable {
  bool operator()(const Candidate& a, const Candidate& b) const {
    return a.z < b.z || (a.z == b.z && a.id > b.id);
  }
};

// Σ e^(z − top) over the row.
double sumExponentials(const double* z, double top, int64_t n) {
  return laneFold(
      n, 0.0, [z, top](int64_t i) { return vexpDouble(z[i] - top); },
      [](double a, double b) { return a + b; });
}

// Index of the largest, the lowest on ties; a NaN counts as largest.
int64_t argmax(const double* z, int64_t n) {
  int64_t best = 0;
  for (int64_t i = 1; i < n && z[best] == z[best]; ++i) {
    if (z[i] > z[best] || z[i] != z[i]) best = i;
  }
  return best;
}

// Writes into `mass` what stays of e^(z − top), 0 for what top-k, top-p and min-p drop.
void keepMass(const SampleArgs& args, const double* z, double top, double* mass, Candidate* heap) {
  const int64_t n = args.vocab;
#pragma omp simd
  for (int64_t i = 0; i < n; ++i) mass[i] = vexpDouble(z[i] - top);
  const bool topK = args.topK > 0 && args.topK < n, topP = args.topP < 1.0;
  if (topK) {
    for (int64_t i = 0; i < n; ++i) heap[i] = {z[i], static_cast<int32_t>(i)};
    std::nth_element(heap, heap + (args.topK - 1), heap + n,
                     [](const Candidate& a, const Candidate& b) { return a.z > b.z; });
    const double least = heap[args.topK - 1].z;
    for (int64_t i = 0; i < n; ++i) mass[i] = z[i] >= least ? mass[i] : 0.0;
  }
  if (topP) {
    int64_t count = 0;
    double total = 0.0;
    for (int64_t i = 0; i < n; ++i) {
      if (mass[i] == 0.0) continue;
      heap[count++] = {z[i], static_cast<int32_t>(i)};
      total += mass[i];
    }
    std::make_heap(heap, heap + count, LessProbable{});
    // Tokens leave the heap in order of probability; what is left when topP is reached goes. The first always
    // stays.
    double before = 0.0;
    for (int64_t rest = count; rest > 0; --rest) {
      if (rest < count && before >= args.topP * total) {
        for (int64_t i = 0; i < rest; ++i) mass[heap[i].id] = 0.0;
        break;
      }
      before += mass[heap[0].id];
      std::pop_heap(heap, heap + rest, LessProbable{});
    }
  }
  if (args.minP > 0.0) {
    // The largest mass is e⁰ = 1.
    for (int64_t i = 0; i < n; ++i) mass[i] = mass[i] >= args.minP ? mass[i] : 0.0;
  }
}

// The first id whose cumulative mass exceeds u of the total; the last that has any if rounding leaves none.
int64_t draw(const double* mass, int64_t n, double u) {
  double total = 0.0;
  for (int64_t i = 0; i < n; ++i) total += mass[i];
  const double target = u * total;
  double cumulative = 0.0;
  int64_t last = 0;
  for (int64_t i = 0; i < n; ++i) {
    if (mass[i] == 0.0) continue;
    last = i;
    cumulative += mass[i];
    if (cumulative > target) break;
  }
  return last;
}

double uniformOfRow(int64_t seed, int64_t row, int64_t offset) {
  alignas(64) uint32_t words[kRandomWords];
  const int64_t first = row / kRandomBlocks * kRandomBlocks;
  philoxWords(static_cast<uint64_t>(seed), static_cast<uint64_t>(first), static_cast<uint64_t>(offset),
              words);
  return static_cast<double>(words[4 * (row - first)] >> 8) * 0x1p-24;
}

template <typename T>
int sampleOf(KernelContext* context, const SampleArgs& args) {
  const int64_t n = args.vocab;
  const double temperature = args.temperature == 0.0 ? 1.0 : args.temperature;
  FirstBad bad;
  parallelFor(args.rows, 32 * n, [&](int64_t begin, int64_t end) {
    double* z = static_cast<double*>(threadScratch(0, static_cast<size_t>(n) * sizeof(double)));
    double* mass = static_cast<double*>(threadScratch(1, static_cast<size_t>(n) * sizeof(double)));
    Candidate* heap = static_cast<Candidate*>(threadScratch(2, static_cast<size_t>(n) * sizeof(Candidate)));
    for (int64_t r = begin; r < end; ++r) {
      const T* logits = static_cast<const T*>(args.logits) + r * n;
#pragma omp simd
      for (int64_t i = 0; i < n; ++i) z[i] = static_cast<double>(toFloat(logits[i])) / temperature;
      const int64_t best = argmax(z, n);
      const double top = z[best];
      int64_t id = best;
      if (args.temperature != 0.0) {
        if (!(top - top == 0.0)) {
          bad.report(r);
          continue;
        }
        keepMass(args, z, top, mass, heap);
        id = draw(mass, n, uniformOfRow(args.seed, r, args.offset));
      }
      static_cast<int32_t*>(args.ids)[r] = static_cast<int32_t>(id);
      if (args.logp != nullptr) {
        const double logSum = top + vlogDouble(sumExponentials(z, top, n));
        static_cast<float*>(args.logp)[r] = static_cast<float>(z[id] - logSum);
      }
    }
  });
  if (bad.found()) {
    return fail(context,
                "sample: the logits of row %lld have no finite maximum; a weight or activation is not finite",
                static_cast<long long>(bad.position()));
  }
  return 0;
}

int sample(KernelContext* context, const void* raw) {
  const SampleArgs& args = *static_cast<const SampleArgs*>(raw);
  if (args.rows > 0 && args.vocab <= 0) return fail(context, "sample: the vocabulary is empty");
  if (!(args.temperature >= 0.0))
    return fail(context, "sample: temperature must be >= 0, got %g", args.temperature);
  if (args.dtype == kF32) return sampleOf<float>(context, args);
  if (args.dtype == kBF16) return sampleOf<bf16>(context, args);
  return fail(context, "sample: expected f32 or bf16, got %s", dtypeName(args.dtype));
}

}  // namespace

void registerSample(Backend& table) { table.kernels[kKernel_sample] = sample; }

ANNEAL_CPU_NAMESPACE_END
