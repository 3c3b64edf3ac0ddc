// gemm.h — dense and grouped matrix products on the device, for the kernels matmul and groupedMatmul and for
// every other kernel that multiplies matrices on its way. The product runs in cuBLASLt where that was found,
// else in the project's own kernels; both take the same arguments and accumulate in f32.
#pragma once

#include <cstddef>
#include <cstdint>

#include "core/backend.h"

namespace anneal::cuda {

// Applied to alpha·op(a)·op(b) + beta·c + bias, in f32, before the one rounding to outDtype. Same functions
// as UnaryOp's.
enum class GemmActivation : int { kNone, kRelu, kGelu, kGeluTanh, kSilu };

struct GemmEpilogue {
  GemmActivation activation = GemmActivation::kNone;
};

// Bytes of device memory that gemm(context, args, …) can use on a device of that many multiprocessors:
// partial sums of a k that is split, or the library's workspace. 0 when it needs none.
size_t gemmScratchBytes(const MatmulArgs& args, int64_t processors);

// Queues c = activation(alpha·op(a)·op(b) + beta·c + bias); every field as core/kernels/matmul.h says, any
// sizes, strides and alignments. `scratch` is device memory aligned to 256 bytes, free again for whatever is
// queued later; with fewer than gemmScratchBytes (null and 0, say) the product is the same but for the order
// of its sums. The result depends on the arguments, the scratch's size and the device alone, bit for bit; in
// the own kernels, where k is not split, a row of c depends neither on m nor on the other rows. Status 0,
// else context->error names `what`.
int gemm(KernelContext* context, const MatmulArgs& args, void* scratch, size_t scratchBytes,
         const GemmEpilogue& epilogue = {}, const char* what = "matmul");

// What gemm() uses in this process, for doctor: "cuBLASLt <version> (<path>)", or "own kernels (<why>)".
const char* gemmLibrary();

}  // namespace anneal::cuda
