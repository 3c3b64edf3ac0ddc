/**
 * Harness of the kernel suites: uploads host values, calls kernels of the table directly, reads results, and runs every call twice and with one and two
 * threads, bit-equal. The device comes from ANNEAL_DEVICE (default cpu), so that one suite serves every backend.
 */
import { expect } from "vitest";
import { defaultDevice, deviceId, getThreads, setThreads } from "../../lib/native/device.js";
import { DTYPE_CODE, type Dtype } from "../../lib/native/dtype.js";
import { callKernel, type KernelName } from "../../lib/native/kernels.js";
import { empty, type Shape, sizeOf, type Tensor, tensor } from "../../lib/tensor/tensor.js";
import { toBf16, toF32 } from "../reference/array.js";

/** The floating-point dtypes that every floating-point kernel takes. */
export const FLOATS = ["f32", "bf16"] as const;
export type Float = (typeof FLOATS)[number];

/** A size of a test: `large`, or `small` on the SIMT interpreter, which runs every GPU thread in turn. */
export function quick<Size>(large: Size, small: Size): Size {
  return defaultDevice().startsWith("simt") ? small : large;
}

/** Relative error ‖out − ref‖/‖ref‖ that one rounding of every element and a short f32 sum may cause. */
export const TOLERANCE: Readonly<Record<Float, number>> = { f32: 2e-6, bf16: 4e-3 };

/** Values as a dtype holds them, in double precision: give these to the oracle. */
export function rounded(values: ArrayLike<number>, dtype: Dtype): Float64Array {
  const round =
    dtype === "bf16" ? toBf16 : dtype === "f32" ? toF32 : (x: ArrayLike<number>) => Float64Array.from(x);
  return Float64Array.from(round(values) as ArrayLike<number>);
}

/** A tensor that holds host values. */
export function upload(
  values: ArrayLike<number>,
  dtype: Dtype = "f32",
  shape: Shape = [values.length],
): Tensor {
  const data =
    dtype === "i32"
      ? Int32Array.from(values)
      : dtype === "u8"
        ? Uint8Array.from(values)
        : Float32Array.from(values);
  return tensor(data, { dtype, shape });
}

/** A tensor filled with NaN (or a large number for integers): what a kernel does not write stays visible. */
export function poisoned(count: number | Shape, dtype: Dtype = "f32"): Tensor {
  const shape = typeof count === "number" ? [count] : count;
  const size = sizeOf(shape);
  if (dtype === "i32") return tensor(new Int32Array(size).fill(-123456789), { shape });
  if (dtype === "u8") return tensor(new Uint8Array(size).fill(222), { shape });
  const result = empty(shape, { dtype });
  result.write(new Float32Array(size).fill(Number.NaN));
  return result;
}

/** The values of a tensor, in double precision. Throws KernelError when a kernel before it failed. */
export function download(t: Tensor): Float64Array {
  return Float64Array.from(t.dataSync());
}

/** Calls a kernel; tensors are passed as handles, null as the null pointer, dtype names as codes, booleans as 0 and 1. */
export function call(name: KernelName, ...args: (number | boolean | Tensor | Dtype | null)[]): void {
  callKernel(
    deviceId(defaultDevice()),
    name,
    ...args.map((arg) => {
      if (arg === null) return 0;
      if (typeof arg === "number") return arg;
      if (typeof arg === "boolean") return arg ? 1 : 0;
      if (typeof arg === "string") return DTYPE_CODE[arg];
      return arg.use();
    }),
  );
}

/** Pads a shape or strides to the six words that kernels with broadcasting take. */
export function six(values: readonly number[], filler = 1): number[] {
  return [...values, ...new Array<number>(6 - values.length).fill(filler)];
}

/**
 * Runs `body` (which makes fresh outputs and returns them) with the full team twice and with one thread once; all results must be bit-equal. Returns the
 * values of the first run.
 */
export function repeatable(body: () => Tensor[]): Float64Array[] {
  const read = (): { bits: Buffer[]; values: Float64Array[] } => {
    const outputs = body();
    const values = outputs.map(download);
    const bits = values.map((v) => Buffer.from(v.buffer.slice(0)));
    for (const output of outputs) output.dispose();
    return { bits, values };
  };
  const first = read();
  const second = read();
  const threads = getThreads();
  setThreads(threads === 1 ? 2 : 1);
  const other = read();
  setThreads(threads);
  for (let i = 0; i < first.bits.length; i++) {
    expect(Buffer.compare(first.bits[i], second.bits[i]), `output ${i} differs between two runs`).toBe(0);
    expect(Buffer.compare(first.bits[i], other.bits[i]), `output ${i} depends on the number of threads`).toBe(
      0,
    );
  }
  return first.values;
}

/** ‖out − ref‖/‖ref‖ (‖out‖ when ref is 0). NaN where either holds NaN. */
export function errorOf(out: ArrayLike<number>, ref: ArrayLike<number>): number {
  let difference = 0;
  let size = 0;
  for (let i = 0; i < ref.length; i++) {
    if (out[i] === ref[i]) {
      if (Number.isFinite(ref[i])) size += ref[i] ** 2;
      continue;
    }
    difference += (out[i] - ref[i]) ** 2;
    size += ref[i] ** 2;
  }
  if (out.length !== ref.length) return Number.NaN;
  return size === 0 ? Math.sqrt(difference) : Math.sqrt(difference / size);
}

/** Asserts that `out` follows `ref` within a relative error. */
export function expectClose(
  out: ArrayLike<number>,
  ref: ArrayLike<number>,
  tolerance: number,
  what = "output",
): void {
  const error = errorOf(out, ref);
  expect(error, `${what}: relative error`).toBeLessThanOrEqual(tolerance);
}
