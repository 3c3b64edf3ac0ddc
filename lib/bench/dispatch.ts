/** What calling costs in JavaScript: one kernel call, and one whole operation with its result tensor and its entry on the tape; beside PyTorch. */
import { type DeviceName, defaultDevice, getThreads, synchronize } from "../native/device.js";
import { measureDispatch } from "../native/measure.js";
import { ones } from "../tensor/ops/create.js";
import { add } from "../tensor/ops/elementwise.js";
import { scope } from "../tensor/scope.js";
import { bound, output } from "./cases/case.js";
import { machineFacts } from "./machine.js";
import { type PeerDispatch, TorchPeer } from "./peer.js";
import { sizesFor } from "./sizes.js";
import { median } from "./timing.js";

/** The result of `benchDispatch`. */
export interface DispatchMeasurement {
  device: DeviceName;
  /** Queueing one kernel, in nanoseconds; median of the rounds. The device's own thread launches it meanwhile. */
  nanosecondsPerCall: number;
  /** The same in the fastest round. */
  fastestRound: number;
  /** A kernel of one value when they follow each other, from the first call until the last has run, in nanoseconds. */
  nanosecondsPerLaunch: number;
  /** One `add` of two values with gradients recorded, result made and freed, in nanoseconds. */
  nanosecondsPerOperation: number;
  rounds: number;
  /** The same in PyTorch eager, or why it was left out. */
  pytorch: (PeerDispatch & { version: string }) | { absent: string };
}

/** Options of `benchDispatch`. */
export interface DispatchOptions {
  /** Default 25. */
  rounds?: number;
  /** Whether PyTorch is asked too. Default true. */
  peer?: boolean;
}

const OPERATIONS = 1000;

/** Nanoseconds of one of `OPERATIONS` calls of `body`, median of the rounds; the queue is empty before each, and with `drained` after it too. */
async function perOperation(body: () => void, rounds: number, drained: boolean): Promise<number> {
  const times: number[] = [];
  for (let round = -2; round < rounds; round++) {
    await synchronize();
    const start = performance.now();
    scope(() => {
      for (let i = 0; i < OPERATIONS; i++) body();
    });
    if (drained) await synchronize();
    if (round >= 0) times.push(((performance.now() - start) * 1e6) / OPERATIONS);
  }
  return median(times);
}

async function askPeer(device: DeviceName): Promise<DispatchMeasurement["pytorch"]> {
  const peer = await TorchPeer.start(
    device,
    sizesFor(device, machineFacts(device).memoryBytes),
    getThreads(device),
  );
  if (typeof peer === "string") return { absent: peer };
  try {
    return { ...(await peer.dispatch()), version: peer.version };
  } catch (error) {
    return { absent: (error as Error).message };
  } finally {
    peer.close();
  }
}

/** Measures on the default device. */
export async function benchDispatch(options: DispatchOptions = {}): Promise<DispatchMeasurement> {
  const { rounds = 25, peer = true } = options;
  const device = defaultDevice();
  const call = await measureDispatch(rounds);
  const figures = await scope(async () => {
    const a = ones([1], { requiresGrad: true });
    const b = ones([1]);
    return {
      nanosecondsPerLaunch: await perOperation(bound("fill", output("f32", 1), 1, "f32", 1), rounds, true),
      nanosecondsPerOperation: await perOperation(() => void add(a, b), rounds, false),
    };
  });
  return {
    device,
    nanosecondsPerCall: call.nanoseconds,
    fastestRound: Math.min(...call.rounds),
    ...figures,
    rounds,
    pytorch: peer ? await askPeer(device) : { absent: "not asked for" },
  };
}
