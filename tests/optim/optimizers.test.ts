/** AdamW, Adam and SGD against the double-precision oracle: trajectories in f32 and bf16, groups, states, option checks. */

import { describe, expect, it } from "vitest";
import { ConfigError } from "../../lib/errors.js";
import { memory } from "../../lib/native/device.js";
import { Adam, AdamW, clipGradNorm, createOptimizer, type Optimizer, SGD } from "../../lib/optim/index.js";
import { scope } from "../../lib/tensor/scope.js";
import { type Tensor, tensor } from "../../lib/tensor/tensor.js";
import { download, errorOf } from "../native/harness.js";
import { toBf16 } from "../reference/array.js";
import {
  type AdamState,
  adamStep,
  clipFactor,
  globalNorm,
  type SgdState,
  sgdStep,
} from "../reference/optim.js";

const STEPS = 7;
const SIZES = [[5, 7], [33], [3, 1, 4]];

/** Values that look random and are the same on every run. */
function values(shape: readonly number[], seed: number): Float32Array {
  const size = shape.reduce((a, b) => a * b, 1);
  return Float32Array.from({ length: size }, (_, i) => Math.sin(12.9898 * (i + 1) + 78.233 * seed) * 1.5);
}

function parameters(dtype: "f32" | "bf16"): [string, Tensor][] {
  return SIZES.map((shape, i) => [`p${i}`, tensor(values(shape, i), { shape, dtype, requiresGrad: true })]);
}

const gradientOf = (index: number, step: number): Float32Array =>
  values(SIZES[index], 100 + 10 * step + index);

function setGradients(named: readonly (readonly [string, Tensor])[], step: number): void {
  named.forEach(([, parameter], i) => {
    parameter.grad = tensor(gradientOf(i, step), { shape: parameter.shape });
  });
}

interface Case {
  name: string;
  make: (params: [string, Tensor][]) => Optimizer;
  /** Oracle: parameter values after all steps. */
  expected: (
    start: Float64Array,
    gradients: (step: number) => Float64Array,
    decays: boolean,
    clip: (step: number) => number,
  ) => Float64Array;
}

function adamOracle(
  options: { lr: number; beta1: number; beta2: number; weightDecay: number; l2?: boolean },
  matrices: boolean,
): Case["expected"] {
  return (start, gradients, decays, clip) => {
    let state: AdamState = {
      parameter: start,
      firstMoment: start.map(() => 0),
      secondMoment: start.map(() => 0),
    };
    const weightDecay = decays || !matrices ? options.weightDecay : 0;
    for (let step = 1; step <= STEPS; step++) {
      state = adamStep(state, gradients(step), { ...options, weightDecay, step, clip: clip(step) });
    }
    return state.parameter;
  };
}

function sgdOracle(options: {
  lr: number;
  momentum?: number;
  dampening?: number;
  nesterov?: boolean;
  weightDecay?: number;
}): Case["expected"] {
  return (start, gradients, _, clip) => {
    let state: SgdState = { parameter: start, buffer: start.map(() => 0) };
    for (let step = 1; step <= STEPS; step++) {
      state = sgdStep(state, gradients(step), { ...options, step, clip: clip(step) });
    }
    return state.parameter;
  };
}

const CASES: Case[] = [
  {
    name: "AdamW with its defaults",
    make: (params) => new AdamW({ params, lr: 0.05 }),
    expected: adamOracle({ lr: 0.05, beta1: 0.9, beta2: 0.95, weightDecay: 0.1 }, true),
  },
  {
    name: "Adam with decay in the gradient",
    make: (params) => new Adam({ params, lr: 0.05, weightDecay: 0.2 }),
    expected: adamOracle({ lr: 0.05, beta1: 0.9, beta2: 0.999, weightDecay: 0.2, l2: true }, false),
  },
  { name: "plain SGD", make: (params) => new SGD({ params, lr: 0.1 }), expected: sgdOracle({ lr: 0.1 }) },
  {
    name: "SGD with momentum, dampening and decay",
    make: (params) => new SGD({ params, lr: 0.1, momentum: 0.9, dampening: 0.2, weightDecay: 0.1 }),
    expected: sgdOracle({ lr: 0.1, momentum: 0.9, dampening: 0.2, weightDecay: 0.1 }),
  },
  {
    name: "SGD with Nesterov's momentum",
    make: (params) => new SGD({ params, lr: 0.1, momentum: 0.9, nesterov: true }),
    expected: sgdOracle({ lr: 0.1, momentum: 0.9, nesterov: true }),
  },
];

describe.each(CASES)("$name", ({ make, expected }) => {
  it.each(["f32", "bf16"] as const)("follows the oracle for seven clipped steps (%s)", (dtype) => {
    scope(() => {
      const named = parameters(dtype);
      const starts = named.map(([, p]) => download(p));
      const optimizer = make(named);
      const clip = (step: number): number =>
        clipFactor(globalNorm(SIZES.map((_, i) => gradientOf(i, step))), 2);
      for (let step = 1; step <= STEPS; step++) {
        setGradients(named, step);
        const { norm, clip: factor } = clipGradNorm(optimizer.parameters(), 2);
        const exact = globalNorm(SIZES.map((_, i) => gradientOf(i, step)));
        expect(Math.abs(download(norm)[0] - exact) / exact).toBeLessThan(1e-6);
        optimizer.step({ clip: factor });
        optimizer.zeroGrad();
        expect(named.every(([, p]) => p.grad === null)).toBe(true);
      }
      named.forEach(([, parameter], i) => {
        const gradients = (step: number): Float64Array => Float64Array.from(gradientOf(i, step));
        const reference = expected(starts[i], gradients, parameter.rank >= 2, clip);
        // Seven updates in f32, each with a few roundings of 2⁻²⁴; a bf16 parameter is one more rounding, 2⁻⁹, of its f32 master.
        expect(errorOf(download(parameter), reference)).toBeLessThan(dtype === "f32" ? 2e-6 : 4e-3);
      });
      if (dtype === "bf16") {
        const masters = optimizer.namedState().filter(({ name }) => name.endsWith(".master"));
        expect(masters.map(({ name }) => name)).toEqual(["p0.master", "p1.master", "p2.master"]);
        masters.forEach(({ tensor: master }, i) => {
          expect(master.dtype).toBe("f32");
          // The parameter is exactly the rounding of its master.
          expect(Array.from(download(named[i][1]))).toEqual(Array.from(toBf16(download(master))));
        });
      }
      optimizer.dispose();
    });
  });
});

describe("moments in bf16", () => {
  it.each([0, 7])("stay near the oracle (stochastic seed %i)", (stochasticSeed) => {
    scope(() => {
      const named = parameters("f32");
      const starts = named.map(([, p]) => download(p));
      const optimizer = new AdamW({ params: named, lr: 0.05, momentDtype: "bf16", stochasticSeed });
      for (let step = 1; step <= STEPS; step++) {
        setGradients(named, step);
        optimizer.step();
      }
      const oracle = adamOracle({ lr: 0.05, beta1: 0.9, beta2: 0.95, weightDecay: 0.1 }, true);
      named.forEach(([, parameter], i) => {
        const reference = oracle(
          starts[i],
          (step) => Float64Array.from(gradientOf(i, step)),
          parameter.rank >= 2,
          () => 1,
        );
        // Moments carry 2⁻⁸ of error; seven updates of 0.05 move values of about 1.
        expect(errorOf(download(parameter), reference)).toBeLessThan(3e-3);
      });
      expect(optimizer.namedState().every(({ tensor: moment }) => moment.dtype === "bf16")).toBe(true);
      optimizer.dispose();
    });
  });
});

describe("steps", () => {
  it("leave parameters without a gradient alone", () => {
    scope(() => {
      const named = parameters("f32");
      const optimizer = new AdamW({ params: named });
      const before = download(named[1][1]);
      setGradients(named, 1);
      named[1][1].grad?.dispose();
      named[1][1].grad = null;
      optimizer.step();
      expect(download(named[1][1])).toEqual(before);
      optimizer.dispose();
    });
  });

  it("change nothing when the norm is not finite", () => {
    scope(() => {
      const named = parameters("f32");
      const optimizer = new AdamW({ params: named });
      setGradients(named, 1);
      named[2][1].grad?.write(values(SIZES[2], 1).fill(Number.NaN, 3, 4));
      const before = named.map(([, p]) => download(p));
      const { norm, clip } = clipGradNorm(optimizer.parameters(), 1);
      expect(download(norm)[0]).toBeNaN();
      expect(download(clip)[0]).toBe(-1);
      optimizer.step({ clip });
      expect(named.map(([, p]) => download(p))).toEqual(before);
      optimizer.dispose();
    });
  });

  it("use the settings of groups and the schedule's multiplier", () => {
    scope(() => {
      const named = parameters("f32");
      const starts = named.map(([, p]) => download(p));
      const optimizer = new SGD({
        params: [{ params: [named[0]] }, { params: [named[1], named[2]], lr: 0.5 }],
        lr: 0.1,
      });
      optimizer.lrMultiplier = 0.5;
      expect(optimizer.lr).toBe(0.05);
      setGradients(named, 1);
      optimizer.step();
      named.forEach(([, parameter], i) => {
        const lr = i === 0 ? 0.05 : 0.25;
        const gradient = gradientOf(i, 1);
        expect(
          errorOf(
            download(parameter),
            starts[i].map((x, j) => x - lr * gradient[j]),
          ),
        ).toBeLessThan(1e-6);
      });
      optimizer.lr = 0.2;
      expect([optimizer.lr, optimizer.lrMultiplier]).toEqual([0.2, 1]);
      optimizer.dispose();
    });
  });

  it("go on exactly from a saved state", () => {
    scope(() => {
      const make = (named: [string, Tensor][]) => new AdamW({ params: named, lr: 0.01 });
      const named = parameters("bf16");
      const first = make(named);
      const run = (optimizer: Optimizer, list: [string, Tensor][], from: number, to: number): void => {
        for (let step = from; step <= to; step++) {
          setGradients(list, step);
          optimizer.step();
          optimizer.zeroGrad();
        }
      };
      run(first, named, 1, 3);
      const copies = named.map(([name, p]): [string, Tensor] => [
        name,
        tensor(Float32Array.from(download(p)), { shape: p.shape, dtype: "bf16", requiresGrad: true }),
      ]);
      const second = make(copies);
      const saved = new Map(first.namedState().map(({ name, tensor: t }) => [name, t.dataSync()]));
      for (const { name, tensor: target } of second.namedState())
        target.write(saved.get(name) as Float32Array);
      second.loadState(first.state());
      run(first, named, 4, 6);
      run(second, copies, 4, 6);
      for (const [i, [, p]] of copies.entries()) expect(download(p)).toEqual(download(named[i][1]));
      expect(second.state()).toEqual({ step: 6 });
      first.dispose();
      second.dispose();
    });
  });

  it("leak nothing", () => {
    const before = memory().buffers;
    scope(() => {
      const named = parameters("bf16");
      using optimizer = new AdamW({ params: named });
      const buffers = (): number => {
        setGradients(named, 1);
        const { clip } = clipGradNorm(optimizer.parameters(), 1);
        optimizer.step({ clip });
        optimizer.zeroGrad();
        clip.dispose();
        return memory().buffers;
      };
      scope(buffers);
      const settled = scope(buffers);
      for (let i = 0; i < 5; i++) scope(buffers);
      expect(scope(buffers)).toBe(settled);
    });
    expect(memory().buffers).toBe(before);
  });
});

describe("options", () => {
  const params = (): [string, Tensor][] => [["w", tensor(values([2, 2], 0), { shape: [2, 2] })]];
  const thrown = (body: () => unknown): ConfigError => {
    try {
      scope(body);
    } catch (error) {
      expect(error).toBeInstanceOf(ConfigError);
      return error as ConfigError;
    }
    throw new Error("expected an error");
  };

  it("name what is wrong and what was meant", () => {
    expect(thrown(() => new AdamW({ params: params(), weightDeacy: 0.1 } as never)).message).toContain(
      '"weightDecay"',
    );
    expect(thrown(() => new SGD({ params: params(), lr: -1 })).message).toContain(
      "lr must be a number from 0",
    );
    expect(thrown(() => new AdamW({ params: params(), betas: [0.9, 1] })).message).toContain("betas[1]");
    expect(thrown(() => new SGD({ params: params(), nesterov: true })).message).toContain(
      "nesterov needs a momentum",
    );
    expect(thrown(() => new AdamW({ params: [] })).message).toContain("no parameters");
    expect(thrown(() => new AdamW({ params: [...params(), ...params()] })).message).toContain("twice");
    expect(thrown(() => createOptimizer(params() as never, { type: "adamW2" as never })).message).toContain(
      '"adamw"',
    );
    expect(
      thrown(() =>
        clipGradNorm(
          params().map(([, p]) => p),
          1,
        ),
      ).message,
    ).toContain("backward()");
    expect(thrown(() => clipGradNorm([], -1)).message).toContain("maxNorm");
  });

  it("make optimizers by name with PyTorch's defaults", () => {
    scope(() => {
      const identity = (config: object) => createOptimizer(params() as never, config).identity();
      expect(identity({})).toMatchObject({
        type: "adamw",
        lr: 1e-3,
        betas: [0.9, 0.95],
        weightDecay: 0.1,
        decayed: ["w"],
      });
      expect(identity({ type: "adam" })).toMatchObject({ type: "adam", betas: [0.9, 0.999], weightDecay: 0 });
      expect(identity({ type: "sgd", lr: 0.1 })).toMatchObject({ type: "sgd", lr: 0.1, momentum: 0 });
    });
  });
});
