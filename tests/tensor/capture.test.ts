/** Captured bodies: a replay does what running the body would, on the same memory, and what cannot be recorded is refused without a trace. */
import { afterEach, describe, expect, it } from "vitest";
import { CaptureError, DisposedError } from "../../lib/errors.js";
import { memory, synchronize } from "../../lib/native/device.js";
import { Adam, AdamW, clipGradNorm, type Optimizer, SGD } from "../../lib/optim/index.js";
import {
  backward,
  capture,
  checkpoint,
  dropout,
  isCapturing,
  keep,
  linear,
  linearCrossEntropy,
  manualSeed,
  mul,
  relu,
  scope,
  type Tensor,
  tensor,
  uniform,
  zeros,
} from "../../lib/tensor/index.js";
import { randomState } from "../../lib/tensor/random.js";
import { upload } from "../native/harness.js";
import { rng } from "../reference/array.js";

const live: Tensor[] = [];

/** A tensor that the test frees at its end. */
function kept(values: ArrayLike<number>, dtype: "f32" | "bf16" | "i32", shape: readonly number[]): Tensor {
  const result = upload(values, dtype, shape);
  live.push(result);
  return result;
}

afterEach(() => {
  for (const t of live.splice(0)) t.dispose();
});

const bits = (t: Tensor): Uint8Array => Uint8Array.from(Buffer.from(t.dataSync().buffer));

const WIDTH = 12;
const ROWS = 7;
const CLASSES = 5;

/** Two layers with dropout and a loss, and their training step. */
function network(dtype: "f32" | "bf16", makeOptimizer: (params: Tensor[]) => Optimizer, recompute = false) {
  manualSeed(5);
  const parameter = (seed: number, ...shape: number[]): Tensor => {
    const t = kept(rng(seed).normals(shape[0] * (shape[1] ?? 1), 0.3), dtype, shape);
    t.requiresGrad = true;
    return t;
  };
  const parameters = [parameter(1, WIDTH, WIDTH), parameter(2, CLASSES, WIDTH), parameter(3, WIDTH)];
  const optimizer = makeOptimizer(parameters);
  const x = kept(new Float32Array(ROWS * WIDTH), dtype, [ROWS, WIDTH]);
  const targets = kept(new Int32Array(ROWS), "i32", [ROWS]);
  /** Writes the data of step i. */
  const feed = (i: number): void => {
    x.write(Float32Array.from(rng(100 + i).normals(ROWS * WIDTH)));
    targets.write(Int32Array.from(rng(200 + i).integers(ROWS, CLASSES)));
  };
  const layer = (input: Tensor): Tensor => dropout(relu(linear(input, parameters[0], parameters[2])), 0.3);
  const step = (): { loss: Tensor; norm: Tensor } => {
    const hidden = recompute ? checkpoint(layer, x) : layer(x);
    const { loss } = linearCrossEntropy(dropout(hidden, 0.1), parameters[1], targets);
    const value = loss.detach();
    backward(loss);
    const { norm, clip } = clipGradNorm(parameters, 0.5);
    optimizer.step({ clip });
    optimizer.zeroGrad();
    return { loss: value, norm };
  };
  return { parameters, optimizer, feed, step };
}

const OPTIMIZERS: [string, (params: Tensor[]) => Optimizer][] = [
  ["AdamW", (params) => new AdamW({ params, lr: 0.02 }) as unknown as Optimizer],
  [
    "Adam with stochastically rounded bf16 moments",
    (params) =>
      new Adam({
        params,
        lr: 0.02,
        weightDecay: 0.1,
        momentDtype: "bf16",
        stochasticSeed: 9,
      }) as unknown as Optimizer,
  ],
  ["SGD", (params) => new SGD({ params, lr: 0.1 }) as unknown as Optimizer],
  [
    "SGD with momentum",
    (params) => new SGD({ params, lr: 0.1, momentum: 0.9, nesterov: true }) as unknown as Optimizer,
  ],
];

describe.each(["f32", "bf16"] as const)("training steps, %s", (dtype) => {
  it.each([
    ...OPTIMIZERS.map(([name, make]) => [name, make, false] as const),
    ["AdamW and checkpoints", OPTIMIZERS[0][1], true] as const,
  ])("replayed with %s equal those that ran, bit for bit", (_, make, recompute) => {
    const steps = 12;
    /** Numbers and parameters after every step; steps from `from` on are replays. */
    const train = (from: number): Uint8Array[] => {
      const { parameters, optimizer, feed, step } = network(dtype, make, recompute);
      const out: Uint8Array[] = [];
      const take = ({ loss, norm }: { loss: Tensor; norm: Tensor }): void => {
        out.push(...[loss, norm, ...parameters].map(bits));
      };
      const schedule = (i: number): void => {
        optimizer.lrMultiplier = 1 / (i + 1);
        feed(i);
      };
      for (let i = 0; i < from; i++) {
        schedule(i);
        scope(() => take(step()));
      }
      using recording = from < steps ? capture(step) : null;
      for (let i = from; i < steps; i++) {
        schedule(i);
        recording?.replay();
        if (recording !== null) take(recording.result);
      }
      expect(optimizer.state()).toEqual({ step: steps });
      out.push(Uint8Array.from(Buffer.from(JSON.stringify(randomState()))));
      optimizer.dispose();
      return out;
    };
    const ran = train(steps);
    // SGD's first step is another than the later ones: it is captured too.
    for (const from of [0, 1, 3]) expect(train(from), `replayed from step ${from}`).toEqual(ran);
  });
});

describe("a recording", () => {
  it("does not run before it is replayed, and reads its inputs where they are", () => {
    const x = kept([1, 2, 3], "f32", [3]);
    const y = kept([10, 10, 10], "f32", [3]);
    using recording = capture(() => {
      expect(isCapturing()).toBe(true);
      return mul(mul(x, y), y);
    });
    expect(isCapturing()).toBe(false);
    recording.replay();
    expect([...recording.result.dataSync()]).toEqual([100, 200, 300]);
    x.write(Float32Array.of(4, 5, 6));
    y.write(Float32Array.of(1, 2, 3));
    recording.replay();
    expect([...recording.result.dataSync()]).toEqual([4, 20, 54]);
  });

  it("keeps what it uses from others, whoever disposes of it", () => {
    const x = upload([1, 2, 3]);
    const held = upload([7, 7, 7]);
    const recording = capture(() => {
      const product = mul(x, held);
      held.dispose();
      const sum = mul(product, product);
      product.dispose();
      return sum;
    });
    recording.replay();
    expect([...recording.result.dataSync()]).toEqual([49, 196, 441]);
    x.dispose();
    const others = Array.from({ length: 20 }, () => upload([5, 5, 5]));
    recording.replay();
    for (const other of others) {
      expect([...other.dataSync()]).toEqual([5, 5, 5]);
      other.dispose();
    }
    recording.dispose();
  });

  it("takes no memory from replay to replay, and gives all of it back", async () => {
    await synchronize();
    const { optimizer, feed, step } = network("f32", OPTIMIZERS[0][1]);
    optimizer.namedState();
    feed(0);
    scope(step);
    const before = memory();
    for (let round = 0; round < 3; round++) {
      const recording = capture(step);
      recording.replay();
      const during = memory();
      expect(during.recorded).toBeGreaterThan(0);
      for (let i = 0; i < 100; i++) recording.replay();
      await synchronize();
      expect(memory()).toEqual(during);
      recording.dispose();
      recording.dispose();
      const { live, buffers, recorded } = memory();
      expect(recorded).toBe(0);
      // What an optimizer keeps for captured steps stays with it.
      expect([live, buffers]).toEqual([before.live + 16, before.buffers + 1]);
      expect(() => recording.replay()).toThrow(DisposedError);
    }
    optimizer.dispose();
  });

  it("reuses memory inside", () => {
    const x = kept(rng(1).normals(1 << 14), "f32", [1 << 14]);
    const before = memory().recorded;
    using recording = capture(() => {
      let y = mul(x, x);
      for (let i = 0; i < 50; i++) {
        const next = mul(y, x);
        y.dispose();
        y = next;
      }
      return y;
    });
    expect(memory().recorded - before).toBeLessThan(3 * x.byteLength);
    recording.replay();
    expect(recording.result.dataSync()[0]).toBe(
      scope(() => {
        let y = mul(x, x);
        for (let i = 0; i < 50; i++) y = mul(y, x);
        return y.dataSync()[0];
      }),
    );
  });
});

describe("what cannot be captured", () => {
  it.each([
    ["an upload", /upload.*before the recording/, (x: Tensor) => mul(x, tensor([1, 2, 3]))],
    ["a write", /upload/, (x: Tensor) => x.write(Float32Array.of(1, 2, 3))],
    ["a read that blocks", /read.*after replay/, (x: Tensor) => x.dataSync()],
    ["a draw", /uniform\(\) cannot be captured/, () => uniform([3])],
    ["a promise", /synchronous/, async () => undefined],
    ["a capture", /do not nest/, () => capture(() => undefined)],
  ] as const)("%s is refused, and nothing stays recorded", async (_, message, body) => {
    const x = kept([1, 2, 3], "f32", [3]);
    await synchronize();
    const before = memory();
    expect(() =>
      capture(() => {
        const made = mul(x, x);
        body(made);
        return body(made);
      }),
    ).toThrow(message);
    expect(isCapturing()).toBe(false);
    const { live, buffers, recorded } = memory();
    expect([live, buffers, recorded]).toEqual([before.live, before.buffers, 0]);
    expect([...scope(() => mul(x, x).dataSync())]).toEqual([1, 4, 9]);
  });

  it("a read by promise rejects", async () => {
    const x = kept([1, 2, 3], "f32", [3]);
    let read!: Promise<unknown>;
    using recording = capture(() => {
      read = x.data();
      read.catch(() => undefined);
      return mul(x, x);
    });
    await expect(read).rejects.toThrow(CaptureError);
    recording.replay();
    expect([...recording.result.dataSync()]).toEqual([1, 4, 9]);
  });

  it("draws of another seed than the recording's", () => {
    const { optimizer, feed, step } = network("f32", OPTIMIZERS[0][1]);
    feed(0);
    using recording = capture(step);
    recording.replay();
    expect(optimizer.state()).toEqual({ step: 1 });
    manualSeed(6);
    expect(() => recording.replay()).toThrow(/seed 5/);
    optimizer.dispose();
  });

  it("the failure of a replay is reported at the next read, and later replays run", async () => {
    const table = keep(zeros([4, 2]));
    const ids = kept([0, 1, 2], "i32", [3]);
    const { embedding } = await import("../../lib/tensor/index.js");
    using recording = capture(() => embedding(ids, table));
    recording.replay();
    ids.write(Int32Array.of(0, 9, 1));
    recording.replay();
    expect(() => recording.result.dataSync()).toThrow(/9/);
    ids.write(Int32Array.of(0, 3, 1));
    recording.replay();
    expect([...recording.result.dataSync()]).toEqual(new Array(6).fill(0));
    table.dispose();
  });
});
