// cublas_lt.cc — what native/cuda/cublas_lt.cc makes of products, through the library that ANNEAL_CUBLASLT
// names. Without arguments: the description and whether products are served. With rows "m n k transA transB
// batch sharedB padding alpha beta bias activation dtype outDtype" on standard input and the argument
// "products": the result of cublasLtGemm for each (0 queued, 1 not served, 2 failed) and, where queued, the
// relative error. With "open FILE": what is wrong with it.
#include "cuda/cublas_lt.h"

#include <cmath>
#include <cstdio>
#include <cstring>
#include <iostream>
#include <string>
#include <vector>

#include "cuda/cublas_lt_library.h"

using namespace anneal;
using namespace anneal::cuda;

namespace {

uint32_t seed = 1;
float random() {
  seed = seed * 1664525u + 1013904223u;
  return static_cast<float>(seed >> 8) / 8388608.0f - 1.0f;
}

// Values as a dtype holds them, and the bytes that hold them.
struct Values {
  std::vector<float> values;
  std::vector<unsigned char> bytes;
  int64_t dtype;

  Values(int64_t count, int64_t type) : values(count), bytes(count * dtypeSize(type)), dtype(type) {
    for (int64_t i = 0; i < count; ++i) set(i, random());
  }
  void set(int64_t i, float value) {
    uint32_t bits;
    std::memcpy(&bits, &value, 4);
    if (dtype == kBF16) bits = (bits + 0x7fff + ((bits >> 16) & 1)) & 0xffff0000u;
    std::memcpy(&values[i], &bits, 4);
    const uint32_t stored = dtype == kBF16 ? bits >> 16 : bits;
    std::memcpy(&bytes[i * dtypeSize(dtype)], &stored, dtypeSize(dtype));
  }
  float stored(int64_t i) const {
    uint32_t bits = 0;
    std::memcpy(&bits, &bytes[i * dtypeSize(dtype)], dtypeSize(dtype));
    if (dtype == kBF16) bits <<= 16;
    float value;
    std::memcpy(&value, &bits, 4);
    return value;
  }
};

void product() {
  int64_t m, n, k, transA, transB, batch, sharedB, padding, bias, activation, dtype, outDtype;
  double alpha, beta;
  while (std::cin >> m >> n >> k >> transA >> transB >> batch >> sharedB >> padding >> alpha >> beta >>
         bias >> activation >> dtype >> outDtype) {
    const int64_t lda = (transA != 0 ? m : k) + padding, ldb = (transB != 0 ? k : n) + padding,
                  ldc = n + padding;
    const int64_t aSize = (transA != 0 ? k : m) * lda, bSize = (transB != 0 ? n : k) * ldb, cSize = m * ldc;
    Values a(batch * aSize, dtype), b((sharedB != 0 ? 1 : batch) * bSize, dtype), c(batch * cSize, outDtype),
        biases(n, dtype);
    MatmulArgs args{a.bytes.data(),
                    b.bytes.data(),
                    c.bytes.data(),
                    bias != 0 ? biases.bytes.data() : nullptr,
                    batch,
                    m,
                    n,
                    k,
                    transA,
                    transB,
                    lda,
                    ldb,
                    ldc,
                    aSize,
                    sharedB != 0 ? 0 : bSize,
                    cSize,
                    alpha,
                    beta,
                    dtype,
                    outDtype};
    const GemmEpilogue epilogue{static_cast<GemmActivation>(activation)};
    KernelContext context;
    // Twice: the second call finds the product known, and writes the same.
    const std::vector<unsigned char> before = c.bytes;
    CublasLtResult result = cublasLtGemm(&context, args, nullptr, 0, epilogue, "matmul");
    if (result == CublasLtResult::kQueued) {
      c.bytes = before;
      args.c = c.bytes.data();
      result = cublasLtGemm(&context, args, nullptr, 0, epilogue, "matmul");
    }
    if (result != CublasLtResult::kQueued) {
      std::printf("%d\n", static_cast<int>(result));
      continue;
    }
    double difference = 0, size = 0;
    for (int64_t q = 0; q < batch; ++q) {
      for (int64_t i = 0; i < m; ++i) {
        for (int64_t j = 0; j < ldc; ++j) {
          const int64_t at = q * cSize + i * ldc + j;
          double value = c.values[at];
          if (j < n) {
            double sum = 0;
            for (int64_t p = 0; p < k; ++p) {
              sum +=
                  static_cast<double>(a.values[q * aSize + (transA != 0 ? p * lda + i : i * lda + p)]) *
                  static_cast<double>(
                      b.values[(sharedB != 0 ? 0 : q * bSize) + (transB != 0 ? j * ldb + p : p * ldb + j)]);
            }
            value = alpha * sum + beta * value + (bias != 0 ? static_cast<double>(biases.values[j]) : 0.0);
            if (epilogue.activation == GemmActivation::kGeluTanh) {
              value =
                  0.5 * value * (1.0 + std::tanh(0.7978845608 * (value + 0.044715 * value * value * value)));
            }
          }
          difference += std::pow(static_cast<double>(c.stored(at)) - value, 2);
          size += value * value;
        }
      }
    }
    std::printf("%d %.3g\n", static_cast<int>(result), std::sqrt(difference / size));
  }
}

}  // namespace

int main(int count, char** arguments) {
  const std::string what = count > 1 ? arguments[1] : "";
  if (what == "products") {
    product();
  } else if (what == "open") {
    lt::Library library{};
    std::string path, reason;
    const bool opened = lt::openLibrary(arguments[2], &library, &path, &reason);
    std::printf("%s\n", opened ? lt::versionText(library.GetVersion()).c_str() : reason.c_str());
  } else {
    std::printf("%d %s\n", cublasLtServes() ? 1 : 0, cublasLtDescription());
    KernelContext context;
    MatmulArgs args{};
    args.batch = args.m = args.n = args.k = args.lda = args.ldb = args.ldc = 1;
    if (cublasLtGemm(&context, args, nullptr, 0, {}, "matmul") == CublasLtResult::kFailed)
      std::puts(context.error);
  }
}
