// optimizer.cu — AdamW and SGD over all tensors of a table in one launch (after the one of
// parameter_plan.cu): a thread updates groups of four elements, whose loads (64 bytes, 64 KiB a
// multiprocessor) are in flight together. Arrays that do not begin at multiples of a group, and the last
// elements of a tensor, go one by one.
#include <algorithm>
#include <cmath>
#include <type_traits>

#include "core/dtype.h"
#include "core/philox.h"
#include "cuda/device/parameter_chunks.h"
#include "cuda/device_state.h"
#include "cuda/kernels/parameter_plan.h"
#include "cuda/kernels/table.h"
#include "cuda/launch.h"
#include "cuda/ptx/shared.h"
#include "cuda/ptx/sync.h"
#include "cuda/ptx/vector.h"

namespace anneal::cuda {
namespace {

constexpr int kThreads = 256;
constexpr int kBlocksPerProcessor = 4;  // 64 registers a thread
constexpr int kGroup = 4;               // elements; also the words of one block of random bits
using Four = Vec<float, kGroup>;

// The arrays of a span. parameter: null where theta is the parameter itself.
template <typename Moment>
struct Arrays {
  float* theta;
  bf16* parameter;
  const float* gradient;
  Moment* first;
  Moment* second;
};

ANNEAL_DEVICE float* thetaOf(const ParameterEntry& entry) {
  return static_cast<float*>(entry.parameterDtype == kBF16 ? entry.master : entry.parameter);
}

// Whether groups of four are aligned in each array that is there.
template <typename Moment>
ANNEAL_DEVICE bool groupsAligned(const Arrays<Moment>& a) {
  const auto bits = [](const void* pointer) { return reinterpret_cast<uintptr_t>(pointer); };
  const uintptr_t moments = bits(a.first) | bits(a.second);
  return (bits(a.theta) | bits(a.gradient)) % sizeof(Four) == 0 &&
         moments % sizeof(Vec<Moment, kGroup>) == 0 && bits(a.parameter) % sizeof(Vec<bf16, kGroup>) == 0;
}

// One group in registers.
template <typename Moment>
struct Group {
  Four theta, gradient;
  Vec<Moment, kGroup> first, second;
};

// kFirst, kSecond: whether the moment is read; both are written where their arrays are there.
template <bool kFirst, bool kSecond, typename Moment>
ANNEAL_DEVICE Group<Moment> readGroup(const Arrays<Moment>& a, int i) {
  Group<Moment> group{};
  group.theta = loadOnce<Four>(a.theta + i);
  group.gradient = loadOnce<Four>(a.gradient + i);
  if constexpr (kFirst) group.first = loadOnce<Vec<Moment, kGroup>>(a.first + i);
  if constexpr (kSecond) group.second = loadOnce<Vec<Moment, kGroup>>(a.second + i);
  return group;
}

template <bool kFirst, bool kSecond, typename Moment>
ANNEAL_DEVICE void writeGroup(const Arrays<Moment>& a, int i, const Group<Moment>& group) {
  store(a.theta + i, group.theta);
  if constexpr (kFirst) store(a.first + i, group.first);
  if constexpr (kSecond) store(a.second + i, group.second);
  if (a.parameter != nullptr) {
    const Vec<uint32_t, 2> rounded{packBf16(group.theta.lane[0], group.theta.lane[1]),
                                   packBf16(group.theta.lane[2], group.theta.lane[3])};
    store(a.parameter + i, rounded);
  }
}

// Applies `rule` to the n elements of a span. The rule changes lane l of a group: rule.update(group, l,
// words), where words are the group's random bits. number: of the span's first element, for these bits.
template <typename Rule, typename Moment>
ANNEAL_DEVICE void updateSpan(const Rule& rule, const Arrays<Moment>& a, int n, int64_t number) {
  constexpr bool kFirst = Rule::kMoments > 0, kSecond = Rule::kMoments > 1;
  const int whole = groupsAligned(a) ? n & ~(kGroup - 1) : 0;
#pragma unroll 1
  for (int i = static_cast<int>(threadIdx.x) * kGroup; i < whole; i += kThreads * kGroup) {
    Group<Moment> group = readGroup < kFirst && Rule::kReads, kSecond > (a, i);
    const PhiloxBlock words = rule.words(number + i);
#pragma unroll
    for (int l = 0; l < kGroup; ++l) rule.update(group, l, words);
    writeGroup<kFirst, kSecond>(a, i, group);
  }
#pragma unroll 1
  for (int i = whole + static_cast<int>(threadIdx.x); i < n; i += kThreads) {
    // The element is computed where it would stand in its group.
    Group<Moment> group{};
    const int l = i % kGroup;
    group.theta.lane[0] = a.theta[i];
    group.gradient.lane[0] = a.gradient[i];
    if constexpr (kFirst && Rule::kReads) group.first.lane[0] = a.first[i];
    if constexpr (kSecond) group.second.lane[0] = a.second[i];
    PhiloxBlock words = rule.words(number + i - l);
    words.word[0] =
        l == 0 ? words.word[0] : (l == 1 ? words.word[1] : (l == 2 ? words.word[2] : words.word[3]));
    rule.update(group, 0, words);
    a.theta[i] = group.theta.lane[0];
    if (a.parameter != nullptr) a.parameter[i] = toBf16(group.theta.lane[0]);
    if constexpr (kFirst) a.first[i] = group.first.lane[0];
    if constexpr (kSecond) a.second[i] = group.second.lane[0];
  }
}

// What changes from step to step: read from device memory where the call names some (a graph is launched
// again with the same arguments), else given by the call.
struct Schedule {
  const double* words;  // lr, step; or null
  double lr;
  int64_t step;

  ANNEAL_DEVICE void read() {
    if (words == nullptr) return;
    lr = words[0];
    step = static_cast<int64_t>(words[1]);
  }
};

// base^exponent for an exponent from 0, by squaring: products alone, the same bits wherever it is computed.
ANNEAL_DEVICE double power(double base, int64_t exponent) {
  double result = 1.0;
#pragma unroll 1
  for (; exponent > 0; exponent >>= 1) {
    if (exponent & 1) result *= base;
    base *= base;
  }
  return result;
}

// The constants of one AdamW step: θ ← keep·θ − rate·m/(√v·root + eps), with the bias corrections inside rate
// and root; seed and step for random bits. These stay the same from step to step,
struct AdamSettings {
  float beta1, beta2, rest1, rest2, eps, l2;  // l2: where weight decay applies
  uint64_t seed;
  double decay1, decay2, weightDecay;  // β₁, β₂ and λ of the decoupled decay, for the ones below
};

// and these do not.
struct AdamRates {
  float rate, root, keep;  // keep: where weight decay applies
  uint64_t step;
};

ANNEAL_DEVICE AdamRates adamRates(const AdamSettings& settings, Schedule schedule) {
  schedule.read();
  const double correction1 = 1.0 - power(settings.decay1, schedule.step);
  const double correction2 = 1.0 - power(settings.decay2, schedule.step);
  return {static_cast<float>(schedule.lr / correction1), static_cast<float>(1.0 / sqrt(correction2)),
          static_cast<float>(1.0 - schedule.lr * settings.weightDecay), static_cast<uint64_t>(schedule.step)};
}

// Adds 16 random bits below the ones that bf16 keeps and cuts them off: rounds up with probability equal to
// the lost fraction.
ANNEAL_DEVICE bf16 roundStochastic(float x, uint32_t random16) {
  const uint32_t u = asBits(x);
  const bool nan = (u & 0x7fffffffu) > 0x7f800000u;
  return {static_cast<uint16_t>((nan ? u | 0x00400000u : u + random16) >> 16)};
}

template <bool kStochastic>
struct AdamRule {
  static constexpr int kMoments = 2;
  static constexpr bool kReads = true;
  const AdamSettings& s;
  const AdamRates& now;
  float clip, keep, l2;

  ANNEAL_DEVICE PhiloxBlock words(int64_t number) const {
    if constexpr (kStochastic)
      return philox(s.seed, static_cast<uint64_t>(number) / kGroup, now.step);
    else
      return {};
  }
  template <typename Moment>
  ANNEAL_DEVICE void update(Group<Moment>& group, int l, const PhiloxBlock& words) const {
    const float old = group.theta.lane[l], gradient = clip * group.gradient.lane[l] + l2 * old;
    const float first = s.beta1 * toFloat(group.first.lane[l]) + s.rest1 * gradient;
    const float second = s.beta2 * toFloat(group.second.lane[l]) + s.rest2 * gradient * gradient;
    group.theta.lane[l] = keep * old - now.rate * first / (sqrtf(second) * now.root + s.eps);
    if constexpr (kStochastic && std::is_same_v<Moment, bf16>) {
      group.first.lane[l] = roundStochastic(first, words.word[l] & 0xffffu);
      group.second.lane[l] = roundStochastic(second, words.word[l] >> 16);
    } else {
      group.first.lane[l] = fromFloat<Moment>(first);
      group.second.lane[l] = fromFloat<Moment>(second);
    }
  }
};

// Floor: 30 bytes a parameter (f32 gradient, master and moments, bf16 parameter) or 22 (bf16 moments) ÷
// bandwidth.
template <bool kStochastic>
__global__ void __launch_bounds__(kThreads, kBlocksPerProcessor)
    adamKernel(const ParameterEntry* table, const int32_t* starts, int entries, const float* clip,
               Schedule schedule, AdamSettings settings) {
  const float factor = clip == nullptr ? 1.0f : *clip;
  if (factor < 0.0f) return;
  // In shared memory, because registers are short: one thread's work of less than a microsecond a block.
  AdamRates& now = *sharedArena<AdamRates>();
  if (threadIdx.x == 0) now = adamRates(settings, schedule);
  syncThreads();
  forEachSpan(table, starts, entries, [&](const Span& span) {
    const ParameterEntry& entry = table[span.entry];
    const float keep = entry.decays != 0 ? now.keep : 1.0f, l2 = entry.decays != 0 ? settings.l2 : 0.0f;
    const auto update = [&](auto moment, auto stochastic) {
      using Moment = decltype(moment);
      const Arrays<Moment> arrays{
          thetaOf(entry) + span.first,
          entry.parameterDtype == kBF16 ? static_cast<bf16*>(entry.parameter) + span.first : nullptr,
          static_cast<const float*>(entry.gradient) + span.first,
          static_cast<Moment*>(entry.firstMoment) + span.first,
          static_cast<Moment*>(entry.secondMoment) + span.first};
      updateSpan(AdamRule<decltype(stochastic)::value>{settings, now, factor, keep, l2}, arrays, span.count,
                 span.number);
    };
    if (entry.momentDtype == kBF16)
      update(bf16{}, std::bool_constant<kStochastic>{});
    else
      update(float{}, std::false_type{});
  });
}

// The constants of one SGD step: buffer ← keep·buffer + take·g, θ −= lr·(direct·g + push·buffer).
struct SgdStep {
  float decay, keep, take, lr, direct, push;
};

struct SgdSettings {
  double momentum, dampening, weightDecay;
  int64_t nesterov;
};

ANNEAL_DEVICE SgdStep sgdStepOf(const SgdSettings& settings, const Schedule& schedule) {
  const bool nesterov = settings.nesterov != 0;
  const auto momentum = static_cast<float>(settings.momentum);
  return {static_cast<float>(settings.weightDecay),
          momentum,
          static_cast<float>(1.0 - settings.dampening),
          static_cast<float>(schedule.lr),
          nesterov ? 1.0f : 0.0f,
          nesterov ? momentum : 1.0f};
}

// kMomentum: with a buffer.
template <bool kMomentum>
struct SgdRule {
  static constexpr int kMoments = kMomentum ? 1 : 0;
  static constexpr bool kReads = true;
  const SgdStep& s;
  float clip, decay;
  bool fresh;  // the first step, at which the buffer may hold anything

  ANNEAL_DEVICE PhiloxBlock words(int64_t) const { return {}; }
  template <typename Moment>
  ANNEAL_DEVICE void update(Group<Moment>& group, int l, const PhiloxBlock&) const {
    const float old = group.theta.lane[l], gradient = clip * group.gradient.lane[l] + decay * old;
    float change = gradient;
    if constexpr (kMomentum) {
      const float before = toFloat(group.first.lane[l]);
      const float momentum = fresh ? gradient : s.keep * before + s.take * gradient;
      group.first.lane[l] = fromFloat<Moment>(momentum);
      change = fresh ? (s.direct + s.push) * gradient : s.direct * gradient + s.push * momentum;
    }
    group.theta.lane[l] = old - s.lr * change;
  }
};

// Floor: 12 bytes a parameter, 20 with momentum in f32, 2 more with a bf16 parameter ÷ bandwidth.
template <bool kMomentum>
__global__ void __launch_bounds__(kThreads, kBlocksPerProcessor)
    sgdKernel(const ParameterEntry* table, const int32_t* starts, int entries, const float* clip,
              Schedule schedule, SgdSettings settings) {
  const float factor = clip == nullptr ? 1.0f : *clip;
  if (factor < 0.0f) return;
  schedule.read();
  const SgdStep step = sgdStepOf(settings, schedule);
  const bool fresh = schedule.step == 1;
  forEachSpan(table, starts, entries, [&](const Span& span) {
    const ParameterEntry& entry = table[span.entry];
    const float decay = entry.decays != 0 ? step.decay : 0.0f;
    const auto update = [&](auto moment) {
      using Moment = decltype(moment);
      Moment* buffer = nullptr;
      if constexpr (kMomentum) buffer = static_cast<Moment*>(entry.firstMoment) + span.first;
      const Arrays<Moment> arrays{
          thetaOf(entry) + span.first,
          entry.parameterDtype == kBF16 ? static_cast<bf16*>(entry.parameter) + span.first : nullptr,
          static_cast<const float*>(entry.gradient) + span.first, buffer, nullptr};
      updateSpan(SgdRule<kMomentum>{step, factor, decay, fresh}, arrays, span.count, span.number);
    };
    if (kMomentum && entry.momentDtype == kBF16)
      update(bf16{});
    else
      update(float{});
  });
}

// Plans the chunks in scratch memory and launches `kernel` over them.
template <typename Args, typename Settings>
int overTable(KernelContext* context, const Args& args, TableNeeds needs, double momentum, size_t shared,
              const Settings& settings,
              void (*kernel)(const ParameterEntry*, const int32_t*, int, const float*, Schedule, Settings)) {
  const int64_t entries = args.entries;
  if (args.schedule == nullptr && args.step < 1)
    return fail(context, "%s: step counts from 1, got %lld", std::is_same_v<Args, SgdArgs> ? "sgd" : "adamw",
                static_cast<long long>(args.step));
  if (entries <= 0) return 0;
  auto* starts =
      static_cast<int32_t*>(workspace(context, static_cast<size_t>(entries + 1) * sizeof(int32_t)));
  if (starts == nullptr) return 1;
  if (const int status = planChunks(context, args.table, entries, needs, momentum, starts, nullptr))
    return status;
  const auto blocks = static_cast<unsigned>(kBlocksPerProcessor * processors(context));
  const Schedule schedule{static_cast<const double*>(args.schedule), args.lr, args.step};
  return launch(context, kernel, {blocks, unsigned{kThreads}, shared},
                static_cast<const ParameterEntry*>(args.table), starts, static_cast<int>(entries),
                static_cast<const float*>(args.clip), schedule, settings);
}

int adamw(KernelContext* context, const void* raw) {
  const auto& args = *static_cast<const AdamWArgs*>(raw);
  AdamSettings settings;
  settings.beta1 = static_cast<float>(args.beta1);
  settings.beta2 = static_cast<float>(args.beta2);
  settings.rest1 = static_cast<float>(1.0 - args.beta1);
  settings.rest2 = static_cast<float>(1.0 - args.beta2);
  settings.eps = static_cast<float>(args.eps);
  settings.l2 = args.l2 != 0 ? static_cast<float>(args.weightDecay) : 0.0f;
  settings.seed = static_cast<uint64_t>(args.stochasticSeed);
  settings.decay1 = args.beta1;
  settings.decay2 = args.beta2;
  settings.weightDecay = args.l2 != 0 ? 0.0 : args.weightDecay;
  return overTable(context, args, TableNeeds::kMoments, 0.0, sizeof(AdamRates), settings,
                   args.stochasticSeed != 0 ? adamKernel<true> : adamKernel<false>);
}

int sgd(KernelContext* context, const void* raw) {
  const auto& args = *static_cast<const SgdArgs*>(raw);
  const SgdSettings settings{args.momentum, args.dampening, args.weightDecay, args.nesterov};
  const bool momentum = args.momentum != 0.0;
  return overTable(context, args, momentum ? TableNeeds::kBuffer : TableNeeds::kDtypes, args.momentum, 0,
                   settings, momentum ? sgdKernel<true> : sgdKernel<false>);
}

}  // namespace

void registerOptimizer(Backend& table) {
  table.kernels[kKernel_gradNorm] = gradNorm;
  table.kernels[kKernel_adamw] = adamw;
  table.kernels[kKernel_sgd] = sgd;
}

}  // namespace anneal::cuda
