// launch.h — the one way to start a kernel: launch(context, kernel, shape, arguments…). A grid without blocks
// is legal and does nothing.
#pragma once

#include <cstddef>
#include <utility>

#include "core/backend.h"
#include "cuda/ptx/target.h"

#if defined(ANNEAL_SIMT)
#include "simt/launch.h"
#endif

namespace anneal::cuda {

struct LaunchShape {
  dim3 grid;
  dim3 block;
  size_t shared = 0;     // bytes of dynamic shared memory
  unsigned cluster = 1;  // blocks of a cluster along x; more than 1 needs compute capability 9.0
};

#if defined(ANNEAL_SIMT)
template <typename... P, typename... A>
int launch(KernelContext* context, void (*kernel)(P...), const LaunchShape& shape, A... arguments) {
  if (shape.grid.x == 0 || shape.grid.y == 0 || shape.grid.z == 0) return 0;
  const auto body = [=] { kernel(static_cast<P>(arguments)...); };
  using Body = decltype(body);
  return simt::launch(context, shape.grid, shape.block, shape.shared, shape.cluster, &body, sizeof(Body),
                      [](const void* parameters) { (*static_cast<Body*>(parameters))(); });
}
#else
// Raises the kernel's limit of dynamic shared memory where the default of 48 KiB is too small.
int allowSharedMemory(KernelContext* context, const void* kernel, size_t bytes);
int launchFailure(KernelContext* context, cudaError_t error, const LaunchShape& shape);

template <typename... P, typename... A>
int launch(KernelContext* context, void (*kernel)(P...), const LaunchShape& shape, A... arguments) {
  if (shape.grid.x == 0 || shape.grid.y == 0 || shape.grid.z == 0) return 0;
  if (shape.shared > 48 * 1024) {
    if (const int status = allowSharedMemory(context, reinterpret_cast<const void*>(kernel), shape.shared))
      return status;
  }
  cudaLaunchConfig_t config{};
  config.gridDim = shape.grid;
  config.blockDim = shape.block;
  config.dynamicSmemBytes = shape.shared;
  config.stream = static_cast<cudaStream_t>(context->stream);
  cudaLaunchAttribute cluster{};
  cluster.id = cudaLaunchAttributeClusterDimension;
  cluster.val.clusterDim.x = shape.cluster;
  cluster.val.clusterDim.y = 1;
  cluster.val.clusterDim.z = 1;
  config.attrs = &cluster;
  config.numAttrs = shape.cluster > 1 ? 1 : 0;
  const cudaError_t error = cudaLaunchKernelEx(&config, kernel, static_cast<P>(arguments)...);
  return error == cudaSuccess ? 0 : launchFailure(context, error, shape);
}
#endif

}  // namespace anneal::cuda
