// elementwise.h — arguments of kernels that work element by element, with broadcasting where several tensors
// meet. Arithmetic on bf16 is done in f32 and rounded once (to nearest even). At most 6 dimensions; strides
// are in elements, 0 broadcasts.
#pragma once

#include <cstdint>

namespace anneal {

constexpr int64_t kMaxDims = 6;

// y[i] = value, for n elements of any dtype.
struct FillArgs {
  void* y;
  int64_t n, dtype;
  double value;
};

// y[i] = convert(x[i]); f32, bf16, i32 and u8 in any pair. f32→bf16 rounds to nearest even and keeps NaN; to
// i32 truncates towards zero; to u8 gives x != 0.
struct CastArgs {
  const void* x;
  void* y;
  int64_t n, from, to;
};

// dst[dstOffset + Σ i_d·dstStride_d] = src[srcOffset + Σ i_d·srcStride_d] over all indices of shape; any
// dtype. Permutes, slices, concatenates, expands and pads. accumulate = 1 adds (f32, bf16, i32) instead of
// copying.
struct CopyStridedArgs {
  const void* src;
  void* dst;
  int64_t dtype, ndim, srcOffset, dstOffset, accumulate;
  int64_t shape[kMaxDims], srcStride[kMaxDims], dstStride[kMaxDims];
};

// y[i] = beta·y[i] + alpha·s·x[i] in f32, where s = scale[0] (f32) or 1 when scale is null; x and y are f32
// or bf16 each. beta = 0 never reads y. x may be y.
struct AxpyArgs {
  const void* x;
  const void* scale;  // f32 [1] or null
  void* y;
  int64_t n, xDtype, yDtype;
  double alpha, beta;
};

// Operations of unary: y = f(x).
enum UnaryOp : int64_t {
  kNeg = 0,
  kExp,
  kLog,
  kSqrt,
  kRsqrt,
  kTanh,
  kSigmoid,
  kRelu,
  kSilu,
  kGelu,      // exact: x·Φ(x)
  kGeluTanh,  // ½x(1 + tanh(√(2/π)(x + 0.044715x³)))
  kAbs,
  kSquare,
  kReciprocal,
  kSin,
  kCos,
  kSoftplus,    // ln(1 + eˣ), without overflow
  kLogSigmoid,  // −softplus(−x)
  kClamp,       // min(max(x, p0), p1); NaN stays NaN
  kAffine,      // p0·x + p1
  kPowScalar,   // x^p0
  kErf,
  kUnaryOpCount
};

// y[i] = f(x[i]); f32 or bf16 (neg, abs, clamp and affine also i32). x may be y.
struct UnaryArgs {
  const void* x;
  void* y;
  int64_t n, op, dtype;
  double p0, p1;
};

// dx[i] = dy[i]·f'(x[i]), x being the forward input; clamp passes the gradient where p0 <= x <= p1, relu
// where x > 0, abs uses sign(x). dx may be dy.
struct UnaryBackwardArgs {
  const void* x;
  const void* dy;
  void* dx;
  int64_t n, op, dtype;
  double p0, p1;
};

// Operations of binary. Comparisons write u8 (0 or 1); the others write the inputs' dtype.
enum BinaryOp : int64_t {
  kAdd = 0,
  kSub,
  kMul,
  kDiv,
  kPow,
  kMinimum,  // NaN if either is NaN, as in PyTorch
  kMaximum,
  kEqual,
  kNotEqual,
  kLess,
  kLessEqual,
  kGreater,
  kGreaterEqual,
  kLogicalAnd,  // u8 inputs
  kLogicalOr,   // u8 inputs
  kBinaryOpCount
};

// out (contiguous, shape) = a op b, with a and b read through strides. dtype: f32, bf16, i32; u8 for the
// logical ones and equality. out may be a or b when that input is contiguous and of the full shape.
struct BinaryArgs {
  const void* a;
  const void* b;
  void* out;
  int64_t op, dtype, ndim;
  int64_t shape[kMaxDims], aStride[kMaxDims], bStride[kMaxDims];
};

// out (contiguous, shape) = condition ? a : b; condition u8, a, b and out of any one dtype.
struct WhereArgs {
  const void* condition;
  const void* a;
  const void* b;
  void* out;
  int64_t dtype, ndim;
  int64_t shape[kMaxDims], conditionStride[kMaxDims], aStride[kMaxDims], bStride[kMaxDims];
};

}  // namespace anneal
