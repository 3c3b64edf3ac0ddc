// cublas_lt_abi.cc — compiles where native/cuda/cublas_lt_abi.h agrees with cuBLASLt's own header, and not
// elsewhere.
#include "cuda/cublas_lt_abi.h"

#include <cublasLt.h>

#include <type_traits>

namespace lt = anneal::cuda::lt;

#define SAME(ours, theirs) static_assert(static_cast<long long>(lt::ours) == static_cast<long long>(theirs))
SAME(kSuccess, CUBLAS_STATUS_SUCCESS);
SAME(kR32F, CUDA_R_32F);
SAME(kR16BF, CUDA_R_16BF);
SAME(kCompute32F, CUBLAS_COMPUTE_32F);
SAME(kOperationN, CUBLAS_OP_N);
SAME(kOperationT, CUBLAS_OP_T);
SAME(kDescTransA, CUBLASLT_MATMUL_DESC_TRANSA);
SAME(kDescTransB, CUBLASLT_MATMUL_DESC_TRANSB);
SAME(kDescEpilogue, CUBLASLT_MATMUL_DESC_EPILOGUE);
SAME(kDescBiasPointer, CUBLASLT_MATMUL_DESC_BIAS_POINTER);
SAME(kDescBiasType, CUBLASLT_MATMUL_DESC_BIAS_DATA_TYPE);
SAME(kEpilogueDefault, CUBLASLT_EPILOGUE_DEFAULT);
SAME(kEpilogueBias, CUBLASLT_EPILOGUE_BIAS);
SAME(kEpilogueGelu, CUBLASLT_EPILOGUE_GELU);
SAME(kEpilogueGeluBias, CUBLASLT_EPILOGUE_GELU_BIAS);
SAME(kLayoutBatchCount, CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT);
SAME(kLayoutBatchStride, CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET);
SAME(kPreferenceWorkspace, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES);
SAME(kPreferenceReductions, CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK);
SAME(kPreferenceAlignmentA, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES);
SAME(kPreferenceAlignmentB, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES);
SAME(kPreferenceAlignmentC, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES);
SAME(kPreferenceAlignmentD, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES);
SAME(kReductionComputeType, CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE);
#undef SAME

static_assert(sizeof(lt::Algo) == sizeof(cublasLtMatmulAlgo_t));
static_assert(sizeof(lt::HeuristicResult) == sizeof(cublasLtMatmulHeuristicResult_t));
static_assert(offsetof(lt::HeuristicResult, workspaceSize) ==
              offsetof(cublasLtMatmulHeuristicResult_t, workspaceSize));
static_assert(offsetof(lt::HeuristicResult, state) == offsetof(cublasLtMatmulHeuristicResult_t, state));
static_assert(offsetof(lt::HeuristicResult, wavesCount) ==
              offsetof(cublasLtMatmulHeuristicResult_t, wavesCount));

// A parameter of ours stands for theirs: the same type, an enumeration for its integer, any pointer for any
// pointer.
template <typename Ours, typename Theirs>
constexpr bool standsFor = std::is_same_v<Ours, Theirs> ||
                           (std::is_pointer_v<Ours> && std::is_pointer_v<Theirs>) ||
                           (std::is_same_v<Ours, int> && std::is_enum_v<Theirs> &&
                            sizeof(Theirs) == sizeof(int));

template <typename Ours, typename Theirs>
struct Agrees : std::false_type {};
template <typename R1, typename... P1, typename R2, typename... P2>
struct Agrees<R1 (*)(P1...), R2 (*)(P2...)> {
  static constexpr bool all() {
    if constexpr (sizeof...(P1) != sizeof...(P2)) {
      return false;
    } else {
      return standsFor<R1, R2> && (standsFor<P1, P2> && ...);
    }
  }
  static constexpr bool value = all();
};

#define FUNCTION(name, ...) \
  static_assert(Agrees<decltype(lt::Library::name), decltype(&cublasLt##name)>::value, "cublasLt" #name);
ANNEAL_CUBLASLT_FUNCTIONS(FUNCTION)
