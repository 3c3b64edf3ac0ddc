// cublas_lt_library.cc — opens cuBLASLt by dlopen; nothing links against it.
#include "cuda/cublas_lt_library.h"

#include <dlfcn.h>

#include <cstdlib>
#include <cstring>
#include <vector>

namespace anneal::cuda::lt {
namespace {

constexpr size_t kLeastVersion = 120000;
constexpr const char* kFiles[] = {"libcublasLt.so.13", "libcublasLt.so.12"};

// Where the toolkit is, by its own variables and its usual place.
std::vector<std::string> toolkitFolders() {
  std::vector<std::string> folders;
  for (const char* variable : {"CUDA_HOME", "CUDA_PATH"}) {
    const char* value = std::getenv(variable);
    if (value != nullptr && value[0] != 0) folders.push_back(std::string(value) + "/lib64/");
  }
  folders.push_back("/usr/local/cuda/lib64/");
  return folders;
}

std::string linkerMessage() {
  const char* message = dlerror();
  return message == nullptr ? "unknown reason" : message;
}

Search find() {
  Search result{};
  const char* wanted = std::getenv("ANNEAL_GEMM");
  result.choice = choiceOf(wanted);
  if (result.choice == Choice::kOwn) {
    result.reason = "ANNEAL_GEMM is own";
    return result;
  }
  if (result.choice == Choice::kUnknown) {
    result.reason = std::string("ANNEAL_GEMM is \"") + wanted + "\"; expected \"own\" or \"cublaslt\"";
    return result;
  }
  std::vector<std::string> places;
  const char* given = std::getenv("ANNEAL_CUBLASLT");
  if (given != nullptr && given[0] != 0) {
    places.push_back(given);
  } else {
    for (const char* file : kFiles) places.push_back(file);
    for (const std::string& folder : toolkitFolders()) {
      for (const char* file : kFiles) places.push_back(folder + file);
    }
  }
  std::string first;
  for (const std::string& place : places) {
    std::string reason;
    if (openLibrary(place, &result.library, &result.path, &reason)) {
      result.version = result.library.GetVersion();
      if (result.version >= kLeastVersion) {
        result.found = true;
        return result;
      }
      reason = result.path + " is version " + versionText(result.version) + "; 12 or later is needed";
    }
    // The system's answer for the newest version says more than that for a guessed folder.
    if (first.empty()) first = reason;
  }
  result.reason = first + (given == nullptr || given[0] == 0 ? "; ANNEAL_CUBLASLT may name the file" : "");
  return result;
}

}  // namespace

Choice choiceOf(const char* value) {
  if (value == nullptr || value[0] == 0) return Choice::kAny;
  if (std::strcmp(value, "own") == 0) return Choice::kOwn;
  return std::strcmp(value, "cublaslt") == 0 ? Choice::kCublasLt : Choice::kUnknown;
}

bool openLibrary(const std::string& path, Library* library, std::string* foundPath, std::string* reason) {
  void* opened = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (opened == nullptr) {
    *reason = linkerMessage();
    return false;
  }
  const char* missing = nullptr;
#define ANNEAL_CUBLASLT_RESOLVE(name, result, ...)                                              \
  if (missing == nullptr) {                                                                     \
    library->name = reinterpret_cast<decltype(library->name)>(dlsym(opened, "cublasLt" #name)); \
    if (library->name == nullptr) missing = "cublasLt" #name;                                   \
  }
  ANNEAL_CUBLASLT_FUNCTIONS(ANNEAL_CUBLASLT_RESOLVE)
#undef ANNEAL_CUBLASLT_RESOLVE
  if (missing != nullptr) {
    *reason = path + " has no function " + missing;
    dlclose(opened);
    return false;
  }
  Dl_info info{};
  const bool known =
      dladdr(reinterpret_cast<void*>(library->GetVersion), &info) != 0 && info.dli_fname != nullptr;
  *foundPath = known ? info.dli_fname : path;
  return true;
}

const Search& search() {
  static const Search result = find();
  return result;
}

std::string versionText(size_t version) {
  return std::to_string(version / 10000) + "." + std::to_string(version / 100 % 100) + "." +
         std::to_string(version % 100);
}

}  // namespace anneal::cuda::lt
