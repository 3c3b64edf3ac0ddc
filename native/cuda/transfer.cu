// transfer.cu — copies between host and device over pinned memory. Neither direction makes the executor wait,
// but for a full ring on the way in and for more than kStagedBytes on the way out.
#include <algorithm>
#include <chrono>
#include <cstring>

#include "cuda/launch.h"
#include "cuda/runtime.h"

namespace anneal::cuda {
namespace {

// Reads of up to this many bytes go through one ticket's staging memory, larger ones are copied in such
// pieces.
constexpr size_t kStagedBytes = size_t{4} << 20;
constexpr size_t kLeastStaging = 4096;
constexpr size_t kAlignment = 256;
// The record stands before the staging memory of a ticket, in the same allocation.
constexpr size_t kFaultBytes = 256;
constexpr size_t kFaultWords = sizeof(Fault) / sizeof(uint64_t);
static_assert(sizeof(Fault) == kFaultWords * sizeof(uint64_t) && sizeof(Fault) <= kFaultBytes);

// Short waits spin, for the time that the sleep and wake of a thread would take.
constexpr std::chrono::microseconds kSpin{50};

// record ← fault, fault ← 0: one launch instead of a copy and a fill. record: pinned host memory. Floor: one
// launch.
__global__ void __launch_bounds__(kWarpSize) takeFaultKernel(uint64_t* fault, uint64_t* record) {
  const unsigned i = threadIdx.x;
  if (i >= kFaultWords) return;
  record[i] = fault[i];
  fault[i] = 0;
}

cudaError_t wait(cudaEvent_t event) {
  const auto until = std::chrono::steady_clock::now() + kSpin;
  cudaError_t error = cudaErrorNotReady;
  while (error == cudaErrorNotReady && std::chrono::steady_clock::now() < until)
    error = cudaEventQuery(event);
  // "Not ready" stays behind in the thread as its last error.
  cudaGetLastError();
  return error == cudaErrorNotReady ? cudaEventSynchronize(event) : error;
}

cudaError_t flush(Ticket* ticket) {
  if (ticket->bytes == 0) return cudaSuccess;
  const cudaError_t error = wait(ticket->done);
  if (error == cudaSuccess) std::memcpy(ticket->destination, ticket->staging, ticket->bytes);
  ticket->bytes = 0;
  return error;
}

cudaError_t beginPiece(Ticket* ticket, cudaStream_t stream, char* destination, const char* source,
                       size_t bytes) {
  const cudaError_t error = cudaMemcpyAsync(ticket->staging, source, bytes, cudaMemcpyDeviceToHost, stream);
  if (error != cudaSuccess) return error;
  ticket->destination = destination;
  ticket->bytes = bytes;
  return cudaEventRecord(ticket->done, stream);
}

// All of a large read but its last piece, which is left in `last`; the two tickets' staging memory is used in
// turn.
cudaError_t copyPieces(cudaStream_t stream, char* destination, const char* source, size_t bytes,
                       Ticket* other, Ticket* last) {
  const size_t pieces = (bytes + kStagedBytes - 1) / kStagedBytes;
  for (size_t piece = 0; piece < pieces; ++piece) {
    Ticket* ticket = (pieces - 1 - piece) % 2 == 0 ? last : other;
    if (const cudaError_t error = flush(ticket)) return error;
    const size_t begin = piece * kStagedBytes;
    if (const cudaError_t error = beginPiece(ticket, stream, destination + begin, source + begin,
                                             std::min(kStagedBytes, bytes - begin)))
      return error;
  }
  return flush(other);
}

}  // namespace

cudaError_t Uploads::open() {
  if (const cudaError_t error =
          cudaHostAlloc(reinterpret_cast<void**>(&ring_), kBytes, cudaHostAllocPortable))
    return error;
  pieces_.resize(kPieces, {0, nullptr});
  return cudaSuccess;
}

void Uploads::close() {
  for (const Piece& piece : pieces_) {
    if (piece.copied != nullptr) cudaEventDestroy(piece.copied);
  }
  cudaFreeHost(ring_);
}

// Finds room for a piece, waiting for the oldest ones where there is none. begin: its place in the ring.
cudaError_t Uploads::reserve(size_t bytes, size_t* begin) {
  for (;;) {
    if (count_ == 0) head_ = 0;
    const size_t tail = count_ == 0 ? kBytes : pieces_[first_].begin;
    if (count_ < kPieces) {
      const bool wrapped = count_ != 0 && head_ <= tail;
      if (!wrapped && head_ + bytes > kBytes && bytes <= tail && count_ != 0) {
        *begin = 0;
        return cudaSuccess;
      }
      if (head_ + bytes <= (wrapped ? tail : kBytes)) {
        *begin = head_;
        return cudaSuccess;
      }
    }
    if (const cudaError_t error = wait(pieces_[first_].copied)) return error;
    first_ = (first_ + 1) % kPieces;
    count_ -= 1;
  }
}

cudaError_t Uploads::copy(cudaStream_t stream, void* destination, const void* source, size_t bytes) {
  if (ring_ == nullptr) {
    if (const cudaError_t error = open()) return error;
  }
  for (size_t done = 0; done < bytes;) {
    const size_t n = std::min(bytes - done, kPieceBytes);
    size_t begin = 0;
    if (const cudaError_t error = reserve(n, &begin)) return error;
    Piece& piece = pieces_[(first_ + count_) % kPieces];
    if (piece.copied == nullptr) {
      const unsigned flags = cudaEventDisableTiming | cudaEventBlockingSync;
      if (const cudaError_t error = cudaEventCreateWithFlags(&piece.copied, flags)) return error;
    }
    std::memcpy(ring_ + begin, static_cast<const char*>(source) + done, n);
    const cudaError_t error = cudaMemcpyAsync(static_cast<char*>(destination) + done, ring_ + begin, n,
                                              cudaMemcpyHostToDevice, stream);
    if (error != cudaSuccess) return error;
    if (const cudaError_t recorded = cudaEventRecord(piece.copied, stream)) return recorded;
    piece.begin = begin;
    head_ = (begin + n + kAlignment - 1) / kAlignment * kAlignment;
    count_ += 1;
    done += n;
  }
  return cudaSuccess;
}

cudaError_t Tickets::take(size_t bytes, Ticket** taken) {
  const std::lock_guard<std::mutex> lock(mutex_);
  // The smallest that is large enough, else the largest, which then grows.
  auto best = unused_.end();
  for (auto at = unused_.begin(); at != unused_.end(); ++at) {
    if (best == unused_.end()) {
      best = at;
    } else if ((*best)->capacity < bytes ? (*at)->capacity > (*best)->capacity
                                         : (*at)->capacity >= bytes && (*at)->capacity < (*best)->capacity) {
      best = at;
    }
  }
  if (best == unused_.end()) {
    unused_.reserve(all_.size() + 1);  // so that give() never allocates
    all_.push_back(nullptr);
    all_.back() = new Ticket;
    unused_.push_back(all_.back());
    best = unused_.end() - 1;
  }
  Ticket* ticket = *best;
  if (ticket->done == nullptr) {
    const unsigned flags = cudaEventDisableTiming | cudaEventBlockingSync;
    if (const cudaError_t error = cudaEventCreateWithFlags(&ticket->done, flags)) return error;
  }
  if (ticket->fault == nullptr || ticket->capacity < bytes) {
    size_t capacity = std::max(ticket->capacity, kLeastStaging);
    while (capacity < bytes) capacity *= 2;
    void* data = nullptr;
    if (const cudaError_t error =
            cudaHostAlloc(&data, kFaultBytes + capacity, cudaHostAllocPortable | cudaHostAllocMapped))
      return error;
    cudaFreeHost(ticket->fault);
    ticket->fault = static_cast<Fault*>(data);
    ticket->staging = static_cast<char*>(data) + kFaultBytes;
    ticket->capacity = capacity;
  }
  unused_.erase(best);
  *ticket->fault = Fault{};
  ticket->bytes = 0;
  ticket->error = cudaSuccess;
  *taken = ticket;
  return cudaSuccess;
}

void Tickets::give(Ticket* ticket) {
  const std::lock_guard<std::mutex> lock(mutex_);
  unused_.push_back(ticket);
}

void Tickets::close() {
  for (Ticket* ticket : all_) {
    if (ticket == nullptr) continue;
    if (ticket->done != nullptr) cudaEventDestroy(ticket->done);
    cudaFreeHost(ticket->fault);
    delete ticket;
  }
}

int copyIn(KernelContext* context, void* destination, const void* source, size_t bytes) {
  if (bytes == 0) return 0;
  if (const int status = useDevice(context)) return status;
  return guarded(context, [&] {
    Device& device = deviceOf(context);
    return check(context, device.uploads.copy(device.stream, destination, source, bytes), "write");
  });
}

int copyOut(KernelContext* context, void* destination, const void* source, size_t bytes, void** taken) {
  if (const int status = useDevice(context)) return status;
  context->kernel = kKernelCount;
  return guarded(context, [&] {
    Device& device = deviceOf(context);
    Ticket* ticket = nullptr;
    const size_t staged = std::min(bytes, kStagedBytes);
    if (const int status = check(context, device.tickets.take(staged, &ticket), "read")) return status;
    ticket->position = device.log.position();
    char* to = static_cast<char*>(destination);
    const char* from = static_cast<const char*>(source);
    // From here on an error waits in the ticket for finish(), which names the kernel that left it.
    if (bytes > kStagedBytes) {
      Ticket* other = nullptr;
      ticket->error = device.tickets.take(kStagedBytes, &other);
      if (ticket->error == cudaSuccess) {
        ticket->error = copyPieces(device.stream, to, from, bytes, other, ticket);
        device.tickets.give(other);
      }
    } else if (bytes != 0) {
      ticket->error = beginPiece(ticket, device.stream, to, from, bytes);
    }
    *taken = ticket;
    if (ticket->error != cudaSuccess) return 0;
    const LaunchShape shape{1, kWarpSize};
    cudaLaunchConfig_t config{};
    config.gridDim = shape.grid;
    config.blockDim = shape.block;
    config.stream = device.stream;
    ticket->error = cudaLaunchKernelEx(&config, takeFaultKernel, reinterpret_cast<uint64_t*>(device.fault),
                                       reinterpret_cast<uint64_t*>(ticket->fault));
    if (ticket->error != cudaSuccess && !leftByKernel(ticket->error)) {
      device.tickets.give(ticket);
      return launchFailure(context, ticket->error, shape);
    }
    if (ticket->error == cudaSuccess) ticket->error = cudaEventRecord(ticket->done, device.stream);
    return 0;
  });
}

int finish(KernelContext* context, void* taken) {
  Device& device = deviceOf(context);
  Ticket* ticket = static_cast<Ticket*>(taken);
  int status = useDevice(context);
  if (status == 0) {
    const cudaError_t error = ticket->error != cudaSuccess ? ticket->error : wait(ticket->done);
    status = check(context, error, "read");
  }
  if (status == 0) {
    device.log.ended(ticket->position);
    if (ticket->bytes != 0) std::memcpy(ticket->destination, ticket->staging, ticket->bytes);
    status = faultMessage(context, *ticket->fault);
  }
  device.tickets.give(ticket);
  return status;
}

}  // namespace anneal::cuda
