// router.cc — expert routing of DeepSeek-V2 and V3 and the sequence-wise balance loss, forward and backward.
// f32 throughout; tokens are shared out between threads, and sums over tokens run over blocks of a fixed size
// that are added in order.
#include <algorithm>
#include <limits>

#include "core/backend.h"
#include "cpu/lanes.h"
#include "cpu/parallel.h"
#include "cpu/scratch.h"
#include "cpu/vec_math.h"

ANNEAL_CPU_NAMESPACE_BEGIN

namespace {

constexpr int kTokenSlot = 0, kSumSlot = 1;
constexpr int64_t kTokenBlock = 128;  // tokens of one partial sum

// The largest values seen so far, in descending order; of equal values the one that came first stays ahead.
struct TopList {
  float* values;
  int32_t* ids;
  int64_t capacity;
  int64_t count = 0;

  void offer(float value, int32_t id) {
    if (count == capacity && !(value > values[capacity - 1])) return;
    int64_t place = count < capacity ? count++ : capacity - 1;
    for (; place > 0 && value > values[place - 1]; --place) {
      values[place] = values[place - 1];
      ids[place] = ids[place - 1];
    }
    values[place] = value;
    ids[place] = id;
  }

  void sortById() {
    for (int64_t i = 1; i < count; ++i) {
      const int32_t id = ids[i];
      int64_t place = i;
      for (; place > 0 && ids[place - 1] > id; --place) ids[place] = ids[place - 1];
      ids[place] = id;
    }
  }
};

inline float sum(const float* x, int64_t n) {
  Vec lanes{};
  for (int64_t i = 0; i < n; i += kLanes) lanes += loadUpTo(x + i, n - i);
  float total = 0;
  for (int i = 0; i < kLanes; ++i) total += lanes[i];
  return total;
}

inline float dot(const float* x, const float* y, int64_t n) {
  Vec lanes{};
  for (int64_t i = 0; i < n; i += kLanes) lanes += loadUpTo(x + i, n - i) * loadUpTo(y + i, n - i);
  float total = 0;
  for (int i = 0; i < kLanes; ++i) total += lanes[i];
  return total;
}

void scoresOf(const float* logits, float* scores, int64_t experts, int64_t scoring) {
  if (scoring == kScoreSigmoid) {
    for (int64_t e = 0; e < experts; ++e) scores[e] = vsigmoid(logits[e]);
    return;
  }
  float largest = logits[0];
  for (int64_t e = 1; e < experts; ++e) largest = logits[e] > largest ? logits[e] : largest;
  for (int64_t e = 0; e < experts; ++e) scores[e] = vexp(logits[e] - largest);
  const float scale = 1.0f / sum(scores, experts);
  for (int64_t e = 0; e < experts; ++e) scores[e] *= scale;
}

// Working memory of one token: choice scores [E], then lists of K experts and of groupsKept groups.
struct TokenScratch {
  float* choice;
  TopList experts, groups;

  TokenScratch(int64_t expertCount, int64_t chosen, int64_t groupsKept) {
    choice = static_cast<float*>(threadScratch(
        kTokenSlot, static_cast<size_t>(expertCount + 2 * (chosen + groupsKept)) * sizeof(float)));
    float* next = choice + expertCount;
    experts = {next, reinterpret_cast<int32_t*>(next + chosen), chosen};
    next += 2 * chosen;
    groups = {next, reinterpret_cast<int32_t*>(next + groupsKept), groupsKept};
  }
};

// Leaves the ids of the chosen experts, ascending, in scratch.experts.
void choose(const RouterForwardArgs& a, const float* scores, TokenScratch& scratch) {
  const auto* bias = static_cast<const float*>(a.bias);
  float* choice = scratch.choice;
  for (int64_t e = 0; e < a.experts; ++e) choice[e] = bias != nullptr ? scores[e] + bias[e] : scores[e];
  scratch.experts.count = 0;
  if (a.groupsKept >= a.groups) {
    for (int64_t e = 0; e < a.experts; ++e) scratch.experts.offer(choice[e], static_cast<int32_t>(e));
    scratch.experts.sortById();
    return;
  }
  const int64_t size = a.experts / a.groups;
  scratch.groups.count = 0;
  for (int64_t g = 0; g < a.groups; ++g) {
    const float* c = choice + g * size;
    float first = c[0], second = -std::numeric_limits<float>::infinity();
    for (int64_t i = 1; i < size; ++i) {
      second = c[i] > first ? first : (c[i] > second ? c[i] : second);
      first = c[i] > first ? c[i] : first;
    }
    const bool pair = a.groupScore == kGroupTop2Sum && size > 1;
    scratch.groups.offer(pair ? first + second : first, static_cast<int32_t>(g));
  }
  // Ascending groups, so that ties between experts of different groups also go to the lowest index.
  scratch.groups.sortById();
  for (int64_t i = 0; i < a.groupsKept; ++i) {
    const int64_t begin = scratch.groups.ids[i] * size;
    for (int64_t e = begin; e < begin + size; ++e) scratch.experts.offer(choice[e], static_cast<int32_t>(e));
  }
  scratch.experts.sortById();
}

int routerForward(KernelContext* context, const void* args) {
  const auto& a = *static_cast<const RouterForwardArgs*>(args);
  if (a.tokens == 0) return 0;
  if (a.groups < 1 || a.experts % a.groups != 0 || a.groupsKept < 1) {
    return fail(context, "routerForward: %lld experts cannot be divided into %lld groups of which %lld stay",
                static_cast<long long>(a.experts), static_cast<long long>(a.groups),
                static_cast<long long>(a.groupsKept));
  }
  const int64_t eligible = std::min(a.groupsKept, a.groups) * (a.experts / a.groups);
  if (a.chosen < 1 || a.chosen > eligible) {
    return fail(context,
                "routerForward: chosen must lie in 1..%lld (experts of the groups that stay), got %lld",
                static_cast<long long>(eligible), static_cast<long long>(a.chosen));
  }
  parallelFor(a.tokens, 32 * a.experts, [&](int64_t begin, int64_t end) {
    TokenScratch scratch(a.experts, a.chosen, std::min(a.groupsKept, a.groups));
    for (int64_t t = begin; t < end; ++t) {
      float* scores = static_cast<float*>(a.scores) + t * a.experts;
      scoresOf(static_cast<const float*>(a.logits) + t * a.experts, scores, a.experts, a.scoring);
      choose(a, scores, scratch);
      auto* ids = static_cast<int32_t*>(a.ids) + t * a.chosen;
      float* weights = static_cast<float*>(a.weights) + t * a.chosen;
      float total = 0;
      for (int64_t k = 0; k < a.chosen; ++k) {
        ids[k] = scratch.experts.ids[k];
        weights[k] = scores[ids[k]];
        total += weights[k];
      }
      const float divisor = a.normalise != 0 ? total + 1e-20f : 1.0f;
      for (int64_t k = 0; k < a.chosen; ++k)
        weights[k] = weights[k] / divisor * static_cast<float>(a.scaling);
    }
  });
  return 0;
}

int routerBackward(KernelContext*, const void* args) {
  const auto& a = *static_cast<const RouterBackwardArgs*>(args);
  const float scaling = static_cast<float>(a.scaling);
  parallelFor(a.tokens, 2 * a.experts, [&](int64_t begin, int64_t end) {
    for (int64_t t = begin; t < end; ++t) {
      const float* scores = static_cast<const float*>(a.scores) + t * a.experts;
      const auto* ids = static_cast<const int32_t*>(a.ids) + t * a.chosen;
      const float* dweights = static_cast<const float*>(a.dweights) + t * a.chosen;
      float* dlogits = static_cast<float*>(a.dlogits) + t * a.experts;
      float total = 1.0f, mean = 0.0f;
      if (a.normalise != 0) {
        total = 0.0f;
        for (int64_t k = 0; k < a.chosen; ++k) total += scores[ids[k]];
        total += 1e-20f;
        for (int64_t k = 0; k < a.chosen; ++k) mean += dweights[k] * (scores[ids[k]] / total);
      }
      const auto dscore = [&](int64_t k) { return scaling * (dweights[k] - mean) / total; };
      if (a.scoring == kScoreSigmoid) {
        std::fill(dlogits, dlogits + a.experts, 0.0f);
        for (int64_t k = 0; k < a.chosen; ++k)
          dlogits[ids[k]] = scores[ids[k]] * (1.0f - scores[ids[k]]) * dscore(k);
        continue;
      }
      float inner = 0.0f;
      for (int64_t k = 0; k < a.chosen; ++k) inner += scores[ids[k]] * dscore(k);
      for (int64_t e = 0; e < a.experts; ++e) dlogits[e] = -scores[e] * inner;
      for (int64_t k = 0; k < a.chosen; ++k) dlogits[ids[k]] = scores[ids[k]] * (dscore(k) - inner);
    }
  });
  return 0;
}

int badSequences(KernelContext* context, const char* kernel, int64_t tokens, int64_t sequences) {
  return fail(context, "%s: %lld tokens cannot be divided into %lld sequences of equal length", kernel,
              static_cast<long long>(tokens), static_cast<long long>(sequences));
}

int balanceLossForward(KernelContext* context, const void* args) {
  const auto& a = *static_cast<const BalanceLossForwardArgs*>(args);
  if (a.sequences < 0 || (a.sequences == 0 ? a.tokens != 0 : a.tokens % a.sequences != 0)) {
    return badSequences(context, "balanceLossForward", a.tokens, a.sequences);
  }
  float* loss = static_cast<float*>(a.loss);
  float* fractions = static_cast<float*>(a.fractions);
  float* means = static_cast<float*>(a.workspace);
  *loss = 0.0f;
  if (a.tokens == 0) {
    std::fill(fractions, fractions + a.sequences * a.experts, 0.0f);
    return 0;
  }
  if (a.chosen < 1 || a.chosen > a.experts) {
    return fail(context, "balanceLossForward: chosen must lie in 1..experts = %lld, got %lld",
                static_cast<long long>(a.experts), static_cast<long long>(a.chosen));
  }
  const int64_t length = a.tokens / a.sequences, blocks = (length + kTokenBlock - 1) / kTokenBlock;
  // Per block of tokens: Σ p [E], then the number of times each expert was chosen [E].
  float* partials = static_cast<float*>(
      threadScratch(kSumSlot, static_cast<size_t>(a.sequences * blocks * 2 * a.experts) * sizeof(float)));
  parallelFor(a.sequences * blocks, kTokenBlock * 4 * a.experts, [&](int64_t first, int64_t last) {
    TokenScratch scratch(a.experts, a.chosen, 0);
    for (int64_t item = first; item < last; ++item) {
      const int64_t begin = (item % blocks) * kTokenBlock, end = std::min(begin + kTokenBlock, length);
      float *total = partials + item * 2 * a.experts, *count = total + a.experts;
      std::fill(total, count + a.experts, 0.0f);
      for (int64_t t = begin; t < end; ++t) {
        const int64_t token = item / blocks * length + t;
        const float* scores = static_cast<const float*>(a.scores) + token * a.experts;
        const float scale = a.scoring == kScoreSigmoid ? 1.0f / sum(scores, a.experts) : 1.0f;
        for (int64_t e = 0; e < a.experts; ++e) total[e] += scores[e] * scale;
        const auto* ids = static_cast<const int32_t*>(a.ids) + token * a.chosen;
        if (a.counting == kCountTopScores) {
          scratch.experts.count = 0;
          for (int64_t e = 0; e < a.experts; ++e) scratch.experts.offer(scores[e], static_cast<int32_t>(e));
          ids = scratch.experts.ids;
        }
        for (int64_t k = 0; k < a.chosen; ++k) count[ids[k]] += 1.0f;
      }
    }
  });
  const float perChoice =
      static_cast<float>(static_cast<double>(a.experts) / static_cast<double>(a.chosen * length));
  double all = 0;
  for (int64_t s = 0; s < a.sequences; ++s) {
    float *mean = means + s * a.experts, *fraction = fractions + s * a.experts;
    std::fill(mean, mean + a.experts, 0.0f);
    std::fill(fraction, fraction + a.experts, 0.0f);
    for (int64_t b = 0; b < blocks; ++b) {
      const float* total = partials + (s * blocks + b) * 2 * a.experts;
      for (int64_t e = 0; e < a.experts; ++e) {
        mean[e] += total[e];
        fraction[e] += total[a.experts + e];
      }
    }
    for (int64_t e = 0; e < a.experts; ++e) {
      mean[e] /= static_cast<float>(length);
      fraction[e] *= perChoice;
      all += static_cast<double>(fraction[e]) * static_cast<double>(mean[e]);
    }
  }
  *loss = static_cast<float>(a.alpha * all / static_cast<double>(a.sequences));
  return 0;
}

int balanceLossBackward(KernelContext* context, const void* args) {
  const auto& a = *static_cast<const BalanceLossBackwardArgs*>(args);
  if (a.tokens == 0) return 0;
  if (a.sequences < 1 || a.tokens % a.sequences != 0) {
    return badSequences(context, "balanceLossBackward", a.tokens, a.sequences);
  }
  const int64_t length = a.tokens / a.sequences;
  // Gradient of p_te is this times f_e.
  const float factor = static_cast<float>(static_cast<double>(*static_cast<const float*>(a.dloss)) * a.alpha /
                                          static_cast<double>(a.tokens));
  parallelFor(a.tokens, 6 * a.experts, [&](int64_t begin, int64_t end) {
    for (int64_t t = begin; t < end; ++t) {
      const float* scores = static_cast<const float*>(a.scores) + t * a.experts;
      const float* fractions = static_cast<const float*>(a.fractions) + t / length * a.experts;
      float* dlogits = static_cast<float*>(a.dlogits) + t * a.experts;
      const float inner = factor * dot(fractions, scores, a.experts);
      if (a.scoring == kScoreSigmoid) {
        // p = s/Σs: ds = (dp − Σ dp·p)/Σs.
        const float scale = 1.0f / sum(scores, a.experts), mean = inner * scale;
        for (int64_t e = 0; e < a.experts; ++e) {
          dlogits[e] += scores[e] * (1.0f - scores[e]) * ((factor * fractions[e] - mean) * scale);
        }
      } else {
        for (int64_t e = 0; e < a.experts; ++e) dlogits[e] += scores[e] * (factor * fractions[e] - inner);
      }
    }
  });
  return 0;
}

}  // namespace

void registerRouter(Backend& table) {
  table.kernels[kKernel_routerForward] = routerForward;
  table.kernels[kKernel_routerBackward] = routerBackward;
  table.kernels[kKernel_balanceLossForward] = balanceLossForward;
  table.kernels[kKernel_balanceLossBackward] = balanceLossBackward;
}

ANNEAL_CPU_NAMESPACE_END
