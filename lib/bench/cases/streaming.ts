/** Cases of kernels that pass over their data once, element by element. */
import { BINARY_OPS, RANDOM_KINDS, UNARY_OPS } from "../../tensor/ops/codes.js";
import { tensor } from "../../tensor/tensor.js";
import { bound, bytesOf, type KernelCase, kernelCase, output, random, shapeText, six } from "./case.js";

/** copyStrided of [rows, heads, head] in the order of `permutation`. */
function permuted(name: string, axes: "matrix" | "heads", permutation: readonly number[]): KernelCase {
  return kernelCase(name, ({ rows, width, heads, head }, dtype) => {
    const shape = axes === "matrix" ? [rows, width] : [rows, heads, head];
    const strides = shape.map((_, i) => shape.slice(i + 1).reduce((a, b) => a * b, 1));
    const target = permutation.map((axis) => shape[axis]);
    const x = random(dtype, ...shape);
    const y = output(dtype, ...target);
    const from = permutation.map((axis) => strides[axis]);
    const to = target.map((_, i) => target.slice(i + 1).reduce((a, b) => a * b, 1));
    const layout = [...six(target), ...six(from, 0), ...six(to, 0)];
    return {
      shape: shapeText(...shape),
      bytes: 2 * x.size * bytesOf(dtype),
      call: bound("copyStrided", x, y, dtype, shape.length, 0, 0, 0, ...layout),
    };
  });
}

function unary(op: keyof typeof UNARY_OPS): KernelCase {
  return kernelCase(`unary ${op}`, ({ rows, width }, dtype) => {
    const x = random(dtype, rows, width);
    const y = output(dtype, rows, width);
    return {
      shape: shapeText(rows, width),
      bytes: 2 * x.size * bytesOf(dtype),
      call: bound("unary", x, y, x.size, UNARY_OPS[op], dtype, 0, 0),
    };
  });
}

function drawn(kind: "uniform" | "normal"): KernelCase {
  return kernelCase(`random ${kind}`, ({ rows, width }, dtype) => {
    const y = output(dtype, rows, width);
    return {
      shape: shapeText(rows, width),
      bytes: y.size * bytesOf(dtype),
      call: bound("random", y, y.size, dtype, RANDOM_KINDS[kind], 1, 2, 0, 1),
    };
  });
}

function binary(name: string, bStride: (width: number) => number[], wide: boolean): KernelCase {
  return kernelCase(name, ({ rows, width }, dtype) => {
    const a = random(dtype, rows, width);
    const b = wide ? random(dtype, rows, width) : random(dtype, width);
    const y = output(dtype, rows, width);
    const strides = [...six([width, 1], 0), ...six(bStride(width), 0)];
    return {
      shape: shapeText(rows, width),
      bytes: (a.size + b.size + y.size) * bytesOf(dtype),
      call: bound("binary", a, b, y, BINARY_OPS.add, dtype, 2, ...six([rows, width]), ...strides),
    };
  });
}

/** All of them. */
export const STREAMING_CASES: readonly KernelCase[] = [
  kernelCase("fill", ({ rows, width }, dtype) => {
    const y = output(dtype, rows, width);
    return {
      shape: shapeText(rows, width),
      bytes: y.size * bytesOf(dtype),
      call: bound("fill", y, y.size, dtype, 1.5),
    };
  }),
  kernelCase("cast", ({ rows, width }, dtype) => {
    const x = random(dtype, rows, width);
    const to = dtype === "f32" ? "bf16" : "f32";
    return {
      shape: shapeText(rows, width),
      bytes: 6 * x.size,
      call: bound("cast", x, output(to, rows, width), x.size, dtype, to),
    };
  }),
  permuted("copyStrided", "matrix", [0, 1]),
  permuted("copyStrided transpose", "matrix", [1, 0]),
  permuted("copyStrided heads", "heads", [1, 0, 2]),
  kernelCase("axpy", ({ rows, width }, dtype) => {
    const x = random(dtype, rows, width);
    const y = random("f32", rows, width);
    return {
      shape: shapeText(rows, width),
      bytes: (bytesOf(dtype) + 8) * x.size,
      call: bound("axpy", x, null, y, x.size, dtype, "f32", 1e-3, 1),
    };
  }),
  unary("exp"),
  unary("geluTanh"),
  kernelCase("unaryBackward geluTanh", ({ rows, width }, dtype) => {
    const [x, dy, dx] = [random(dtype, rows, width), random(dtype, rows, width), output(dtype, rows, width)];
    return {
      shape: shapeText(rows, width),
      bytes: 3 * x.size * bytesOf(dtype),
      call: bound("unaryBackward", x, dy, dx, x.size, UNARY_OPS.geluTanh, dtype, 0, 0),
    };
  }),
  binary("binary add", (width) => [width, 1], true),
  binary("binary add row", () => [0, 1], false),
  kernelCase("where", ({ rows, width }, dtype) => {
    const bits = new Uint8Array(rows * width);
    for (let i = 0; i < bits.length; i++) bits[i] = ((i * 7) >> 3) & 1;
    const condition = tensor(bits);
    const [a, b, y] = [random(dtype, rows, width), random(dtype, rows, width), output(dtype, rows, width)];
    const strides = new Array(3).fill(six([width, 1], 0)).flat() as number[];
    return {
      shape: shapeText(rows, width),
      bytes: a.size * (3 * bytesOf(dtype) + 1),
      call: bound("where", condition, a, b, y, dtype, 2, ...six([rows, width]), ...strides),
    };
  }),
  drawn("uniform"),
  drawn("normal"),
  kernelCase("dropout", ({ rows, width }, dtype) => {
    const [x, y] = [random(dtype, rows, width), output(dtype, rows, width)];
    return {
      shape: shapeText(rows, width),
      bytes: 2 * x.size * bytesOf(dtype),
      call: bound("dropout", x, y, null, x.size, dtype, 0.1, 1, 2),
    };
  }),
];
