// graph.cu — a recorded run of kernel calls as a CUDA graph: noted once from the stream, then launched with
// one call to the driver.
#include <memory>

#include "cuda/runtime.h"

namespace anneal::cuda {
namespace {

struct GraphDeleter {
  void operator()(cudaGraph_t graph) const { cudaGraphDestroy(graph); }
};

}  // namespace

int beginCapture(KernelContext* context) {
  if (const int status = useDevice(context)) return status;
  Device& device = deviceOf(context);
  // ANNEAL_CUDA_BLOCKING waits for every kernel, to name the one that fails.
  if (device.blocking) return kDeclined;
  return guarded(context, [&] {
    auto graph = std::make_unique<Graph>();
    graph->workspaceMoves = device.workspaceMoves;
    // Of this thread alone: others may go on allocating memory and waiting for reads.
    const cudaError_t error = cudaStreamBeginCapture(device.stream, cudaStreamCaptureModeThreadLocal);
    if (const int status = check(context, error, "beginning the capture of a graph")) return status;
    device.capturing = graph.release();
    return 0;
  });
}

int endCapture(KernelContext* context, void** taken) {
  if (const int status = useDevice(context)) return status;
  Device& device = deviceOf(context);
  std::unique_ptr<Graph> graph(device.capturing);
  device.capturing = nullptr;
  cudaGraph_t noted = nullptr;
  const cudaError_t error = cudaStreamEndCapture(device.stream, &noted);
  const std::unique_ptr<CUgraph_st, GraphDeleter> owned(noted);
  if (taken == nullptr) {
    cudaGetLastError();
    return 0;
  }
  if (const int status = check(context, error, "capturing a graph of kernel calls")) return status;
  const cudaError_t made = cudaGraphInstantiate(&graph->executable, noted, 0);
  if (const int status = check(context, made, "making a graph of kernel calls")) return status;
  *taken = graph.release();
  return 0;
}

int launchGraph(KernelContext* context, void* taken) {
  if (const int status = useDevice(context)) return status;
  Device& device = deviceOf(context);
  const Graph& graph = *static_cast<Graph*>(taken);
  if (graph.workspaceMoves != device.workspaceMoves) return kDeclined;
  // An error that comes late is blamed on one of these.
  for (uint32_t kernel = 0; kernel < kKernelCount; ++kernel) {
    if (graph.holds[kernel]) device.log.add(kernel);
  }
  return check(context, cudaGraphLaunch(graph.executable, device.stream), "launching a graph");
}

void releaseGraph(KernelContext* context, void* taken) {
  if (taken == nullptr || useDevice(context) != 0) return;
  const std::unique_ptr<Graph> graph(static_cast<Graph*>(taken));
  // A graph that still runs is destroyed by the driver when it is done.
  cudaGraphExecDestroy(graph->executable);
  cudaGetLastError();
}

}  // namespace anneal::cuda
