// embedding.cu — rows of a table by id, and the sum of gradients into those rows. The gradient sorts the ids
// on the device (stable, so that positions ascend within an id), sums runs of equal ids chunk by chunk, then
// joins the runs that cross chunks: an id that fills the batch is shared by as many threads as ids that
// differ.
#include "cuda/device_state.h"
#include "cuda/host/embedding.h"
#include "cuda/host/grid.h"
#include "cuda/kernels/sort.h"
#include "cuda/kernels/table.h"
#include "cuda/launch.h"
#include "cuda/ptx/shared.h"
#include "cuda/ptx/vector.h"

namespace anneal::cuda {
namespace {

// A row is `units` accesses of type V. Floor: bytes of the rows twice ÷ bandwidth.
template <typename V>
__global__ void __launch_bounds__(kEmbeddingThreads)
    forwardKernel(const int32_t* ids, const V* weight, V* out, int64_t tokens, int64_t units, int64_t vocab,
                  unsigned lanes, FaultReporter reporter) {
  constexpr int kFlight = 4;
  const int64_t t = int64_t{blockIdx.x} * (kEmbeddingThreads / lanes) + threadIdx.x / lanes;
  const unsigned lane = threadIdx.x % lanes;
  if (t >= tokens) return;
  const int64_t id = ids[t];
  if (id < 0 || id >= vocab) {
    if (lane == 0) reportFault(reporter, kFaultId, t, id, vocab);
    return;
  }
  const V* from = weight + id * units;
  V* to = out + t * units;
  for (int64_t u = lane; u < units; u += kFlight * int64_t{lanes}) {
    V held[kFlight];
    for (int k = 0; k < kFlight; ++k) {
      if (u + k * int64_t{lanes} < units) held[k] = load<V>(from + u + k * int64_t{lanes});
    }
    for (int k = 0; k < kFlight; ++k) {
      if (u + k * int64_t{lanes} < units) store(to + u + k * int64_t{lanes}, held[k]);
    }
  }
}

// Pairs (id, position); an id outside becomes `vocab`, which sorts last. Floor: a launch.
__global__ void __launch_bounds__(kEmbeddingThreads)
    keysKernel(const int32_t* ids, Pair* pairs, int64_t tokens, int64_t vocab, FaultReporter reporter) {
  for (int64_t t = globalIndex(); t < tokens; t += globalStride()) {
    const int64_t id = ids[t];
    const bool bad = id < 0 || id >= vocab;
    if (bad) reportFault(reporter, kFaultId, t, id, vocab);
    store(pairs + t, Pair{{static_cast<uint32_t>(bad ? vocab : id), static_cast<uint32_t>(t)}});
  }
}

// The sorted pairs and the table that their runs are summed into. A run that began in an earlier chunk is
// summed into the chunk's row 0 of partial [chunks, 2, width], one that began here and goes on behind the
// chunk into its row 1.
struct Runs {
  const Pair* pairs;
  float* partial;
  float* dweight;
  int64_t tokens, width, vocab, chunk, chunks;
  bool accumulate;

  ANNEAL_DEVICE uint32_t keyAt(int64_t position) const { return pairs[position].lane[0]; }
};

// A row's floats, as many as one access or a few of them move.
template <int vec>
ANNEAL_DEVICE void writeFloats(float* to, const float (&value)[vec], bool accumulate) {
  constexpr int kPart = vec < 4 ? vec : 4;
  using Part = Vec<float, kPart>;
  for (int p = 0; p < vec; p += kPart) {
    Part part;
    for (int l = 0; l < kPart; ++l) part.lane[l] = value[p + l];
    if (accumulate) {
      const Part old = load<Part>(to + p);
      for (int l = 0; l < kPart; ++l) part.lane[l] = old.lane[l] + part.lane[l];
    }
    store(to + p, part);
  }
}

// Sums vec columns of one chunk, several rows in flight. Floor: bytes of dy, of the rows written, and 8·width
// bytes a chunk for runs that cross, ÷ bandwidth.
template <typename T, int vec>
__global__ void __launch_bounds__(kEmbeddingThreads) sumRunsKernel(const T* dy, Runs runs, unsigned lanes) {
  constexpr int kFlight = 4;
  using Vector = Vec<T, vec>;
  const int64_t c = int64_t{blockIdx.x} * (kEmbeddingThreads / lanes) + threadIdx.x / lanes;
  const int64_t column = (int64_t{blockIdx.y} * lanes + threadIdx.x % lanes) * vec;
  if (c >= runs.chunks || column >= runs.width) return;
  const int64_t begin = c * runs.chunk,
                end = runs.tokens < begin + runs.chunk ? runs.tokens : begin + runs.chunk;
  uint32_t key = runs.keyAt(begin);
  bool carried = begin > 0 && runs.keyAt(begin - 1) == key;
  float sum[vec] = {};
  for (int64_t p = begin; p < end; p += kFlight) {
    Pair held[kFlight];
    Vector row[kFlight];
    for (int k = 0; k < kFlight; ++k) held[k] = load<Pair>(runs.pairs + (p + k < end ? p + k : p));
    for (int k = 0; k < kFlight; ++k) row[k] = loadOnce<Vector>(dy + held[k].lane[1] * runs.width + column);
    for (int k = 0; k < kFlight; ++k) {
      if (p + k >= end) break;
      if (held[k].lane[0] != key) {
        if (carried)
          writeFloats(runs.partial + 2 * c * runs.width + column, sum, false);
        else
          writeFloats(runs.dweight + key * runs.width + column, sum, runs.accumulate);
        carried = false;
        key = held[k].lane[0];
        for (int l = 0; l < vec; ++l) sum[l] = 0.0f;
      }
      for (int l = 0; l < vec; ++l) sum[l] += toFloat(row[k].lane[l]);
    }
  }
  const bool goesOn = end < runs.tokens && runs.keyAt(end) == key;
  if (carried || goesOn)
    writeFloats(runs.partial + (2 * c + (carried ? 0 : 1)) * runs.width + column, sum, false);
  else if (key < runs.vocab)
    writeFloats(runs.dweight + key * runs.width + column, sum, runs.accumulate);
}

// The last chunk that holds a part of the run of `key`, which goes on behind chunk c: steps that double, then
// halve.
ANNEAL_DEVICE int64_t lastChunkOf(const Runs& runs, int64_t c, uint32_t key) {
  const auto reaches = [&](int64_t chunk) {
    return chunk < runs.chunks && runs.keyAt(chunk * runs.chunk) == key;
  };
  int64_t step = 1;
  while (reaches(c + 2 * step)) step *= 2;
  int64_t last = c + step;
  for (; step > 0; step /= 2) {
    if (reaches(last + step)) last += step;
  }
  return last;
}

constexpr unsigned kJoinLanes = 32, kJoinTeams = kEmbeddingThreads / kJoinLanes;

// A block a chunk and kJoinLanes·vec columns; it works if a run begins in the chunk and goes on behind it.
// Each team sums an equal range of the run's chunks, the teams' sums are added in order. Floor: 4·width bytes
// a chunk ÷ bandwidth.
template <int vec>
__global__ void __launch_bounds__(kEmbeddingThreads) joinRunsKernel(Runs runs) {
  const int64_t c = blockIdx.x, begin = c * runs.chunk, end = begin + runs.chunk;
  if (end >= runs.tokens) return;
  const uint32_t key = runs.keyAt(end);
  if (key >= runs.vocab || runs.keyAt(end - 1) != key) return;
  if (begin > 0 && runs.keyAt(begin - 1) == key) return;
  using Vector = Vec<float, vec>;
  const unsigned lane = threadIdx.x % kJoinLanes, team = threadIdx.x / kJoinLanes;
  const int64_t column = (int64_t{blockIdx.y} * kJoinLanes + lane) * vec;
  const int64_t parts = lastChunkOf(runs, c, key) - c, each = (parts + kJoinTeams - 1) / kJoinTeams;
  const int64_t from = c + 1 + team * each, limit = c + 1 + parts,
                to = limit < from + each ? limit : from + each;
  float sum[vec] = {};
  Vector* sums = sharedArena<Vector>();
  if (column < runs.width) {
    const float* rows = runs.partial + column;
    if (team == 0) {
      const Vector part = load<Vector>(rows + (2 * c + 1) * runs.width);
      for (int l = 0; l < vec; ++l) sum[l] = part.lane[l];
    }
    for (int64_t chunk = from; chunk < to; ++chunk) {
      const Vector part = load<Vector>(rows + 2 * chunk * runs.width);
      for (int l = 0; l < vec; ++l) sum[l] += part.lane[l];
    }
    Vector mine;
    for (int l = 0; l < vec; ++l) mine.lane[l] = sum[l];
    sums[threadIdx.x] = mine;
  }
  syncThreads();
  if (team != 0 || column >= runs.width) return;
  for (unsigned other = 1; other < kJoinTeams; ++other) {
    const Vector part = sums[other * kJoinLanes + lane];
    for (int l = 0; l < vec; ++l) sum[l] += part.lane[l];
  }
  writeFloats(runs.dweight + key * runs.width + column, sum, runs.accumulate);
}

bool aligned16(const void* pointer) { return reinterpret_cast<uintptr_t>(pointer) % 16 == 0; }

template <typename V>
int forwardOf(KernelContext* context, const EmbeddingForwardArgs& args, int64_t units) {
  const unsigned lanes = embeddingLanes(units, 4);
  const unsigned blocks = static_cast<unsigned>(divideUp(args.tokens, kEmbeddingThreads / lanes));
  return launch(context, forwardKernel<V>, {blocks, kEmbeddingThreads}, static_cast<const int32_t*>(args.ids),
                static_cast<const V*>(args.weight), static_cast<V*>(args.out), args.tokens, units, args.vocab,
                lanes, faultReporter(context));
}

int embeddingForward(KernelContext* context, const void* raw) {
  const auto& args = *static_cast<const EmbeddingForwardArgs*>(raw);
  if (args.dtype != kF32 && args.dtype != kBF16) {
    return fail(context, "embeddingForward: expected f32 or bf16, got %s", dtypeName(args.dtype));
  }
  const int64_t bytes = args.width * static_cast<int64_t>(dtypeSize(args.dtype));
  if (bytes % 16 == 0 && aligned16(args.weight) && aligned16(args.out)) {
    return forwardOf<Vec<uint32_t, 4>>(context, args, bytes / 16);
  }
  if (args.dtype == kF32) return forwardOf<uint32_t>(context, args, args.width);
  return forwardOf<uint16_t>(context, args, args.width);
}

template <typename T, int vec>
int sumRuns(KernelContext* context, const EmbeddingBackwardArgs& args, const Runs& runs) {
  const int64_t units = divideUp(args.width, vec);
  const unsigned lanes = embeddingLanes(units, 1);
  const dim3 grid(static_cast<unsigned>(divideUp(runs.chunks, kEmbeddingThreads / lanes)),
                  static_cast<unsigned>(divideUp(units, lanes)));
  return launch(context, sumRunsKernel<T, vec>, {grid, kEmbeddingThreads}, static_cast<const T*>(args.dy),
                runs, lanes);
}

template <int vec>
int joinRuns(KernelContext* context, const Runs& runs) {
  const dim3 grid(static_cast<unsigned>(runs.chunks),
                  static_cast<unsigned>(divideUp(runs.width, kJoinLanes * vec)));
  return launch(context, joinRunsKernel<vec>,
                {grid, kEmbeddingThreads, kEmbeddingThreads * vec * sizeof(float)}, runs);
}

template <typename T>
int addRows(KernelContext* context, const EmbeddingBackwardArgs& args) {
  const int64_t tokens = args.tokens, width = args.width;
  if (args.accumulate == 0) {
    const size_t bytes = static_cast<size_t>(args.vocab * width) * sizeof(float);
    if (const int status = setBytes(context, args.dweight, 0, bytes)) return status;
  }
  if (tokens == 0) return 0;
  const SortPlan plan = planSort(tokens, args.vocab + 1);
  const int64_t chunk = embeddingChunk(tokens), chunks = divideUp(tokens, chunk);
  // pairs [tokens], spare [tokens], counters, partial [chunks, 2, width]; each starts at whole 256 bytes.
  const auto whole = [](size_t bytes) { return (bytes + 255) / 256 * 256; };
  const size_t pairBytes = whole(static_cast<size_t>(tokens) * sizeof(Pair)),
               countBytes = whole(plan.countBytes);
  const size_t partialBytes = static_cast<size_t>(2 * chunks * width) * sizeof(float);
  auto* scratch = static_cast<unsigned char*>(workspace(context, 2 * pairBytes + countBytes + partialBytes));
  if (scratch == nullptr) return 1;
  Pair* pairs = reinterpret_cast<Pair*>(scratch);
  Pair* spare = reinterpret_cast<Pair*>(scratch + pairBytes);
  auto* counters = reinterpret_cast<uint32_t*>(scratch + 2 * pairBytes);
  auto* partial = reinterpret_cast<float*>(scratch + 2 * pairBytes + countBytes);
  const unsigned blocks = gridFor(tokens, kEmbeddingThreads, processors(context));
  int status = launch(context, keysKernel, {blocks, kEmbeddingThreads}, static_cast<const int32_t*>(args.ids),
                      pairs, tokens, args.vocab, faultReporter(context));
  if (status != 0 || width == 0) return status;
  Pair* sorted = nullptr;
  if ((status = sortPairs(context, plan, pairs, spare, counters, tokens, &sorted))) return status;
  const Runs runs{sorted, partial, static_cast<float*>(args.dweight),
                  tokens, width,   args.vocab,
                  chunk,  chunks,  args.accumulate != 0};
  constexpr int kVec = kLanes16<T>;
  const bool vectors = aligned16(args.dy) && aligned16(args.dweight);
  status = vectors && width % kVec == 0 ? sumRuns<T, kVec>(context, args, runs)
                                        : sumRuns<T, 1>(context, args, runs);
  if (status != 0) return status;
  return vectors && width % 4 == 0 ? joinRuns<4>(context, runs) : joinRuns<1>(context, runs);
}

int embeddingBackward(KernelContext* context, const void* raw) {
  const auto& args = *static_cast<const EmbeddingBackwardArgs*>(raw);
  if (args.dtype == kF32) return addRows<float>(context, args);
  if (args.dtype == kBF16) return addRows<bf16>(context, args);
  return fail(context, "embeddingBackward: expected f32 or bf16, got %s", dtypeName(args.dtype));
}

}  // namespace

void registerEmbedding(Backend& table) {
  table.kernels[kKernel_embeddingForward] = embeddingForward;
  table.kernels[kKernel_embeddingBackward] = embeddingBackward;
}

}  // namespace anneal::cuda
