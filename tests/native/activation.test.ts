/** Gated activations, forward and backward, from separate tensors and from the halves of one. */
import { describe, expect, it } from "vitest";
import { DTYPE_BYTES } from "../../lib/native/dtype.js";
import { type GateName, gatedUnit, gatedUnitBackward, joinGateUp } from "../reference/activation.js";
import { rng } from "../reference/array.js";
import {
  call,
  download,
  expectClose,
  FLOATS,
  poisoned,
  repeatable,
  rounded,
  TOLERANCE,
  upload,
} from "./harness.js";

/** Codes of UnaryOp. */
const ACTS: Record<GateName, number> = { silu: 8, gelu: 9, geluTanh: 10 };
const SHAPES = [
  [0, 3],
  [1, 1],
  [4, 0],
  [3, 17],
  [33, 64],
  [50, 513],
] as const;

describe.each(FLOATS)("gated %s", (dtype) => {
  it.each(SHAPES)("[%i, %i]", (rows, width) => {
    const random = rng(rows + width);
    const [gate, up, dy] = [3, 1, 1].map((deviation) =>
      rounded(random.normals(rows * width, deviation), dtype),
    );
    const [g, u, d] = [gate, up, dy].map((values) => upload(values, dtype));
    for (const [name, act] of Object.entries(ACTS) as [GateName, number][]) {
      const [y] = repeatable(() => {
        const out = poisoned(rows * width, dtype);
        call("gatedForward", g, u, out, rows, width, width, act, dtype);
        return [out];
      });
      expectClose(y, gatedUnit(name, gate, up), TOLERANCE[dtype], name);
      const [dgate, dup] = repeatable(() => {
        const outputs = [poisoned(rows * width, dtype), poisoned(rows * width, dtype)];
        call("gatedBackward", d, g, u, ...outputs, rows, width, width, act, dtype);
        return outputs;
      });
      const reference = gatedUnitBackward(name, gate, up, dy);
      expectClose(dgate, reference.dgate, TOLERANCE[dtype], `${name} dgate`);
      expectClose(dup, reference.dup, TOLERANCE[dtype], `${name} dup`);
    }
  });

  it.each([20, 23, 264])("reads and writes the two halves of one tensor through views, width %i", (width) => {
    const rows = 9;
    const random = rng(4);
    const [gate, up, dy] = [1, 2, 3].map(() => rounded(random.normals(rows * width), dtype));
    const both = upload(joinGateUp(gate, up, width), dtype);
    const y = poisoned(rows * width, dtype);
    const half = both.alias([both.size - width], width * DTYPE_BYTES[dtype]);
    call("gatedForward", both, half, y, rows, width, 2 * width, ACTS.silu, dtype);
    expectClose(download(y), gatedUnit("silu", gate, up), TOLERANCE[dtype]);
    const dboth = poisoned(2 * rows * width, dtype);
    const dhalf = dboth.alias([both.size - width], width * DTYPE_BYTES[dtype]);
    const d = upload(dy, dtype);
    call("gatedBackward", d, both, half, dboth, dhalf, rows, width, 2 * width, ACTS.silu, dtype);
    const reference = gatedUnitBackward("silu", gate, up, dy);
    expectClose(download(dboth), joinGateUp(reference.dgate, reference.dup, width), TOLERANCE[dtype]);
  });
});

describe("gated errors", () => {
  it("name an activation that cannot gate", () => {
    const x = upload([1]);
    call("gatedForward", x, x, x, 1, 1, 1, 2, "f32");
    expect(() => download(x)).toThrow(/activation 2/);
  });
});
