/** gradNorm, AdamW and SGD over tables of tensors of many sizes, in every combination of dtypes, against the oracle. */
import { describe, expect, it } from "vitest";
import { addon } from "../../lib/native/addon.js";
import { DTYPE_BYTES, DTYPE_CODE } from "../../lib/native/dtype.js";
import { empty, type Tensor } from "../../lib/tensor/tensor.js";
import { rng } from "../reference/array.js";
import { adamStep, clipFactor, globalNorm, sgdStep } from "../reference/optim.js";
import {
  call,
  download,
  errorOf,
  expectClose,
  FLOATS,
  type Float,
  poisoned,
  repeatable,
  rounded,
  TOLERANCE,
  upload,
} from "./harness.js";

/** Elements of the tensors of a table: empty, single, odd, exactly one chunk of the kernel, more than one. */
const SIZES = [0, 1, 63, 1000, 16384, 16385];

/** One tensor as the optimizer sees it. */
interface Row {
  parameter: Tensor;
  gradient: Tensor | null;
  firstMoment: Tensor | null;
  secondMoment: Tensor | null;
  master: Tensor | null;
  momentDtype: Float;
  decays: boolean;
}

/** Writes rows of ParameterEntry. */
function makeTable(rows: readonly Row[]): Tensor {
  const table = empty([rows.length * 9], { dtype: "i64" });
  const handle = (t: Tensor | null): number => (t === null ? 0 : t.use());
  const words = rows.flatMap((row) => [
    handle(row.parameter),
    handle(row.gradient),
    handle(row.firstMoment),
    handle(row.secondMoment),
    handle(row.master),
    row.parameter.size,
    DTYPE_CODE[row.parameter.dtype],
    DTYPE_CODE[row.momentDtype],
    Number(row.decays),
  ]);
  addon().writePointers(table.use(), Float64Array.from(words), "tttttiiii");
  return table;
}

interface State {
  parameter: Float64Array;
  firstMoment: Float64Array;
  secondMoment: Float64Array;
  gradient: Float64Array;
}

function makeStates(momentDtype: Float, zeroMoments = false): State[] {
  const random = rng(11);
  return SIZES.map((n) => ({
    parameter: rounded(random.normals(n), "f32"),
    gradient: rounded(random.normals(n, 0.1), "f32"),
    firstMoment: zeroMoments ? new Float64Array(n) : rounded(random.normals(n, 0.1), momentDtype),
    secondMoment: zeroMoments ? new Float64Array(n) : rounded(random.uniforms(n, 0.001, 0.1), momentDtype),
  }));
}

function makeRows(states: readonly State[], parameterDtype: Float, momentDtype: Float): Row[] {
  return states.map((state, i) => ({
    parameter: upload(state.parameter, parameterDtype),
    gradient: upload(state.gradient),
    firstMoment: upload(state.firstMoment, momentDtype),
    secondMoment: upload(state.secondMoment, momentDtype),
    master: parameterDtype === "bf16" ? upload(state.parameter) : null,
    momentDtype,
    decays: i % 2 === 1,
  }));
}

const arraysOf = (row: Row): Tensor[] =>
  [row.master ?? row.parameter, row.parameter, row.firstMoment, row.secondMoment].filter((t) => t !== null);

describe("gradNorm", () => {
  const run = (gradients: readonly Float64Array[], maxNorm: number): number[] => {
    const [norm, clip] = repeatable(() => {
      const rows = gradients.map((g) => ({
        parameter: upload(g),
        gradient: upload(g),
        firstMoment: null,
        secondMoment: null,
        master: null,
        momentDtype: "f32" as const,
        decays: true,
      }));
      const outputs = [poisoned(1), poisoned(1)];
      call("gradNorm", makeTable(rows), ...outputs, rows.length, maxNorm);
      return outputs;
    });
    return [norm[0], clip[0]];
  };

  it.each([[0], [1], [1e6]])("with limit %d", (maxNorm) => {
    const gradients = SIZES.map((n) => rounded(rng(n).normals(n), "f32"));
    const [norm, clip] = run(gradients, maxNorm);
    expectClose([norm], [globalNorm(gradients)], 1e-7);
    expectClose([clip], [clipFactor(globalNorm(gradients), maxNorm)], 1e-6);
  });

  it("is 0 for nothing, and exact for large gradients", () => {
    expect(run([], 1)).toEqual([0, 1]);
    expect(run([Float64Array.from([3e30, 4e30].map(Math.fround))], 0)[0]).toBeCloseTo(5e30, -25);
  });

  it("marks a norm that is not finite", () => {
    for (const bad of [Number.NaN, Infinity]) expect(run([Float64Array.from([1, bad])], 1)[1]).toBe(-1);
  });
});

describe.each(FLOATS)("adamw, %s parameters", (parameterDtype) => {
  it.each(FLOATS)("%s moments", (momentDtype) => {
    for (const [step, l2, clip] of [
      [1, false, 1],
      [7, false, 0.25],
      [1000, true, 0.5],
    ] as const) {
      const options = { lr: 0.01, beta1: 0.9, beta2: 0.95, eps: 1e-8, weightDecay: 0.1, step, l2, clip };
      const states = makeStates(momentDtype, step === 1);
      const factor = upload([clip]);
      const outputs = repeatable(() => {
        const rows = makeRows(states, parameterDtype, momentDtype);
        call(
          "adamw",
          makeTable(rows),
          clip === 1 ? null : factor,
          null,
          rows.length,
          options.lr,
          options.beta1,
          options.beta2,
          options.eps,
          options.weightDecay,
          step,
          l2,
          0,
        );
        return rows.flatMap(arraysOf);
      });
      states.forEach((state, i) => {
        const reference = adamStep(state, state.gradient, {
          ...options,
          weightDecay: i % 2 === 1 ? options.weightDecay : 0,
        });
        const [theta, parameter, m, v] = outputs.slice(4 * i);
        expectClose(theta, reference.parameter, TOLERANCE.f32, "θ");
        expectClose(parameter, rounded(theta, parameterDtype), 0, "the rounded master");
        expectClose(m, reference.firstMoment, TOLERANCE[momentDtype], "m");
        expectClose(v, reference.secondMoment, TOLERANCE[momentDtype], "v");
      });
    }
  });

  it("takes tensors that begin anywhere, and the same random bits for their elements", () => {
    const n = 1003;
    const state = makeStates("bf16")[3];
    const extend = (values: Float64Array, first: number): Float64Array =>
      Float64Array.from({ length: n + first }, (_, i) =>
        i < first ? 3 : values[(i - first) % values.length],
      );
    const step = (first: number): Float64Array[] => {
      const place = (values: Float64Array, dtype: Float): Tensor => {
        const whole = upload(extend(values, first), dtype);
        return whole.alias([n], first * DTYPE_BYTES[dtype]);
      };
      const row: Row = {
        parameter: place(state.parameter, parameterDtype),
        gradient: place(state.gradient, "f32"),
        firstMoment: place(state.firstMoment, "bf16"),
        secondMoment: place(state.secondMoment, "bf16"),
        master: parameterDtype === "bf16" ? place(state.parameter, "f32") : null,
        momentDtype: "bf16",
        decays: true,
      };
      call("adamw", makeTable([row]), null, null, 1, 0.01, 0.9, 0.95, 1e-8, 0.1, 3, false, 77);
      return arraysOf(row).map(download);
    };
    const aligned = step(0);
    step(1).forEach((values, i) => {
      expectClose(values, aligned[i], i === 0 ? TOLERANCE.f32 : 1e-4, `array ${i}`);
    });
  });

  it("skips the step where clip is −1", () => {
    const states = makeStates("f32");
    const rows = makeRows(states, parameterDtype, "f32");
    const before = rows.flatMap(arraysOf).map(download);
    call("adamw", makeTable(rows), upload([-1]), null, rows.length, 1, 0.9, 0.9, 1e-8, 1, 1, false, 0);
    call("sgd", makeTable(rows), upload([-1]), null, rows.length, 1, 0.9, 0, 1, false, 1);
    rows.flatMap(arraysOf).forEach((t, i) => {
      expectClose(download(t), before[i], 0);
    });
  });
});

describe("stochastic rounding of bf16 moments", () => {
  it("is right on average, one of the two neighbours, and follows seed and step", () => {
    const n = 40001;
    // m = 0.9·0 + 0.1·g = 1 + 2⁻⁹ lies a quarter of the way from 1 to the next bf16.
    const g = (1 + 2 ** -9) * 10;
    const run = (seed: number, step: number): Float64Array =>
      repeatable(() => {
        const row: Row = {
          parameter: upload(new Float64Array(n)),
          gradient: upload(new Float64Array(n).fill(g)),
          firstMoment: upload(new Float64Array(n), "bf16"),
          secondMoment: upload(new Float64Array(n), "bf16"),
          master: null,
          momentDtype: "bf16",
          decays: false,
        };
        call("adamw", makeTable([row]), null, null, 1, 0.1, 0.9, 0.99, 1e-8, 0, step, false, seed);
        return [row.firstMoment as Tensor];
      })[0];
    const m = run(5, 1);
    expect(new Set(m)).toEqual(new Set([1, 1 + 2 ** -7]));
    expect(m.filter((v) => v !== 1).length / n).toBeCloseTo(0.25, 1.7);
    expect(errorOf(run(6, 1), m)).toBeGreaterThan(0);
    expect(errorOf(run(5, 2), m)).toBeGreaterThan(0);
  });
});

describe.each(FLOATS)("sgd, %s parameters", (parameterDtype) => {
  it.each([
    [0, 0, false],
    [0.9, 0, false],
    [0.9, 0.1, false],
    [0.9, 0, true],
  ] as const)("momentum %d, dampening %d, nesterov %s", (momentum, dampening, nesterov) => {
    for (const momentDtype of FLOATS) {
      for (const step of [1, 2]) {
        const options = { lr: 0.01, momentum, dampening, nesterov, weightDecay: 0.1, step, clip: 0.5 };
        const states = makeStates(momentDtype);
        const outputs = repeatable(() => {
          const rows = makeRows(states, parameterDtype, momentDtype).map((row) => ({
            ...row,
            firstMoment: momentum === 0 ? null : row.firstMoment,
            secondMoment: null,
          }));
          call(
            "sgd",
            makeTable(rows),
            upload([0.5]),
            null,
            rows.length,
            options.lr,
            momentum,
            dampening,
            options.weightDecay,
            nesterov,
            step,
          );
          return rows.flatMap((row) => [
            row.master ?? row.parameter,
            row.parameter,
            ...(row.firstMoment ? [row.firstMoment] : []),
          ]);
        });
        const perRow = momentum === 0 ? 2 : 3;
        states.forEach((state, i) => {
          const reference = sgdStep(
            { parameter: state.parameter, buffer: state.firstMoment },
            state.gradient,
            { ...options, weightDecay: i % 2 === 1 ? 0.1 : 0 },
          );
          const [theta, parameter, buffer] = outputs.slice(perRow * i);
          expectClose(theta, reference.parameter, TOLERANCE.f32, "θ");
          expectClose(parameter, rounded(theta, parameterDtype), 0, "the rounded master");
          if (buffer !== undefined && momentum !== 0)
            expectClose(buffer, reference.buffer, TOLERANCE[momentDtype], "buffer");
        });
      }
    }
  });
});

describe("optimizer errors", () => {
  const row = (fields: Partial<Row>): Row => ({
    parameter: upload([1]),
    gradient: upload([1]),
    firstMoment: null,
    secondMoment: null,
    master: null,
    momentDtype: "f32",
    decays: false,
    ...fields,
  });

  it("name what a table lacks", () => {
    const x = upload([1]);
    const bf16 = makeTable([
      row({ parameter: upload([1], "bf16"), firstMoment: upload([0]), secondMoment: upload([0]) }),
    ]);
    call("adamw", bf16, null, null, 1, 1, 0.9, 0.9, 1e-8, 0, 1, false, 0);
    expect(() => download(x)).toThrow(/master/);
    call("adamw", makeTable([row({})]), null, null, 1, 1, 0.9, 0.9, 1e-8, 0, 1, false, 0);
    expect(() => download(x)).toThrow(/moments/);
    call("sgd", makeTable([row({})]), null, null, 1, 1, 0.9, 0, 0, false, 1);
    expect(() => download(x)).toThrow(/buffer/);
    call("sgd", makeTable([row({})]), null, null, 1, 1, 0, 0, 0, false, 0);
    expect(() => download(x)).toThrow(/from 1/);
  });
});
