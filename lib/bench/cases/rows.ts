/** Cases of kernels that work along rows: reductions, softmax, norms, look-ups, rotary embedding, gated activations, sampling. */
import { REDUCE_OPS, UNARY_OPS } from "../../tensor/ops/codes.js";
import type { CaseSizes } from "../sizes.js";
import { bound, bytesOf, ids, type KernelCase, kernelCase, output, random, shapeText } from "./case.js";

const EPS = 1e-6;

function reduction(name: string, op: keyof typeof REDUCE_OPS, columns: boolean): KernelCase {
  return kernelCase(name, ({ rows, width }, dtype) => {
    const x = random(dtype, rows, width);
    const lines = columns ? [1, rows, width] : [rows, width, 1];
    const y = output(dtype, columns ? width : rows);
    return {
      shape: shapeText(rows, width),
      bytes: (x.size + y.size) * bytesOf(dtype),
      call: bound("reduce", x, y, REDUCE_OPS[op], dtype, ...lines),
    };
  });
}

function softmax(name: string, shapeOf: (sizes: CaseSizes) => [number, number]): KernelCase {
  return kernelCase(name, (sizes, dtype) => {
    const [rows, width] = shapeOf(sizes);
    const [x, y] = [random(dtype, rows, width), output(dtype, rows, width)];
    return {
      shape: shapeText(rows, width),
      bytes: 2 * x.size * bytesOf(dtype),
      call: bound("softmax", x, y, rows, width, 0, dtype),
    };
  });
}

/** RMSNorm; with `residual` the sum of two inputs is normalised and written too. */
function rmsNorm(name: string, residual: boolean): KernelCase {
  return kernelCase(name, ({ rows, width }, dtype) => {
    const [x, weight, y] = [random(dtype, rows, width), random(dtype, width), output(dtype, rows, width)];
    const other = residual ? random(dtype, rows, width) : null;
    const total = residual ? output(dtype, rows, width) : null;
    const rstd = output("f32", rows);
    return {
      shape: shapeText(rows, width),
      bytes: (residual ? 4 : 2) * x.size * bytesOf(dtype) + 4 * rows,
      call: bound("rmsNormForward", x, other, weight, y, total, rstd, rows, width, width, dtype, EPS),
    };
  });
}

/** Gathers or scatters single elements of rows. */
function elements(name: "gather" | "scatterAdd"): KernelCase {
  return kernelCase(name, ({ rows, width }, dtype) => {
    const [x, y] = [random(dtype, rows, width), output(dtype, rows, width)];
    const index = ids(rows * width, width);
    const sizes = [rows, width, width, 1];
    return {
      shape: shapeText(rows, width),
      bytes: x.size * (2 * bytesOf(dtype) + 4),
      call: bound(name, x, index, y, dtype, ...sizes, ...(name === "scatterAdd" ? [0] : [])),
    };
  });
}

function sampling(name: string, temperature: number, topP: number): KernelCase {
  return kernelCase(name, ({ sampled, vocabulary }, dtype) => {
    const logits = random(dtype, sampled, vocabulary);
    const [chosen, logp] = [output("i32", sampled), output("f32", sampled)];
    const options = [temperature, 0, topP, 0, 1, 2];
    return {
      shape: shapeText(sampled, vocabulary),
      bytes: logits.size * bytesOf(dtype),
      call: bound("sample", logits, chosen, logp, sampled, vocabulary, dtype, ...options),
    };
  });
}

/** All of them. */
export const ROW_CASES: readonly KernelCase[] = [
  reduction("reduce sum of rows", "sum", false),
  reduction("reduce sum of columns", "sum", true),
  reduction("reduce logSumExp", "logSumExp", false),
  kernelCase("cumsum", ({ rows, width }, dtype) => {
    const [x, y] = [random(dtype, rows, width), output(dtype, rows, width)];
    return {
      shape: shapeText(rows, width),
      bytes: 2 * x.size * bytesOf(dtype),
      call: bound("cumsum", x, y, dtype, rows, width, 1, 0),
    };
  }),
  softmax("softmax", ({ rows, width }) => [rows, width]),
  softmax("softmax vocabulary", ({ sampled, vocabulary }) => [sampled, vocabulary]),
  kernelCase("softmaxBackward", ({ rows, width }, dtype) => {
    const [y, dy, dx] = [random(dtype, rows, width), random(dtype, rows, width), output(dtype, rows, width)];
    return {
      shape: shapeText(rows, width),
      bytes: 3 * y.size * bytesOf(dtype),
      call: bound("softmaxBackward", y, dy, dx, rows, width, 0, dtype),
    };
  }),
  elements("gather"),
  elements("scatterAdd"),
  sampling("sample greedy", 0, 1),
  sampling("sample top-p", 1, 0.9),
  kernelCase("embeddingForward", ({ rows, width, vocabulary }, dtype) => {
    const [weight, y] = [random(dtype, vocabulary, width), output(dtype, rows, width)];
    return {
      shape: `${shapeText(rows, width)} of ${vocabulary}`,
      bytes: 2 * y.size * bytesOf(dtype) + 4 * rows,
      call: bound("embeddingForward", ids(rows, vocabulary), weight, y, rows, width, vocabulary, dtype),
    };
  }),
  kernelCase("embeddingBackward", ({ rows, width, vocabulary }, dtype) => {
    const [dy, dweight] = [random(dtype, rows, width), output("f32", vocabulary, width)];
    return {
      shape: `${shapeText(rows, width)} of ${vocabulary}`,
      bytes: dy.size * bytesOf(dtype) + 4 * dweight.size,
      call: bound("embeddingBackward", ids(rows, vocabulary), dy, dweight, rows, width, vocabulary, dtype, 0),
    };
  }),
  rmsNorm("rmsNormForward", false),
  rmsNorm("rmsNormForward residual", true),
  kernelCase("rmsNormBackward", ({ rows, width }, dtype) => {
    const [dy, x, weight] = [random(dtype, rows, width), random(dtype, rows, width), random(dtype, width)];
    const [rstd, dx, dweight] = [random("f32", rows), output(dtype, rows, width), output("f32", width)];
    const sizes = [rows, width, width, width];
    return {
      shape: shapeText(rows, width),
      bytes: 3 * x.size * bytesOf(dtype),
      call: bound("rmsNormBackward", dy, null, x, weight, rstd, dx, dweight, ...sizes, dtype, 0),
    };
  }),
  kernelCase("layerNormForward", ({ rows, width }, dtype) => {
    const [x, weight, bias] = [random(dtype, rows, width), random(dtype, width), random(dtype, width)];
    const [y, mean, rstd] = [output(dtype, rows, width), output("f32", rows), output("f32", rows)];
    return {
      shape: shapeText(rows, width),
      bytes: 2 * x.size * bytesOf(dtype) + 8 * rows,
      call: bound("layerNormForward", x, null, weight, bias, y, null, mean, rstd, rows, width, dtype, EPS),
    };
  }),
  kernelCase("layerNormBackward", ({ rows, width }, dtype) => {
    const [dy, x, weight] = [random(dtype, rows, width), random(dtype, rows, width), random(dtype, width)];
    const [mean, rstd, dx] = [random("f32", rows), random("f32", rows), output(dtype, rows, width)];
    const [dweight, dbias] = [output("f32", width), output("f32", width)];
    const tensors = [dy, null, x, weight, mean, rstd, dx, dweight, dbias];
    return {
      shape: shapeText(rows, width),
      bytes: 3 * x.size * bytesOf(dtype),
      call: bound("layerNormBackward", ...tensors, rows, width, dtype, 0),
    };
  }),
  kernelCase("rope", ({ rows, heads, head, length }, dtype) => {
    const [x, y] = [random(dtype, rows, heads, head), output(dtype, rows, heads, head)];
    const [cos, sin] = [random("f32", length, head / 2), random("f32", length, head / 2)];
    const [row, flags] = [heads * head, [0, 0, 0]];
    const sizes = [rows, heads, head, head, 0, row, head, row, head];
    return {
      shape: shapeText(rows, heads, head),
      bytes: 2 * x.size * bytesOf(dtype),
      call: bound("rope", x, y, ids(rows, length), cos, sin, ...sizes, ...flags, length, dtype),
    };
  }),
  kernelCase("gatedForward", ({ rows, inner }, dtype) => {
    const [gate, up, y] = [
      random(dtype, rows, inner),
      random(dtype, rows, inner),
      output(dtype, rows, inner),
    ];
    return {
      shape: shapeText(rows, inner),
      bytes: 3 * y.size * bytesOf(dtype),
      call: bound("gatedForward", gate, up, y, rows, inner, inner, UNARY_OPS.silu, dtype),
    };
  }),
  kernelCase("gatedBackward", ({ rows, inner }, dtype) => {
    const inputs = [random(dtype, rows, inner), random(dtype, rows, inner), random(dtype, rows, inner)];
    const outputs = [output(dtype, rows, inner), output(dtype, rows, inner)];
    return {
      shape: shapeText(rows, inner),
      bytes: 5 * inputs[0].size * bytesOf(dtype),
      call: bound("gatedBackward", ...inputs, ...outputs, rows, inner, inner, UNARY_OPS.silu, dtype),
    };
  }),
];
