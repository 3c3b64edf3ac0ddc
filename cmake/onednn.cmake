# Defines the interface target anneal_onednn: oneDNN of the system where it is installed, else compiled from source.
# The headers and the library are looked for directly, because the CMake package that Debian installs also asks for
# OpenCL, which the CPU backend has no use for.

add_library(anneal_onednn INTERFACE)

if(NOT ANNEAL_ONEDNN MATCHES "^(auto|system|fetch)$")
  message(FATAL_ERROR "ANNEAL_ONEDNN is \"${ANNEAL_ONEDNN}\"; expected auto, system or fetch.")
endif()

if(NOT ANNEAL_ONEDNN STREQUAL "fetch")
  find_path(ANNEAL_ONEDNN_INCLUDE NAMES oneapi/dnnl/dnnl.hpp PATHS /opt/homebrew/include)
  find_library(ANNEAL_ONEDNN_LIBRARY NAMES dnnl PATHS /opt/homebrew/lib)
  mark_as_advanced(ANNEAL_ONEDNN_INCLUDE ANNEAL_ONEDNN_LIBRARY)
endif()

if(ANNEAL_ONEDNN_INCLUDE AND ANNEAL_ONEDNN_LIBRARY AND NOT ANNEAL_ONEDNN STREQUAL "fetch")
  file(STRINGS "${ANNEAL_ONEDNN_INCLUDE}/oneapi/dnnl/dnnl_version.h" anneal_onednn_lines
       REGEX "#define DNNL_VERSION_(MAJOR|MINOR|PATCH) +[0-9]+")
  string(REGEX MATCHALL "[0-9]+" anneal_onednn_version "${anneal_onednn_lines}")
  list(JOIN anneal_onednn_version "." anneal_onednn_version)
  if(anneal_onednn_version VERSION_LESS 2.5)
    message(FATAL_ERROR "oneDNN ${anneal_onednn_version} in ${ANNEAL_ONEDNN_INCLUDE} is too old; 2.5 or newer is needed. "
                        "Install a newer one, or configure with -DANNEAL_ONEDNN=fetch to compile it from source.")
  endif()
  message(STATUS "oneDNN ${anneal_onednn_version} of the system: ${ANNEAL_ONEDNN_LIBRARY}")
  target_include_directories(anneal_onednn SYSTEM INTERFACE "${ANNEAL_ONEDNN_INCLUDE}")
  target_link_libraries(anneal_onednn INTERFACE "${ANNEAL_ONEDNN_LIBRARY}")
  return()
endif()

if(ANNEAL_ONEDNN STREQUAL "system")
  message(FATAL_ERROR "oneDNN was not found on this system. Install it (Debian and Ubuntu: apt-get install libdnnl-dev; "
                      "Fedora: dnf install onednn-devel; Arch: pacman -S onednn; macOS: brew install onednn), "
                      "or configure with -DANNEAL_ONEDNN=fetch to compile it from source.")
endif()

# The commit of release v2.6.3; only the primitives that the CPU backend calls are compiled.
set(anneal_onednn_commit 92ac40077b3b5816c7b78cdf39a988599929f0e9)
message(STATUS "oneDNN is not installed: downloading and compiling it (about a quarter of an hour on two cores). "
               "To avoid this, install it with the system's package manager and build again.")
include(FetchContent)
set(DNNL_LIBRARY_TYPE STATIC CACHE STRING "" FORCE)
set(DNNL_CPU_RUNTIME OMP CACHE STRING "" FORCE)
set(DNNL_GPU_RUNTIME NONE CACHE STRING "" FORCE)
set(DNNL_BUILD_TESTS OFF CACHE BOOL "" FORCE)
set(DNNL_BUILD_EXAMPLES OFF CACHE BOOL "" FORCE)
set(DNNL_ENABLE_PRIMITIVE "MATMUL;INNER_PRODUCT;REORDER" CACHE STRING "" FORCE)
# That release declares a minimum CMake below what CMake 4 still accepts.
set(CMAKE_POLICY_VERSION_MINIMUM 3.5)
set(CMAKE_POLICY_DEFAULT_CMP0063 NEW)
set(FETCHCONTENT_QUIET OFF)
FetchContent_Declare(onednn URL "https://github.com/oneapi-src/oneDNN/archive/${anneal_onednn_commit}.tar.gz")
enable_language(C)
FetchContent_MakeAvailable(onednn)
target_link_libraries(anneal_onednn INTERFACE dnnl)
