# Finds nvcc and sees that it works. Sets ANNEAL_CUDA_READY, and where that is OFF, ANNEAL_CUDA_PROBLEM: a sentence.
include(CheckLanguage)

set(ANNEAL_CUDA_LEAST 12.8)
set(ANNEAL_CUDA_READY OFF)
set(ANNEAL_CUDA_PROBLEM "")

# The toolkit's installer puts nvcc where PATH does not lead.
if(NOT CMAKE_CUDA_COMPILER AND NOT DEFINED ENV{CUDACXX})
  find_program(ANNEAL_NVCC nvcc PATHS /usr/local/cuda/bin)
  mark_as_advanced(ANNEAL_NVCC)
  if(ANNEAL_NVCC)
    set(ENV{CUDACXX} "${ANNEAL_NVCC}")
  endif()
endif()

if(NOT CMAKE_CUDA_COMPILER AND NOT DEFINED ENV{CUDACXX})
  set(ANNEAL_CUDA_PROBLEM "nvcc was found neither on PATH nor in /usr/local/cuda/bin")
else()
  # The targets are named by native/cuda/CMakeLists.txt.
  set(CMAKE_CUDA_ARCHITECTURES OFF)
  if(NOT CMAKE_CUDA_COMPILER_LOADED)
    check_language(CUDA)
  endif()
  if(CMAKE_CUDA_COMPILER)
    enable_language(CUDA)
    if(CMAKE_CUDA_COMPILER_VERSION VERSION_LESS ANNEAL_CUDA_LEAST)
      set(ANNEAL_CUDA_PROBLEM
          "nvcc is version ${CMAKE_CUDA_COMPILER_VERSION}; expected ${ANNEAL_CUDA_LEAST} or later")
    else()
      set(ANNEAL_CUDA_READY ON)
    endif()
  else()
    set(ANNEAL_CUDA_PROBLEM "nvcc was found, but does not compile with this C++ compiler")
  endif()
endif()
