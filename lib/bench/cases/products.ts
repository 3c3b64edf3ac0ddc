/** Cases of matrix products and of the losses that are fused with one. */
import { DTYPE_BYTES } from "../../native/dtype.js";
import { normal } from "../../tensor/ops/random.js";
import { tensor } from "../../tensor/tensor.js";
import type { CaseSizes } from "../sizes.js";
import { bound, bytesOf, ids, type KernelCase, kernelCase, output, random, shapeText } from "./case.js";

const IGNORED = -100;

/** a·b of squares; the letters say which operand is stored transposed. The gradient of a weight, TN, is f32. */
function product(name: string, transA: 0 | 1, transB: 0 | 1): KernelCase {
  return kernelCase(name, ({ product: sides }, dtype) => {
    const n = sides[dtype];
    const out = transA === 1 ? "f32" : dtype;
    const [a, b, c] = [random(dtype, n, n), random(dtype, n, n), output(out, n, n)];
    const sizes = [1, n, n, n, transA, transB, n, n, n, 0, 0, 0];
    return {
      shape: shapeText(n, n, n),
      bytes: n * n * (2 * bytesOf(dtype) + bytesOf(out)),
      flops: 2 * n ** 3,
      call: bound("matmul", a, b, c, null, ...sizes, 1, 0, dtype, out),
    };
  });
}

/** Products of each expert's rows with its weight; `mode` as in GroupedMode. */
function grouped(name: string, mode: 0 | 1 | 2): KernelCase {
  return kernelCase(name, (sizes, dtype) => {
    const { experts, expertRows: rows, expertInputs: k, expertOutputs: n } = sizes;
    const offsets = tensor(
      Int32Array.from({ length: experts + 1 }, (_, e) => Math.round((e * rows) / experts)),
    );
    const [inputs, outputs] = [random(dtype, rows, k), random(dtype, rows, n)];
    const weight = random(dtype, experts, n, k);
    const operands = [
      [inputs, weight, outputs],
      [outputs, weight, inputs],
      [outputs, inputs, mode === 2 ? output("f32", experts, n, k) : weight],
    ][mode];
    const [columns, depth] = mode === 1 ? [k, n] : [n, k];
    const words = [experts, rows, columns, depth, mode, 0];
    return {
      shape: `${experts} of ${shapeText(Math.round(rows / experts), n, k)}`,
      bytes: operands.reduce((sum, { size, dtype: of }) => sum + size * DTYPE_BYTES[of], 0),
      flops: 2 * rows * n * k,
      call: bound("groupedMatmul", ...operands, offsets, ...words, dtype, operands[2].dtype),
    };
  });
}

/** Inputs of a loss: hidden rows, the projection and the targets. */
function lossInputs({ lossRows, lossWidth, lossVocabulary }: CaseSizes, dtype: "f32" | "bf16") {
  const weight = normal([lossVocabulary, lossWidth], 0, 1 / Math.sqrt(lossWidth), { dtype });
  return {
    tensors: [random(dtype, lossRows, lossWidth), weight, ids(lossRows, lossVocabulary)],
    sizes: [lossRows, lossWidth, lossVocabulary, IGNORED],
    shape: shapeText(lossRows, lossWidth, lossVocabulary),
    weight,
    /** Operations of one product. */
    flops: 2 * lossRows * lossWidth * lossVocabulary,
    bytes: (lossRows + lossVocabulary) * lossWidth * bytesOf(dtype),
  };
}

function crossEntropy(name: string, gradients: boolean): KernelCase {
  return kernelCase(name, (sizes, dtype) => {
    const { tensors, weight, flops, bytes, shape, sizes: words } = lossInputs(sizes, dtype);
    const { lossRows, lossWidth, lossVocabulary } = sizes;
    const dh = gradients ? output(dtype, lossRows, lossWidth) : null;
    const dweight = gradients ? output("f32", lossVocabulary, lossWidth) : null;
    const outputs = [output("f32", 1), null, null, dh, dweight];
    return {
      shape,
      bytes: gradients ? 2 * bytes + 4 * weight.size : bytes,
      flops: (gradients ? 3 : 1) * flops,
      call: bound("linearCrossEntropy", ...tensors, ...outputs, ...words, 0, 0, 0, 1, 0, 0, 0, dtype),
    };
  });
}

/** All of them. */
export const PRODUCT_CASES: readonly KernelCase[] = [
  product("matmul NT", 0, 1),
  product("matmul NN", 0, 0),
  product("matmul TN", 1, 0),
  grouped("groupedMatmul NT", 0),
  grouped("groupedMatmul NN", 1),
  grouped("groupedMatmul TN", 2),
  crossEntropy("linearCrossEntropy", true),
  crossEntropy("linearCrossEntropy loss alone", false),
  kernelCase("tokenLogProbsForward", (sizes, dtype) => {
    const { tensors, flops, bytes, shape, sizes: words } = lossInputs(sizes, dtype);
    const rows = sizes.lossRows;
    const outputs = [output("f32", rows), output("f32", rows), output("f32", rows)];
    const call = bound("tokenLogProbsForward", ...tensors, ...outputs, ...words, 1, 0, dtype);
    return { shape, bytes, flops, call };
  }),
  kernelCase("tokenLogProbsBackward", (sizes, dtype) => {
    const { tensors, weight, flops, bytes, shape, sizes: words } = lossInputs(sizes, dtype);
    const { lossRows: rows, lossWidth, lossVocabulary } = sizes;
    // About the log-sum-exp of as many normal logits.
    const lse = normal([rows], Math.log(lossVocabulary) + 0.5, 0.1);
    const saved = [lse, null, random("f32", rows), null];
    const outputs = [output(dtype, rows, lossWidth), output("f32", lossVocabulary, lossWidth)];
    return {
      shape,
      bytes: 2 * bytes + 4 * weight.size,
      flops: 3 * flops,
      call: bound("tokenLogProbsBackward", ...tensors, ...saved, ...outputs, ...words, 1, 0, 0, dtype),
    };
  }),
];
