// projection.h — the output projection of the losses in loss.cu and token_log_probs.cu, a chunk of rows at a
// time: logits in scratch memory, which the caller's row kernel replaces by their gradient dz, and the two
// products that follow. Rows that do not count have dz = 0 and a copy of h that is 0, so that not even NaN
// passes from them. All passes over the same rows multiply such a copy: their logits are the same to the last
// bit.
#pragma once

#include "cuda/device/logits.h"
#include "cuda/host/loss_chunks.h"

namespace anneal::cuda {

// What the Args structs of the three losses share, under the same names.
struct ProjectionArgs {
  const void* h;
  const void* weight;
  const void* targets;
  void* dh;       // null: no gradients
  void* dweight;  // likewise
  int64_t rows, width, vocab, ignoreIndex;
  double beta;
  int64_t chunkRows, dtype;
};

// A chunk of logits as row kernels see it; passed to them by value. Row r begins at logits + r·stride.
struct LogitChunk {
  float* logits;
  int64_t stride;
  Targets targets;
  LogitMap map;
  int kept;  // logits of a row that fit into shared memory
};

// How row kernels are launched: a block per row, `shared` bytes laid out as rowOf() reads them.
struct RowLaunch {
  unsigned threads;
  size_t shared;
};

// Row r of the chunk, for the block that works on it.
ANNEAL_DEVICE LogitRow rowOf(const LogitChunk& chunk, int64_t r) {
  float* copy = reinterpret_cast<float*>(sharedArena<LogitStatistics>() + kWarpSize);
  return {chunk.logits + r * chunk.stride, chunk.targets.vocab, chunk.map, copy, chunk.kept};
}

class Projection {
 public:
  Projection(KernelContext* context, const char* kernel, const ProjectionArgs& args)
      : context_(context), kernel_(kernel), args_(args) {}

  // Checks the arguments and asks for scratch memory, `ownBytes` of it for the caller at own(). Status.
  int open(size_t ownBytes);
  void* own() const { return own_; }
  int64_t chunkRows() const { return chunkRows_; }

  // z = h·weightᵀ for rows begin to begin + count. Status.
  int logits(int64_t begin, int64_t count);
  // The chunk that logits() made last.
  LogitChunk chunk(LogitMap map, RowLaunch launch) const;
  // `keeps`: the row kernel walks over its row twice.
  RowLaunch rowLaunch(bool keeps) const;
  // With the logits replaced by dz (of args.dtype): dh = dz·weight, dweight = beta·dweight + dzᵀ·h. Status.
  int backward();
  // dweight = beta·dweight, when there are no rows at all. Status.
  int scaleWeightGradient();

 private:
  MatmulArgs logitProduct(int64_t count) const;
  MatmulArgs hiddenProduct(int64_t begin, int64_t count) const;
  MatmulArgs weightProduct(int64_t begin, int64_t count) const;
  int product(const MatmulArgs& args);
  bool gradients() const { return args_.dweight != nullptr; }

  KernelContext* context_;
  const char* kernel_;
  ProjectionArgs args_;
  int64_t chunkRows_ = 1, begin_ = 0, count_ = 0;
  void* own_ = nullptr;
  float* logits_ = nullptr;
  void* masked_ = nullptr;  // h of the chunk with zeros in rows that do not count
  void* scratch_ = nullptr;
  size_t scratchBytes_ = 0;
};

}  // namespace anneal::cuda
