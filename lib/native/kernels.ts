/**
 * Kernel calls: the names of the kernel table (native/core/kernels.h) and the one function that queues a kernel. The fields of
 * each Args struct are passed in order as numbers: a tensor as its handle (0 for a null pointer), dtypes and flags as their codes.
 */

import { NativeError } from "../errors.js";
import { type Addon, addon, typedError } from "./addon.js";

/** Every kernel of the table. */
export const KERNEL_NAMES = [
  "fill",
  "cast",
  "copyStrided",
  "axpy",
  "unary",
  "unaryBackward",
  "binary",
  "where",
  "reduce",
  "cumsum",
  "softmax",
  "softmaxBackward",
  "gather",
  "scatterAdd",
  "random",
  "dropout",
  "sample",
  "embeddingForward",
  "embeddingBackward",
  "rmsNormForward",
  "rmsNormBackward",
  "layerNormForward",
  "layerNormBackward",
  "rope",
  "gatedForward",
  "gatedBackward",
  "attentionForward",
  "attentionBackward",
  "matmul",
  "groupedMatmul",
  "linearCrossEntropy",
  "tokenLogProbsForward",
  "tokenLogProbsBackward",
  "routerForward",
  "routerBackward",
  "balanceLossForward",
  "balanceLossBackward",
  "moeSort",
  "moePermute",
  "moeCombineForward",
  "moeCombineBackward",
  "moeBiasUpdate",
  "gradNorm",
  "adamw",
  "sgd",
] as const;

/** The name of a kernel. */
export type KernelName = (typeof KERNEL_NAMES)[number];

interface Table {
  native: Addon;
  ids: Record<KernelName, number>;
  lengths: Uint32Array;
}

let table: Table | undefined;

/** Number of words that a signature spells: "t2 i3" has five. */
function signatureLength(signature: string): number {
  let words = 0;
  for (const item of signature.split(" ")) words += item.length === 1 ? 1 : Number(item.slice(1));
  return words;
}

function openTable(): Table {
  const native = addon();
  const ids = {} as Record<KernelName, number>;
  native.kernels.forEach((entry, id) => {
    ids[entry.name as KernelName] = id;
  });
  const names = native.kernels.map((entry) => entry.name);
  if (names.join() !== KERNEL_NAMES.join()) {
    throw new NativeError(
      "The addon's kernel table differs from lib/native/kernels.ts. Rebuild with `npx anneal build`.",
      {
        found: names,
        expected: KERNEL_NAMES,
      },
    );
  }
  return {
    native,
    ids,
    lengths: Uint32Array.from(native.kernels, (entry) => signatureLength(entry.signature)),
  };
}

/**
 * Queues kernel `name` on a device's ordered stream; returns at once. `args` are the words of its Args struct in order. Errors that can be
 * seen now (a disposed tensor, a missing kernel) are thrown here; errors met while the kernel runs surface at the next read.
 */
export function callKernel(device: number, name: KernelName, ...args: number[]): void {
  table ??= openTable();
  const { native, ids, lengths } = table;
  const id = ids[name];
  const words = native.words;
  const count = args.length;
  if (count !== lengths[id]) {
    throw new NativeError(`Kernel ${name} takes ${lengths[id]} arguments, got ${count}.`, { kernel: name });
  }
  for (let i = 0; i < count; i++) words[i] = args[i];
  try {
    native.dispatch(device, id);
  } catch (error) {
    throw typedError(error);
  }
}
