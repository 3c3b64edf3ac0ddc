// norm.cc — RMSNorm and LayerNorm with a fused residual addition. Each row is read from memory once; its
// later passes hit the first cache. Weight gradients are summed over fixed blocks of rows, whose partial sums
// are added in order.
#include <cmath>
#include <cstring>

#include "core/backend.h"
#include "core/dtype.h"
#include "cpu/elements.h"
#include "cpu/scratch.h"

ANNEAL_CPU_NAMESPACE_BEGIN

namespace {

constexpr int64_t kMostBlocks = 64;  // partial sums of a weight gradient
constexpr int64_t kLeastRowsPerBlock = 16;

// Rows per partial sum; depends on the shape only.
int64_t rowsPerBlock(int64_t rows) {
  const int64_t even = (rows + kMostBlocks - 1) / kMostBlocks;
  return even > kLeastRowsPerBlock ? even : kLeastRowsPerBlock;
}

// out (+)= Σ over blocks of partial [blocks, width], in order of the blocks.
void combineBlocks(const float* partial, int64_t blocks, int64_t width, float* out, bool accumulate) {
  parallelElements(width, blocks, [=](int64_t begin, int64_t end) {
    for (int64_t column = begin; column < end; column += kElementBlock) {
      const int64_t count = end - column < kElementBlock ? end - column : kElementBlock;
      float sum[kElementBlock] = {};
      for (int64_t b = 0; b < blocks; ++b) {
        const float* row = partial + b * width + column;
#pragma omp simd
        for (int64_t i = 0; i < count; ++i) sum[i] += row[i];
      }
      for (int64_t i = 0; i < count; ++i) out[column + i] = accumulate ? out[column + i] + sum[i] : sum[i];
    }
  });
}

// s = x + residual, rounded to T, in `sum`.
template <typename T>
void addRow(const T* x, const T* residual, T* sum, int64_t width) {
#pragma omp simd
  for (int64_t c = 0; c < width; ++c) sum[c] = fromFloat<T>(toFloat(x[c]) + toFloat(residual[c]));
}

template <typename T>
int rmsForward(const RmsNormForwardArgs& args) {
  const int64_t width = args.width;
  const T* weight = static_cast<const T*>(args.weight);
  const float eps = static_cast<float>(args.eps), perWidth = 1.0f / static_cast<float>(width);
  parallelFor(args.rows, 4 * width, [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r) {
      const T* s = static_cast<const T*>(args.x) + r * args.xStride;
      if (args.residual != nullptr) {
        T* sum = static_cast<T*>(args.sum) + r * width;
        addRow(s, static_cast<const T*>(args.residual) + r * width, sum, width);
        s = sum;
      }
      const float squares = laneSum(width, [s](int64_t c) { return toFloat(s[c]) * toFloat(s[c]); });
      const float rstd = 1.0f / sqrtf(squares * perWidth + eps);
      static_cast<float*>(args.rstd)[r] = rstd;
      T* y = static_cast<T*>(args.y) + r * width;
#pragma omp simd
      for (int64_t c = 0; c < width; ++c) {
        y[c] = fromFloat<T>(toFloat(weight[c]) * toFloat(fromFloat<T>(toFloat(s[c]) * rstd)));
      }
    }
  });
  return 0;
}

template <typename T>
int rmsBackward(const RmsNormBackwardArgs& args) {
  const int64_t rows = args.rows, width = args.width;
  const T* weight = static_cast<const T*>(args.weight);
  const float perWidth = 1.0f / static_cast<float>(width);
  const int64_t height = rowsPerBlock(rows), blocks = (rows + height - 1) / height;
  float* partial = nullptr;
  if (args.dweight != nullptr) {
    partial = static_cast<float*>(threadScratch(0, static_cast<size_t>(blocks * width) * sizeof(float)));
  }
  parallelFor(blocks, 8 * height * width, [&](int64_t begin, int64_t end) {
    for (int64_t b = begin; b < end; ++b) {
      float* dweight = partial == nullptr ? nullptr : partial + b * width;
      if (dweight != nullptr) std::memset(dweight, 0, static_cast<size_t>(width) * sizeof(float));
      for (int64_t r = b * height; r < rows && r < (b + 1) * height; ++r) {
        const T* dy = static_cast<const T*>(args.dy) + r * width;
        const T* dsum = args.dsum == nullptr ? nullptr : static_cast<const T*>(args.dsum) + r * width;
        const T* x = static_cast<const T*>(args.x) + r * args.xStride;
        T* dx = static_cast<T*>(args.dx) + r * args.dxStride;
        const float rstd = static_cast<const float*>(args.rstd)[r];
        const float dot = laneSum(
            width, [=](int64_t c) { return toFloat(dy[c]) * toFloat(weight[c]) * (toFloat(x[c]) * rstd); });
        const float mean = dot * perWidth;
        if (dweight != nullptr) {
#pragma omp simd
          for (int64_t c = 0; c < width; ++c) dweight[c] += toFloat(dy[c]) * (toFloat(x[c]) * rstd);
        }
        if (dsum != nullptr) {
#pragma omp simd
          for (int64_t c = 0; c < width; ++c) {
            const float u = toFloat(dy[c]) * toFloat(weight[c]), normal = toFloat(x[c]) * rstd;
            dx[c] = fromFloat<T>(rstd * (u - normal * mean) + toFloat(dsum[c]));
          }
        } else {
#pragma omp simd
          for (int64_t c = 0; c < width; ++c) {
            const float u = toFloat(dy[c]) * toFloat(weight[c]), normal = toFloat(x[c]) * rstd;
            dx[c] = fromFloat<T>(rstd * (u - normal * mean));
          }
        }
      }
    }
  });
  if (args.dweight != nullptr) {
    combineBlocks(partial, blocks, width, static_cast<float*>(args.dweight), args.accumulate != 0);
  }
  return 0;
}

template <typename T>
int layerForward(const LayerNormForwardArgs& args) {
  const int64_t width = args.width;
  const T* weight = static_cast<const T*>(args.weight);
  const T* bias = static_cast<const T*>(args.bias);
  const float eps = static_cast<float>(args.eps), perWidth = 1.0f / static_cast<float>(width);
  parallelFor(args.rows, 6 * width, [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r) {
      const T* s = static_cast<const T*>(args.x) + r * width;
      if (args.residual != nullptr) {
        T* sum = static_cast<T*>(args.sum) + r * width;
        addRow(s, static_cast<const T*>(args.residual) + r * width, sum, width);
        s = sum;
      }
      const float mean = perWidth * laneSum(width, [s](int64_t c) { return toFloat(s[c]); });
      const float variance = perWidth * laneSum(width, [s, mean](int64_t c) {
                               const float centred = toFloat(s[c]) - mean;
                               return centred * centred;
                             });
      const float rstd = 1.0f / sqrtf(variance + eps);
      static_cast<float*>(args.mean)[r] = mean;
      static_cast<float*>(args.rstd)[r] = rstd;
      T* y = static_cast<T*>(args.y) + r * width;
      if (bias != nullptr) {
#pragma omp simd
        for (int64_t c = 0; c < width; ++c) {
          y[c] = fromFloat<T>(toFloat(weight[c]) * ((toFloat(s[c]) - mean) * rstd) + toFloat(bias[c]));
        }
      } else {
#pragma omp simd
        for (int64_t c = 0; c < width; ++c)
          y[c] = fromFloat<T>(toFloat(weight[c]) * ((toFloat(s[c]) - mean) * rstd));
      }
    }
  });
  return 0;
}

template <typename T>
int layerBackward(const LayerNormBackwardArgs& args) {
  const int64_t rows = args.rows, width = args.width;
  const T* weight = static_cast<const T*>(args.weight);
  const float perWidth = 1.0f / static_cast<float>(width);
  const int64_t height = rowsPerBlock(rows), blocks = (rows + height - 1) / height;
  float* weightSums = nullptr;
  float* biasSums = nullptr;
  if (args.dweight != nullptr) {
    weightSums = static_cast<float*>(threadScratch(0, static_cast<size_t>(blocks * width) * sizeof(float)));
  }
  if (args.dbias != nullptr) {
    biasSums = static_cast<float*>(threadScratch(1, static_cast<size_t>(blocks * width) * sizeof(float)));
  }
  parallelFor(blocks, 10 * height * width, [&](int64_t begin, int64_t end) {
    for (int64_t b = begin; b < end; ++b) {
      float* dweight = weightSums == nullptr ? nullptr : weightSums + b * width;
      float* dbias = biasSums == nullptr ? nullptr : biasSums + b * width;
      if (dweight != nullptr) std::memset(dweight, 0, static_cast<size_t>(width) * sizeof(float));
      if (dbias != nullptr) std::memset(dbias, 0, static_cast<size_t>(width) * sizeof(float));
      for (int64_t r = b * height; r < rows && r < (b + 1) * height; ++r) {
        const T* dy = static_cast<const T*>(args.dy) + r * width;
        const T* dsum = args.dsum == nullptr ? nullptr : static_cast<const T*>(args.dsum) + r * width;
        const T* x = static_cast<const T*>(args.x) + r * width;
        T* dx = static_cast<T*>(args.dx) + r * width;
        const float mean = static_cast<const float*>(args.mean)[r],
                    rstd = static_cast<const float*>(args.rstd)[r];
        const auto upstream = [=](int64_t c) { return toFloat(dy[c]) * toFloat(weight[c]); };
        const auto normal = [=](int64_t c) { return (toFloat(x[c]) - mean) * rstd; };
        const float meanU = perWidth * laneSum(width, upstream);
        const float meanUX = perWidth * laneSum(width, [=](int64_t c) { return upstream(c) * normal(c); });
        if (dweight != nullptr) {
#pragma omp simd
          for (int64_t c = 0; c < width; ++c) dweight[c] += toFloat(dy[c]) * normal(c);
        }
        if (dbias != nullptr) {
#pragma omp simd
          for (int64_t c = 0; c < width; ++c) dbias[c] += toFloat(dy[c]);
        }
        if (dsum != nullptr) {
#pragma omp simd
          for (int64_t c = 0; c < width; ++c) {
            dx[c] = fromFloat<T>(rstd * (upstream(c) - meanU - normal(c) * meanUX) + toFloat(dsum[c]));
          }
        } else {
#pragma omp simd
          for (int64_t c = 0; c < width; ++c) {
            dx[c] = fromFloat<T>(rstd * (upstream(c) - meanU - normal(c) * meanUX));
          }
        }
      }
    }
  });
  if (args.dweight != nullptr) {
    combineBlocks(weightSums, blocks, width, static_cast<float*>(args.dweight), args.accumulate != 0);
  }
  if (args.dbias != nullptr) {
    combineBlocks(biasSums, blocks, width, static_cast<float*>(args.dbias), args.accumulate != 0);
  }
  return 0;
}

int failDtype(KernelContext* context, const char* kernel, int64_t dtype) {
  return fail(context, "%s: expected f32 or bf16, got %s", kernel, dtypeName(dtype));
}

int rmsNormForward(KernelContext* context, const void* raw) {
  const RmsNormForwardArgs& args = *static_cast<const RmsNormForwardArgs*>(raw);
  if (args.residual != nullptr && args.sum == nullptr) {
    return fail(context, "rmsNormForward: with a residual, sum must be given");
  }
  if (args.dtype == kF32) return rmsForward<float>(args);
  if (args.dtype == kBF16) return rmsForward<bf16>(args);
  return failDtype(context, "rmsNormForward", args.dtype);
}

int rmsNormBackward(KernelContext* context, const void* raw) {
  const RmsNormBackwardArgs& args = *static_cast<const RmsNormBackwardArgs*>(raw);
  if (args.dtype == kF32) return rmsBackward<float>(args);
  if (args.dtype == kBF16) return rmsBackward<bf16>(args);
  return failDtype(context, "rmsNormBackward", args.dtype);
}

int layerNormForward(KernelContext* context, const void* raw) {
  const LayerNormForwardArgs& args = *static_cast<const LayerNormForwardArgs*>(raw);
  if (args.residual != nullptr && args.sum == nullptr) {
    return fail(context, "layerNormForward: with a residual, sum must be given");
  }
  if (args.dtype == kF32) return layerForward<float>(args);
  if (args.dtype == kBF16) return layerForward<bf16>(args);
  return failDtype(context, "layerNormForward", args.dtype);
}

int layerNormBackward(KernelContext* context, const void* raw) {
  const LayerNormBackwardArgs& args = *static_cast<const LayerNormBackwardArgs*>(raw);
  if (args.dtype == kF32) return layerBackward<float>(args);
  if (args.dtype == kBF16) return layerBackward<bf16>(args);
  return failDtype(context, "layerNormBackward", args.dtype);
}

}  // namespace

void registerNorm(Backend& table) {
  table.kernels[kKernel_rmsNormForward] = rmsNormForward;
  table.kernels[kKernel_rmsNormBackward] = rmsNormBackward;
  table.kernels[kKernel_layerNormForward] = layerNormForward;
  table.kernels[kKernel_layerNormBackward] = layerNormBackward;
}

ANNEAL_CPU_NAMESPACE_END
