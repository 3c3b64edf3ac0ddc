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

// The constants of one AdamW step: θ ← keep·θ − rate·m/(√v·root + eps), with the bias corrections inside rate
// and root; seed and step for random bits.
struct AdamStep {
  float beta1, beta2, rest1, rest2, rate, root, eps, keep, l2;  // keep and l2: where weight decay applies
  uint64_t seed, step;
};

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
  const AdamStep& s;
  float clip, keep, l2;

  ANNEAL_DEVICE PhiloxBlock words(int64_t number) const {
    if constexpr (kStochastic)
      return philox(s.seed, static_cast<uint64_t>(number) / kGroup, s.step);
    else
      return {};
  }
  template <typename Moment>
  ANNEAL_DEVICE void update(Group<Moment>& group, int l, const PhiloxBlock& words) const {
    const float old = group.theta.lane[l], gradient = clip * group.gradient.lane[l] + l2 * old;
    const float first = s.beta1 * toFloat(group.first.lane[l]) + s.rest1 * gradient;
    const float second = s.beta2 * toFloat(group.second.lane[l]) + s.rest2 * gradient * gradient;
    group.theta.lane[l] = keep * old - s.rate * first / (sqrtf(second) * s.root + s.eps);
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
               AdamStep step) {
  const float factor = clip == nullptr ? 1.0f : *clip;
  if (factor < 0.0f) return;
  forEachSpan(table, starts, entries, [&](const Span& span) {
    const ParameterEntry& entry = table[span.entry];
    const float keep = entry.decays != 0 ? step.keep : 1.0f, l2 = entry.decays != 0 ? step.l2 : 0.0f;
    const auto update = [&](auto moment, auto stochastic) {
      using Moment = decltype(moment);
      const Arrays<Moment> arrays{
          thetaOf(entry) + span.first,
          entry.parameterDtype == kBF16 ? static_cast<bf16*>(entry.parameter) + span.first : nullptr,
          static_cast<const float*>(entry.gradient) + span.first,
          static_cast<Moment*>(entry.firstMoment) + span.first,
          static_cast<Moment*>(entry.secondMoment) + span.first};
      updateSpan(AdamRule<decltype(stochastic)::value>{step, factor, keep, l2}, arrays, span.count,
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

enum class Buffer : int { kNone, kFresh, kKept };

template <Buffer kBuffer>
struct SgdRule {
  static constexpr int kMoments = kBuffer == Buffer::kNone ? 0 : 1;
  // The first step does not read the buffer, which may hold anything.
  static constexpr bool kReads = kBuffer == Buffer::kKept;
  const SgdStep& s;
  float clip, decay;

  ANNEAL_DEVICE PhiloxBlock words(int64_t) const { return {}; }
  template <typename Moment>
  ANNEAL_DEVICE void update(Group<Moment>& group, int l, const PhiloxBlock&) const {
    const float old = group.theta.lane[l], gradient = clip * group.gradient.lane[l] + decay * old;
    float change = gradient;
    if constexpr (kBuffer == Buffer::kFresh) {
      group.first.lane[l] = fromFloat<Moment>(gradient);
      change = (s.direct + s.push) * gradient;
    } else if constexpr (kBuffer == Buffer::kKept) {
      const float momentum = s.keep * toFloat(group.first.lane[l]) + s.take * gradient;
      group.first.lane[l] = fromFloat<Moment>(momentum);
      change = s.direct * gradient + s.push * momentum;
    }
    group.theta.lane[l] = old - s.lr * change;
  }
};

// Floor: 12 bytes a parameter, 20 with momentum in f32, 2 more with a bf16 parameter ÷ bandwidth.
template <Buffer kBuffer>
__global__ void __launch_bounds__(kThreads, kBlocksPerProcessor)
    sgdKernel(const ParameterEntry* table, const int32_t* starts, int entries, const float* clip,
              SgdStep step) {
  const float factor = clip == nullptr ? 1.0f : *clip;
  if (factor < 0.0f) return;
  forEachSpan(table, starts, entries, [&](const Span& span) {
    const ParameterEntry& entry = table[span.entry];
    const float decay = entry.decays != 0 ? step.decay : 0.0f;
    const auto update = [&](auto moment) {
      using Moment = decltype(moment);
      Moment* buffer = nullptr;
      if constexpr (kBuffer != Buffer::kNone) buffer = static_cast<Moment*>(entry.firstMoment) + span.first;
      const Arrays<Moment> arrays{
          thetaOf(entry) + span.first,
          entry.parameterDtype == kBF16 ? static_cast<bf16*>(entry.parameter) + span.first : nullptr,
          static_cast<const float*>(entry.gradient) + span.first, buffer, nullptr};
      updateSpan(SgdRule<kBuffer>{step, factor, decay}, arrays, span.count, span.number);
    };
    if (kBuffer != Buffer::kNone && entry.momentDtype == kBF16)
      update(bf16{});
    else
      update(float{});
  });
}

// Plans the chunks in scratch memory and launches `kernel` over them.
template <typename Step>
int overTable(KernelContext* context, const void* table, const void* clip, int64_t entries, TableNeeds needs,
              double momentum, const Step& step,
              void (*kernel)(const ParameterEntry*, const int32_t*, int, const float*, Step)) {
  if (entries <= 0) return 0;
  auto* starts =
      static_cast<int32_t*>(workspace(context, static_cast<size_t>(entries + 1) * sizeof(int32_t)));
  if (starts == nullptr) return 1;
  if (const int status = planChunks(context, table, entries, needs, momentum, starts, nullptr)) return status;
  const auto blocks = static_cast<unsigned>(kBlocksPerProcessor * processors(context));
  return launch(context, kernel, {blocks, unsigned{kThreads}}, static_cast<const ParameterEntry*>(table),
                starts, static_cast<int>(entries), static_cast<const float*>(clip), step);
}

int adamw(KernelContext* context, const void* raw) {
  const auto& args = *static_cast<const AdamWArgs*>(raw);
  if (args.step < 1)
    return fail(context, "adamw: step counts from 1, got %lld", static_cast<long long>(args.step));
  const double t = static_cast<double>(args.step);
  const double correction1 = 1.0 - std::pow(args.beta1, t), correction2 = 1.0 - std::pow(args.beta2, t);
  AdamStep step;
  step.beta1 = static_cast<float>(args.beta1);
  step.beta2 = static_cast<float>(args.beta2);
  step.rest1 = static_cast<float>(1.0 - args.beta1);
  step.rest2 = static_cast<float>(1.0 - args.beta2);
  step.rate = static_cast<float>(args.lr / correction1);
  step.root = static_cast<float>(1.0 / std::sqrt(correction2));
  step.eps = static_cast<float>(args.eps);
  step.keep = args.l2 != 0 ? 1.0f : static_cast<float>(1.0 - args.lr * args.weightDecay);
  step.l2 = args.l2 != 0 ? static_cast<float>(args.weightDecay) : 0.0f;
  step.seed = static_cast<uint64_t>(args.stochasticSeed);
  step.step = static_cast<uint64_t>(args.step);
  return overTable(context, args.table, args.clip, args.entries, TableNeeds::kMoments, 0.0, step,
                   args.stochasticSeed != 0 ? adamKernel<true> : adamKernel<false>);
}

int sgd(KernelContext* context, const void* raw) {
  const auto& args = *static_cast<const SgdArgs*>(raw);
  if (args.step < 1)
    return fail(context, "sgd: step counts from 1, got %lld", static_cast<long long>(args.step));
  const bool momentum = args.momentum != 0.0;
  SgdStep step;
  step.decay = static_cast<float>(args.weightDecay);
  step.keep = static_cast<float>(args.momentum);
  step.take = static_cast<float>(1.0 - args.dampening);
  step.lr = static_cast<float>(args.lr);
  step.direct = args.nesterov != 0 ? 1.0f : 0.0f;
  step.push = args.nesterov != 0 ? static_cast<float>(args.momentum) : 1.0f;
  const auto kernel = !momentum        ? sgdKernel<Buffer::kNone>
                      : args.step == 1 ? sgdKernel<Buffer::kFresh>
                                       : sgdKernel<Buffer::kKept>;
  return overTable(context, args.table, args.clip, args.entries,
                   momentum ? TableNeeds::kBuffer : TableNeeds::kDtypes, args.momentum, step, kernel);
}

}  // namespace

void registerOptimizer(Backend& table) {
  table.kernels[kKernel_gradNorm] = gradNorm;
  table.kernels[kKernel_adamw] = adamw;
  table.kernels[kKernel_sgd] = sgd;
}

}  // namespace anneal::cuda
