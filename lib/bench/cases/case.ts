/**
 * Room cases: the kernels that `anneal bench kernels` times, by family. A case makes one set of inputs and outputs and gives the call on them; nothing
 * is allocated while the clock runs. Cases are named after the kernel in native/core/kernels.h that they call, with what varies after a space;
 * bench/peers/torch_kernels.py has PyTorch's equivalents under the same names. This file holds what the families share.
 */
import { deviceId } from "../../native/device.js";
import { DTYPE_CODE, type Dtype } from "../../native/dtype.js";
import { callKernel, type KernelName } from "../../native/kernels.js";
import type { ComputeDtype } from "../../nn/module.js";
import { normal } from "../../tensor/ops/random.js";
import { empty, type Shape, Tensor, tensor } from "../../tensor/tensor.js";
import type { CaseSizes } from "../sizes.js";

/** One set of tensors with the call on it. */
export interface PreparedCase {
  /** For the table, such as "16384×4096". */
  shape: string;
  /** Bytes that one call must read and write at least. */
  bytes: number;
  /** Floating-point operations that it cannot do without; absent for kernels whose arithmetic does not count. */
  flops?: number;
  /** Queues the work. */
  call(): void;
}

/** A kernel to time. */
export interface KernelCase {
  name: string;
  /** The kernels of the table that it covers. */
  kernels: readonly KernelName[];
  make(sizes: CaseSizes, dtype: ComputeDtype): PreparedCase;
}

/** A case of the kernel that its name begins with. */
export function kernelCase(name: string, make: KernelCase["make"]): KernelCase {
  return { name, kernels: [name.split(" ")[0] as KernelName], make };
}

/** Bytes of an element. */
export const bytesOf = (dtype: ComputeDtype): number => (dtype === "f32" ? 4 : 2);

/** "4096×1024". */
export const shapeText = (...sizes: number[]): string => sizes.join("×");

/** Normal numbers. */
export const random = (dtype: ComputeDtype, ...shape: number[]): Tensor => normal(shape, 0, 1, { dtype });

/** Memory for a result. */
export const output = (dtype: Dtype, ...shape: number[]): Tensor => empty(shape, { dtype });

/** Ids i32 that visit all of `classes` without order. */
export function ids(count: number, classes: number): Tensor {
  const values = new Int32Array(count);
  for (let i = 0; i < count; i++) values[i] = Math.floor(((i * 0.6180339887498949) % 1) * classes);
  return tensor(values);
}

/** An argument of a kernel: a tensor, a number, a dtype's name, or null for a null pointer. */
export type Argument = Tensor | number | Dtype | null;

/** A function that queues a kernel on the default device with fixed arguments. */
export function bound(name: KernelName, ...args: Argument[]): () => void {
  const device = deviceId();
  const words = args.map((argument) => {
    if (argument === null) return 0;
    if (typeof argument === "number") return argument;
    return argument instanceof Tensor ? argument.use() : DTYPE_CODE[argument];
  });
  return () => callKernel(device, name, ...words);
}

/** Six words of a shape or of strides. */
export const six = (values: Shape, filler = 1): number[] => [
  ...values,
  ...new Array<number>(6 - values.length).fill(filler),
];
