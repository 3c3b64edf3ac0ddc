// registers.h — what the host bodies of cuda/ptx/registers.h call: the block's register pool.
#pragma once

namespace anneal::simt {

// setmaxnreg by all 32 lanes of each warp of a warpgroup. The pool is what the launch gave the block: 65,536
// registers shared evenly by its threads, in steps of 8.
void increaseRegisters(unsigned count);
void decreaseRegisters(unsigned count);

}  // namespace anneal::simt
