/** Expert dispatch: sort, permutation and counts exactly; weighted combination and its gradients within rounding; the bias update. */
import { describe, expect, it } from "vitest";
import { rng, type Values } from "../reference/array.js";
import {
  combineRows,
  combineRowsBackward,
  permutation,
  permuteRows,
  permuteRowsBackward,
  updateRouterBias,
} from "../reference/moe.js";
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

/** [tokens, experts, chosen] */
const SIZES = [
  [0, 4, 2],
  [1, 1, 1],
  [7, 5, 3],
  [100, 16, 4],
  [33, 256, 8],
  [50, 1000, 40],
  [3000, 64, 6],
] as const;

/** Runs moeSort; returns [counts, offsets, order, inverse]. */
function sort(ids: Values, tokens: number, experts: number, chosen: number): Float64Array[] {
  const input = upload(ids, "i32");
  return repeatable(() => {
    const [counts, offsets] = [poisoned(experts, "i32"), poisoned(experts + 1, "i32")];
    const [order, inverse] = [poisoned(ids.length, "i32"), poisoned(ids.length, "i32")];
    call("moeSort", input, counts, offsets, order, inverse, null, null, tokens, experts, chosen);
    return [counts, offsets, order, inverse];
  });
}

describe("moeSort", () => {
  it.each(SIZES)("%i tokens, %i experts, %i chosen", (tokens, experts, chosen) => {
    const ids = rng(tokens + experts).integers(tokens * chosen, experts);
    const [counts, offsets, order, inverse] = sort(ids, tokens, experts, chosen);
    const reference = permutation(ids, experts);
    expect(Array.from(counts)).toEqual(Array.from(reference.counts));
    expect(Array.from(offsets)).toEqual(Array.from(reference.offsets));
    expect(Array.from(order)).toEqual(Array.from(reference.order));
    expect(Array.from(inverse)).toEqual(Array.from(reference.inverse));
  });

  it("keeps the order of tokens where all choose one expert, and leaves the others empty", () => {
    const rows = 5000;
    const [counts, offsets, order, inverse] = sort(new Float64Array(rows).fill(3), rows, 5, 1);
    const ascending = Array.from({ length: rows }, (_, r) => r);
    expect(Array.from(counts)).toEqual([0, 0, 0, rows, 0]);
    expect(Array.from(offsets)).toEqual([0, 0, 0, 0, rows, rows]);
    expect(Array.from(order)).toEqual(ascending);
    expect(Array.from(inverse)).toEqual(ascending);
  });

  it("leaves every other token of a large batch out of the totals", () => {
    const [tokens, experts, chosen] = [1000, 7, 3];
    const random = rng(9);
    const ids = random.integers(tokens * chosen, experts);
    const counted = random.integers(tokens, 2).map((x) => (x === 0 ? -100 : 5));
    const totals = upload(new Float64Array(experts), "i32");
    const [counts, offsets] = [poisoned(experts, "i32"), poisoned(experts + 1, "i32")];
    const [order, inverse] = [poisoned(ids.length, "i32"), poisoned(ids.length, "i32")];
    const words = [tokens, experts, chosen] as const;
    const mask = upload(counted, "i32");
    call("moeSort", upload(ids, "i32"), counts, offsets, order, inverse, totals, mask, ...words);
    const expected = new Array<number>(experts).fill(0);
    for (const [r, id] of Array.from(ids).entries()) {
      if (counted[Math.floor(r / chosen)] >= 0) expected[id]++;
    }
    expect(Array.from(download(totals))).toEqual(expected);
  });

  it("adds the load of every call to the totals", () => {
    const ids = upload([0, 2, 2, 1], "i32");
    const totals = upload([5, 0, 1], "i32");
    const [counts, offsets] = [poisoned(3, "i32"), poisoned(4, "i32")];
    const [order, inverse] = [poisoned(4, "i32"), poisoned(4, "i32")];
    for (let i = 0; i < 2; i++) call("moeSort", ids, counts, offsets, order, inverse, totals, null, 2, 3, 2);
    expect(Array.from(download(totals))).toEqual([7, 2, 5]);
    call("moeSort", ids, counts, offsets, order, inverse, totals, upload([5, -100], "i32"), 2, 3, 2);
    expect(Array.from(download(totals))).toEqual([8, 2, 6]);
  });

  it("leaves tokens that do not count out of the totals, and only there", () => {
    const ids = upload([0, 2, 2, 1, 0, 1], "i32");
    const totals = upload([5, 0, 1], "i32");
    const [counts, offsets] = [poisoned(3, "i32"), poisoned(4, "i32")];
    const [order, inverse] = [poisoned(6, "i32"), poisoned(6, "i32")];
    call("moeSort", ids, counts, offsets, order, inverse, totals, upload([0, -100, 7], "i32"), 3, 3, 2);
    expect(Array.from(download(totals))).toEqual([7, 1, 2]);
    expect(Array.from(download(counts))).toEqual([2, 2, 2]);
  });

  it("names an expert that does not exist", () => {
    const [counts, offsets] = [poisoned(3, "i32"), poisoned(4, "i32")];
    const [order, inverse] = [poisoned(4, "i32"), poisoned(4, "i32")];
    call("moeSort", upload([0, 1, 3, 1], "i32"), counts, offsets, order, inverse, null, null, 2, 3, 2);
    expect(() => download(order)).toThrow(/expert id 3 of choice 2 does not lie in 0..2/);
  });
});

describe.each(FLOATS)("dispatch %s", (dtype) => {
  const widths = [1, 7, 16, 64, 100, 256, 1032];

  it.each(SIZES.filter(([tokens]) => tokens < 1000))(
    "%i tokens, %i experts, %i chosen",
    (tokens, experts, chosen) => {
      for (const width of widths) {
        const random = rng(width + tokens);
        const rows = tokens * chosen;
        const { order, inverse } = permutation(random.integers(rows, experts), experts);
        const x = rounded(random.normals(tokens * width), dtype);
        const y = rounded(random.normals(rows * width), dtype);
        const dy = rounded(random.normals(tokens * width), dtype);
        const weights = rounded(random.normals(rows), "f32");
        const [xT, yT, dyT, weightsT] = [
          upload(x, dtype),
          upload(y, dtype),
          upload(dy, dtype),
          upload(weights),
        ];
        const [orderT, inverseT] = [upload(order, "i32"), upload(inverse, "i32")];
        const sizes = [tokens, chosen, width] as const;

        const [permuted] = repeatable(() => {
          const out = poisoned(rows * width, dtype);
          call("moePermute", xT, orderT, out, rows, chosen, width, dtype);
          return [out];
        });
        expect(Array.from(permuted)).toEqual(Array.from(permuteRows(x, order, chosen, width)));

        const combine = (weight: typeof weightsT | null, addend: typeof xT | null): Float64Array =>
          repeatable(() => {
            const out = poisoned(tokens * width, dtype);
            call("moeCombineForward", yT, weight, inverseT, addend, out, ...sizes, dtype);
            return [out];
          })[0];
        const tolerance = TOLERANCE[dtype];
        expectClose(
          combine(weightsT, xT),
          combineRows(y, weights, inverse, chosen, width, x),
          tolerance,
          "combined",
        );
        expectClose(
          combine(weightsT, null),
          combineRows(y, weights, inverse, chosen, width),
          tolerance,
          "no addend",
        );
        expectClose(
          combine(null, null),
          permuteRowsBackward(y, inverse, chosen, width),
          tolerance,
          "no weights",
        );

        const [dx, dweights] = repeatable(() => {
          const out = [poisoned(rows * width, dtype), poisoned(rows)];
          call("moeCombineBackward", dyT, yT, weightsT, inverseT, ...out, ...sizes, dtype);
          return out;
        });
        const reference = combineRowsBackward(y, weights, inverse, dy, chosen, width);
        expectClose(dx, reference.dx, tolerance, "dx");
        expectClose(dweights, reference.dweights, TOLERANCE.f32, "dweights");
      }
    },
  );
});

describe("moeBiasUpdate", () => {
  it("raises the idle, lowers the busy, leaves the average alone and clears the load", () => {
    const bias = upload([0.5, 0, -1, 2]);
    const totals = upload([4, 0, 2, 2], "i32");
    call("moeBiasUpdate", bias, totals, 4, 0.25);
    expect(Array.from(download(bias))).toEqual(
      Array.from(updateRouterBias([0.5, 0, -1, 2], [4, 0, 2, 2], 0.25)),
    );
    expect(Array.from(download(totals))).toEqual([0, 0, 0, 0]);
  });

  it("compares with the mean exactly for large loads", () => {
    // The mean is 2²⁴ + 1/3, which f32 rounds to 2²⁴: the first two experts lie below it all the same.
    const load = [2 ** 24, 2 ** 24, 2 ** 24 + 1];
    const bias = upload([0, 0, 0]);
    call("moeBiasUpdate", bias, upload(load, "i32"), 3, 1);
    expect(Array.from(download(bias))).toEqual([1, 1, -1]);
  });
});
