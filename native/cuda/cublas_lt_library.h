// cublas_lt_library.h — finds and opens cuBLASLt in this process, and says what came of it. ANNEAL_CUBLASLT
// names its file; without it, the system's library path and the CUDA toolkit are asked for version 13,
// then 12. ANNEAL_GEMM=own keeps it closed, ANNEAL_GEMM=cublaslt makes its absence an error.
#pragma once

#include <string>

#include "cuda/cublas_lt_abi.h"

namespace anneal::cuda::lt {

enum class Choice { kAny, kOwn, kCublasLt, kUnknown };

struct Search {
  Choice choice;
  Library library;  // all set where `found`
  bool found;
  size_t version;      // 10,000·major + 100·minor + patch
  std::string path;    // of the file
  std::string reason;  // why there is none
};

// The value of ANNEAL_GEMM (null: not set).
Choice choiceOf(const char* value);

// Opens one file, or a name that the dynamic linker finds. False: *reason says why.
bool openLibrary(const std::string& path, Library* library, std::string* foundPath, std::string* reason);

// Looked for once in a process, at the first call.
const Search& search();

// "13.1.2" of 130102.
std::string versionText(size_t version);

}  // namespace anneal::cuda::lt
