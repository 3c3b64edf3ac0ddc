// main.cc — runs the controls: simt_controls [seeds] [name]. Prints a line for each control, twin and seed:
// name, "sound" or "broken", seed, "ok" or "wrong", message (tab-separated); the status is 1 when any is
// wrong.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

#include "simt/controls/control.h"
#include "simt/memory.h"
#include "simt/runtime.h"

namespace anneal::controls {

Buffer::Buffer(size_t bytes) : data_(simt::allocateGlobal(bytes, "allocation")) {
  std::memset(data_, 0, bytes);
}

Buffer::~Buffer() { release(); }

void Buffer::release() {
  if (held_) simt::releaseGlobal(data_);
  held_ = false;
}

namespace {

constexpr std::span<const Control> (*kFamilies[])() = {
    memoryControls,      collectiveControls, raceControls,     globalRaceControls,
    asyncCopyControls,   matrixControls,     mbarrierControls, copyEngineControls,
    wgmmaLayoutControls, wgmmaControls,      clusterControls,  pipelineControls,
};

// Whether the text contains one of the alternatives, which '|' separates.
bool mentions(const std::string& text, const std::string& alternatives) {
  for (size_t begin = 0; begin <= alternatives.size();) {
    const size_t end = std::min(alternatives.find('|', begin), alternatives.size());
    if (text.find(alternatives.substr(begin, end - begin)) != std::string::npos) return true;
    begin = end + 1;
  }
  return false;
}

// One run of one twin; true when it ended as it must.
bool check(const Control& control, bool sound, unsigned seed) {
  setenv("ANNEAL_SIMT_SEED", std::to_string(seed).c_str(), 1);
  KernelContext context;
  context.kernel = kKernelCount;  // no kernel of the table
  context.sequence = 1;
  simt::deviceApi.open(&context, 0);
  const int status = (sound ? control.sound : control.broken)(&context);
  simt::deviceApi.close(&context);
  const bool ok = sound ? status == 0 : status == 1 && mentions(context.error, control.message);
  std::printf("%s\t%s\t%u\t%s\t%s\n", control.name, sound ? "sound" : "broken", seed, ok ? "ok" : "wrong",
              context.error);
  return ok;
}

}  // namespace
}  // namespace anneal::controls

int main(int argc, char** argv) {
  using namespace anneal::controls;
  const unsigned seeds = argc > 1 ? static_cast<unsigned>(std::atoi(argv[1])) : 3;
  const char* wanted = argc > 2 ? argv[2] : nullptr;
  bool ok = true;
  for (const auto family : kFamilies) {
    for (const Control& control : family()) {
      if (wanted != nullptr && std::strstr(control.name, wanted) == nullptr) continue;
      for (unsigned seed = 1; seed <= seeds; ++seed) {
        ok = check(control, true, seed) && ok;
        ok = check(control, false, seed) && ok;
      }
    }
  }
  return ok ? 0 : 1;
}
