// projection.cu — host side of the chunked output projection, and the copy of h without the rows that do not
// count.
#include "core/dtype.h"
#include "cuda/device_state.h"
#include "cuda/gemm.h"
#include "cuda/kernels/projection.h"
#include "cuda/launch.h"

namespace anneal::cuda {
namespace {

constexpr unsigned kThreads = 256;
// Row kernels count logits in int, up to a round of a block past the end.
constexpr int64_t kLargestVocabulary = INT32_MAX - 65536;
constexpr size_t kRowScratch = kWarpSize * sizeof(LogitStatistics);

size_t aligned(size_t bytes) { return (bytes + 255) / 256 * 256; }

// y[r] = x[r], or 0 where row r of the chunk does not count; rows of `words` words, a block a row. Floor: 2 ·
// bytes of a chunk of h, of which rows that do not count are not read.
template <typename Word>
__global__ void __launch_bounds__(kThreads)
    maskRowsKernel(const Word* x, Word* y, int64_t words, Targets targets) {
  const int64_t row = blockIdx.x;
  const bool counts = targets.of(row) >= 0;
  x += row * words;
  y += row * words;
#pragma unroll 4
  for (int64_t i = threadIdx.x; i < words; i += kThreads) store(y + i, counts ? load<Word>(x + i) : Word{});
}

}  // namespace

MatmulArgs Projection::logitProduct(int64_t count) const {
  MatmulArgs product{};
  product.a = masked_;
  product.b = args_.weight;
  product.c = logits_;
  product.batch = 1;
  product.m = count;
  product.n = args_.vocab;
  product.k = product.lda = product.ldb = args_.width;
  product.transB = 1;
  product.ldc = logitStride(args_.vocab);
  product.alpha = 1.0;
  product.dtype = args_.dtype;
  product.outDtype = kF32;
  return product;
}

MatmulArgs Projection::hiddenProduct(int64_t begin, int64_t count) const {
  const auto size = static_cast<int64_t>(dtypeSize(args_.dtype));
  MatmulArgs product{};
  product.a = logits_;
  product.b = args_.weight;
  product.c = static_cast<char*>(args_.dh) + begin * args_.width * size;
  product.batch = 1;
  product.m = count;
  product.n = product.ldb = product.ldc = args_.width;
  product.k = args_.vocab;
  product.lda = logitStride(args_.vocab) * 4 / size;
  product.alpha = 1.0;
  product.dtype = product.outDtype = args_.dtype;
  return product;
}

MatmulArgs Projection::weightProduct(int64_t begin, int64_t count) const {
  MatmulArgs product{};
  product.a = logits_;
  product.b = masked_;
  product.c = args_.dweight;
  product.batch = 1;
  product.m = args_.vocab;
  product.n = product.ldb = product.ldc = args_.width;
  product.k = count;
  product.transA = 1;
  product.lda = logitStride(args_.vocab) * 4 / static_cast<int64_t>(dtypeSize(args_.dtype));
  product.alpha = 1.0;
  product.beta = begin == 0 ? args_.beta : 1.0;
  product.dtype = args_.dtype;
  product.outDtype = kF32;
  return product;
}

int Projection::open(size_t ownBytes) {
  if (args_.dtype != kF32 && args_.dtype != kBF16)
    return fail(context_, "%s: h and weight are %s; expected f32 or bf16", kernel_, dtypeName(args_.dtype));
  if (args_.vocab >= kLargestVocabulary)
    return fail(context_, "%s: a vocabulary of %lld is too large; expected less than %lld", kernel_,
                static_cast<long long>(args_.vocab), static_cast<long long>(kLargestVocabulary));
  const size_t rowBytes = static_cast<size_t>(args_.width) * dtypeSize(args_.dtype);
  chunkRows_ = lossChunkRows(args_.rows, args_.vocab, static_cast<int64_t>(rowBytes), args_.chunkRows);
  const auto rows = static_cast<size_t>(chunkRows_);
  const size_t logitBytes = aligned(rows * static_cast<size_t>(logitStride(args_.vocab)) * sizeof(float));
  const size_t maskedBytes = aligned(rows * rowBytes);
  const int64_t multiprocessors = processors(context_);
  // The last chunk may be shorter, and a product with fewer rows may want more.
  for (const int64_t count : {chunkRows_, args_.rows % chunkRows_}) {
    if (count == 0) continue;
    scratchBytes_ = std::max(scratchBytes_, gemmScratchBytes(logitProduct(count), multiprocessors));
    if (!gradients()) continue;
    scratchBytes_ = std::max({scratchBytes_, gemmScratchBytes(hiddenProduct(0, count), multiprocessors),
                              gemmScratchBytes(weightProduct(0, count), multiprocessors)});
  }
  const size_t bytes = aligned(ownBytes) + logitBytes + maskedBytes + scratchBytes_;
  auto* memory = static_cast<char*>(workspace(context_, bytes));
  if (memory == nullptr) return 1;
  own_ = memory;
  logits_ = reinterpret_cast<float*>(memory + aligned(ownBytes));
  masked_ = reinterpret_cast<char*>(logits_) + logitBytes;
  scratch_ = static_cast<char*>(masked_) + maskedBytes;
  return 0;
}

int Projection::product(const MatmulArgs& args) {
  return gemm(context_, args, scratch_, scratchBytes_, {}, kernel_);
}

RowLaunch Projection::rowLaunch(bool keeps) const {
  const int64_t most = stateOf(context_).facts.sharedBytes - static_cast<int64_t>(kRowScratch);
  const LogitBlock block = logitBlock(args_.vocab, most);
  return {block.threads, kRowScratch + (keeps ? static_cast<size_t>(block.kept) * sizeof(float) : 0)};
}

LogitChunk Projection::chunk(LogitMap map, RowLaunch launch) const {
  const auto vocab = static_cast<int32_t>(args_.vocab);
  const Targets targets{static_cast<const int32_t*>(args_.targets), begin_, args_.ignoreIndex, vocab};
  const auto kept = static_cast<int>((launch.shared - kRowScratch) / sizeof(float));
  return {logits_, logitStride(args_.vocab), targets, map, kept};
}

int Projection::logits(int64_t begin, int64_t count) {
  begin_ = begin;
  count_ = count;
  const int64_t bytes = args_.width * static_cast<int64_t>(dtypeSize(args_.dtype));
  const char* h = static_cast<const char*>(args_.h) + begin * bytes;
  const Targets targets = chunk({}, rowLaunch(false)).targets;
  const auto blocks = static_cast<unsigned>(count);
  const auto mask = [&]<typename Word>(Word) {
    return launch(context_, maskRowsKernel<Word>, {blocks, kThreads}, reinterpret_cast<const Word*>(h),
                  static_cast<Word*>(masked_), bytes / static_cast<int64_t>(sizeof(Word)), targets);
  };
  const bool whole = bytes % 16 == 0 && reinterpret_cast<uintptr_t>(h) % 16 == 0;
  if (const int status = whole ? mask(Vec<uint32_t, 4>{}) : mask(Vec<uint16_t, 1>{})) return status;
  return product(logitProduct(count));
}

int Projection::backward() {
  if (const int status = product(hiddenProduct(begin_, count_))) return status;
  return product(weightProduct(begin_, count_));
}

int Projection::scaleWeightGradient() { return product(weightProduct(0, 0)); }

}  // namespace anneal::cuda
