/** The rate of floating-point operations that a device reaches at best, against which a training step is measured. */

import { type DeviceName, defaultDevice, synchronize } from "../native/device.js";
import type { ComputeDtype } from "../nn/module.js";
import { noGrad } from "../tensor/autograd.js";
import { matmul } from "../tensor/ops/linear.js";
import { normal } from "../tensor/ops/random.js";
import { randomState, setRandomState } from "../tensor/random.js";
import { scope } from "../tensor/scope.js";

const measured = new Map<string, number>();

/**
 * Side of the square matrices: large enough to reach full speed, and a few milliseconds on two cores or on a GPU; an interpreter has no speed worth
 * waiting for.
 */
const SIZES: Readonly<Record<DeviceName, number>> = { cpu: 1024, cuda: 8192, simt: 48 };

/**
 * FLOP/s of large matrix products in a dtype on the default device, measured for `milliseconds` (default 50) and remembered. The library's random
 * numbers go on as if nothing had been drawn.
 */
export async function measurePeakFlops(dtype: ComputeDtype, milliseconds = 50): Promise<number> {
  const device = defaultDevice();
  const size = SIZES[device];
  const known = measured.get(`${device} ${dtype}`);
  if (known !== undefined) return known;
  const random = randomState();
  const best = await scope(async () => {
    const a = normal([size, size], 0, 1, { dtype });
    const b = normal([size, size], 0, 1, { dtype });
    const timed = async (products: number): Promise<number> => {
      await synchronize();
      const begin = performance.now();
      for (let i = 0; i < products; i++) noGrad(() => matmul(a, b)).dispose();
      await synchronize();
      return (performance.now() - begin) / products;
    };
    let fastest = await timed(1);
    const end = performance.now() + milliseconds;
    while (performance.now() < end) {
      fastest = Math.min(fastest, await timed(Math.max(1, Math.ceil(milliseconds / 4 / fastest))));
    }
    return (2 * size ** 3) / (fastest / 1000);
  });
  setRandomState(random);
  measured.set(`${device} ${dtype}`, best);
  return best;
}
