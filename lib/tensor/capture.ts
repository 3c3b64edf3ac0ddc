/**
 * Captured work: a body of tensor operations is run once to record its kernel calls, and replayed as one command (a CUDA graph on a GPU). A replay costs
 * the host almost nothing, whatever the body needed to find its calls.
 */

import { CaptureError, DisposedError } from "../errors.js";
import { addon, typedError } from "../native/addon.js";
import { type DeviceName, defaultDevice, deviceId } from "../native/device.js";
import { countDraws, drawPlainly, randomState, setRandomState } from "./random.js";
import { dispose, keep, scope } from "./scope.js";
import { emptyFresh, type Tensor } from "./tensor.js";

interface Capturing {
  device: DeviceName;
  hooks: (() => void)[];
}

let capturing: Capturing | null = null;

/** Whether the operations of a device are recorded now. */
export function isCapturing(device: DeviceName = defaultDevice()): boolean {
  return capturing?.device === device;
}

/** @internal Has `hook` called before each replay of the recording under way: it may write into tensors that the recorded calls read. */
export function beforeReplay(hook: () => void): void {
  if (capturing === null) throw new CaptureError("Nothing is captured now.");
  capturing.hooks.push(hook);
}

/**
 * Runs `body` as if nothing were captured: for what is made once and kept, such as tables, when it is first needed inside a captured body. Its tensors lie in
 * memory that no recorded call uses for anything else.
 */
export function uncaptured<T>(device: DeviceName, body: () => T): T {
  const outer = capturing;
  if (outer?.device !== device) return body();
  addon().pauseRecording(deviceId(device), true);
  capturing = null;
  try {
    return drawPlainly(body);
  } finally {
    capturing = outer;
    addon().pauseRecording(deviceId(device), false);
  }
}

/** What `capture` recorded. */
export class Recording<T = unknown> {
  private disposed = false;

  /** @internal */
  constructor(
    /** What the body returned. Every replay rewrites its tensors; they live until the recording is disposed. */
    readonly result: T,
    readonly device: DeviceName,
    private readonly id: number,
    private readonly hooks: readonly (() => void)[],
    private readonly draws: { counter: Tensor; count: number; seed: number },
  ) {}

  /**
   * Queues all that the body would do; returns at once. Random operations draw on from `randomState()`, as the body would.
   * @throws CaptureError when the random seed is another than at the recording and the body draws
   */
  replay(): void {
    if (this.disposed) throw new DisposedError("A recording was replayed after it was disposed.");
    try {
      this.drawOn();
      for (const hook of this.hooks) hook();
      addon().replay(deviceId(this.device), this.id);
    } catch (error) {
      throw typedError(error);
    }
  }

  /** Frees what the body returned and the memory that the recording holds. Replays that are queued still run. Doing it twice is harmless. */
  dispose(): void {
    if (this.disposed) return;
    this.disposed = true;
    dispose(this.result);
    this.draws.counter.dispose();
    addon().releaseRecording(deviceId(this.device), this.id);
  }

  /** Frees it at the end of a `using` block. */
  [Symbol.dispose](): void {
    this.dispose();
  }

  private drawOn(): void {
    const { counter, count, seed } = this.draws;
    if (count === 0) return;
    const state = randomState();
    if (state.seed !== seed) {
      throw new CaptureError(
        `The recording draws random numbers of seed ${seed}; the seed is ${state.seed} now. Capture again after changing the seed.`,
        { recorded: seed, seed: state.seed },
      );
    }
    addon().write(counter.use(), 0, BigInt64Array.of(BigInt(state.offset)));
    setRandomState({ seed, offset: state.offset + count });
  }
}

/**
 * Runs `body` to record the kernel calls that it makes on a device; none of them runs before `replay()`. A replay makes the same calls on the same memory:
 *
 * - Tensors made before and used inside are read, or written, where they are; write into them between replays to give a replay other data. The recording
 *   keeps their memory, even when they are disposed.
 * - Tensors made inside are freed when `body` ends, except those that it returns and those given to `keep`, which every replay rewrites. Their memory
 *   serves no other purpose until the recording is disposed.
 * - Shapes, and numbers passed to operations, are those of the recording. Dropout and `optimizer.step()` go on from replay to replay as if `body` ran:
 *   they take the random state, the number of the step and the learning rate of the time.
 * - Other code of `body` runs once. It must be synchronous, and it can neither read tensors nor upload data.
 *
 * When `body` throws, nothing stays recorded. Gradients that it left in `grad` were never computed then; free them (`zeroGrad()`).
 * @throws CaptureError naming the operation that cannot be captured, and the way around
 */
export function capture<T>(body: () => T, options: { device?: DeviceName } = {}): Recording<T> {
  const { device = defaultDevice() } = options;
  if (capturing !== null) {
    throw new CaptureError(
      `capture: a body is being captured on ${capturing.device} already; captures do not nest.`,
    );
  }
  const native = addon();
  const id = deviceId(device);
  const counter = keep(emptyFresh([1], { dtype: "i64", device }));
  const hooks: (() => void)[] = [];
  try {
    native.beginRecording(id);
    capturing = { device, hooks };
    let result!: T;
    let count = 0;
    try {
      count = countDraws(counter, () => {
        result = scope(() => {
          const made = body();
          if (made instanceof Promise) {
            made.catch(() => undefined);
            throw new CaptureError("capture: the body must be synchronous, it returned a promise.");
          }
          return made;
        });
      });
    } catch (error) {
      capturing = null;
      native.abortRecording(id);
      throw error;
    }
    capturing = null;
    const recording = native.endRecording(id);
    return new Recording(keep(result), device, recording, hooks, {
      counter,
      count,
      seed: randomState().seed,
    });
  } catch (error) {
    counter.dispose();
    throw typedError(error);
  }
}
