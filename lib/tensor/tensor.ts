/**
 * Tensor: a thin class around an integer handle into the addon's slot table. Data lie on a device, contiguous and row-major; every
 * operation is queued on the device's ordered stream and returns at once. Reading is a promise.
 */

import { DisposedError, DtypeError, ShapeError } from "../errors.js";
import { Claim } from "../native/accounting.js";
import { addon, typedError } from "../native/addon.js";
import { type DeviceName, defaultDevice, deviceId } from "../native/device.js";
import { DTYPE_BYTES, type Dtype } from "../native/dtype.js";
import type { TapeNode } from "./autograd.js";
import { registerTensor, unregisterTensor } from "./scope.js";

/** Lengths of the dimensions, outermost first; `[]` is a scalar. */
export type Shape = readonly number[];

/** Host data of a tensor: f32 and bf16 as Float32Array, i32 as Int32Array, u8 as Uint8Array. */
export type TensorData = Float32Array | Int32Array | Uint8Array;

/** Number of elements of a shape. */
export function sizeOf(shape: Shape): number {
  let size = 1;
  for (const length of shape) size *= length;
  return size;
}

/** `[2, 3]`, for messages. */
export function showShape(shape: Shape): string {
  return `[${shape.join(", ")}]`;
}

// The leak net: frees a tensor that nobody disposed once its object is collected. Memory does not depend on it.
const net = new FinalizationRegistry<Claim>((claim) => {
  addon().release(claim.handle);
  claim.release();
});

/** Widens bf16 bit patterns to f32. */
export function widenBf16(bits: Uint16Array): Float32Array {
  const words = new Uint32Array(bits.length);
  for (let i = 0; i < bits.length; i++) words[i] = bits[i] << 16;
  return new Float32Array(words.buffer);
}

/** A multi-dimensional array on a device. Make one with `tensor`, `zeros`, … or an operation; free it with `scope` or `dispose`. */
export class Tensor {
  readonly shape: Shape;
  readonly dtype: Dtype;
  readonly device: DeviceName;
  /** Whether gradients flow to this tensor. Set it on leaves only (parameters). */
  requiresGrad = false;
  /** Gradient of a leaf after `backward()`: f32, of this shape; null before. */
  grad: Tensor | null = null;
  /** @internal The operation that made this tensor, while its graph lives. */
  node: TapeNode | null = null;
  /** @internal Index among the node's outputs. */
  outputIndex = 0;
  /** @internal A scalar known on the host to be 1: lets losses skip the multiplication by the incoming gradient. */
  isOne = false;
  /** @internal Whether another tensor may share the memory: then it must not be added to in place. */
  shared = false;
  /** @internal The scope that will dispose it. */
  owner: unknown;
  /** @internal Slot in the addon's table; 0 once disposed. Operations read `use()`. */
  handle: number;
  /** @internal Its share of the memory, for the accounts by category. */
  claim: Claim;
  /** @internal Makes the values again after `discard`. */
  private again: (() => Tensor) | null = null;

  /** @internal Wraps a claimed handle that this object owns from now on. */
  constructor(claim: Claim, shape: Shape, dtype: Dtype, device: DeviceName) {
    this.handle = claim.handle;
    this.claim = claim;
    this.shape = shape;
    this.dtype = dtype;
    this.device = device;
    registerTensor(this);
    net.register(this, claim, this);
  }

  /** Number of elements. */
  get size(): number {
    return sizeOf(this.shape);
  }

  /** Number of dimensions. */
  get rank(): number {
    return this.shape.length;
  }

  /** Bytes of the data. */
  get byteLength(): number {
    return this.size * DTYPE_BYTES[this.dtype];
  }

  /** Whether `dispose` was called. */
  get isDisposed(): boolean {
    return this.handle === 0;
  }

  /** @internal The live handle; throws DisposedError otherwise. */
  use(): number {
    if (this.handle === 0 && this.again !== null) this.revive(this.again);
    if (this.handle === 0) {
      throw new DisposedError(
        `A tensor of shape ${showShape(this.shape)} was used after it was disposed. Return it from its scope, keep() it, or read it before backward() frees the graph.`,
        { shape: this.shape },
      );
    }
    return this.handle;
  }

  /** Frees the memory, once no other tensor shares it. Doing it twice is harmless. */
  dispose(): void {
    if (this.handle === 0 && this.again === null) return;
    unregisterTensor(this);
    this.again = null;
    this.giveBack();
    this.node = null;
    this.grad?.dispose();
    this.grad = null;
  }

  private giveBack(): void {
    if (this.handle === 0) return;
    net.unregister(this);
    addon().release(this.handle);
    this.claim.release();
    this.handle = 0;
  }

  /** @internal Frees the memory, history and scope staying as they are; the next use makes the values with `again`. Nothing is done where a view shares them. */
  discard(again: () => Tensor): void {
    if (this.handle === 0 || !this.claim.sole) return;
    this.giveBack();
    this.again = again;
  }

  private revive(again: () => Tensor): void {
    this.again = null;
    const made = again();
    this.claim = made.claim;
    this.handle = made.handle;
    unregisterTensor(made);
    net.unregister(made);
    made.handle = 0;
    net.register(this, this.claim, this);
  }

  /** Frees the memory at the end of a `using` block. */
  [Symbol.dispose](): void {
    this.dispose();
  }

  /** @internal A second tensor over the same memory, without history; `shape` and `byteOffset` choose a contiguous part. */
  alias(shape: Shape = this.shape, byteOffset = 0): Tensor {
    const handle = addon().view(this.use(), byteOffset, sizeOf(shape) * DTYPE_BYTES[this.dtype]);
    const result = new Tensor(this.claim.view(handle), shape, this.dtype, this.device);
    result.isOne = this.isOne;
    result.shared = true;
    this.shared = true;
    return result;
  }

  /** @internal Hands the memory to a new tensor of another shape of the same size; this one counts as disposed. */
  move(shape: Shape): Tensor {
    this.use();
    unregisterTensor(this);
    net.unregister(this);
    this.handle = 0;
    const result = new Tensor(this.claim, shape, this.dtype, this.device);
    result.shared = this.shared;
    return result;
  }

  /** The same memory without history: gradients stop here. */
  detach(): Tensor {
    return this.alias();
  }

  /** Overwrites the data; `data` has `size` elements (bf16 takes f32 values and rounds them to nearest even). Queued. */
  write(data: TensorData | Uint16Array): void {
    if (data.length !== this.size) {
      throw new ShapeError(
        `write: a tensor of shape ${showShape(this.shape)} needs ${this.size} values, got ${data.length}.`,
        {
          shape: this.shape,
          values: data.length,
        },
      );
    }
    const bytes = encode(data, this.dtype);
    try {
      addon().write(this.use(), 0, bytes);
    } catch (error) {
      throw typedError(error);
    }
  }

  /** The bytes as stored, little-endian. */
  async bytes(): Promise<Uint8Array> {
    const target = new Uint8Array(this.byteLength);
    await this.readInto(target);
    return target;
  }

  /** The values: f32 and bf16 as Float32Array, i32 as Int32Array, u8 as Uint8Array. Rejects with KernelError when an earlier kernel failed. */
  async data(): Promise<TensorData> {
    const target = storage(this.dtype, this.size);
    await this.readInto(target);
    return target instanceof Uint16Array ? widenBf16(target) : target;
  }

  /** Like `data`, but blocks the thread until the value is there. For scripts and tests; a server should await `data`. */
  dataSync(): TensorData {
    const target = storage(this.dtype, this.size);
    try {
      addon().readSync(this.use(), 0, target);
    } catch (error) {
      throw typedError(error);
    }
    return target instanceof Uint16Array ? widenBf16(target) : target;
  }

  /** The only value of a one-element tensor. */
  async item(): Promise<number> {
    if (this.size !== 1)
      throw new ShapeError(`item: expected one element, got shape ${showShape(this.shape)}.`, {
        shape: this.shape,
      });
    return (await this.data())[0];
  }

  private async readInto(target: ArrayBufferView): Promise<void> {
    try {
      await addon().read(this.use(), 0, target);
    } catch (error) {
      throw typedError(error);
    }
  }
}

function storage(dtype: Dtype, size: number): Float32Array | Int32Array | Uint8Array | Uint16Array {
  switch (dtype) {
    case "f32":
      return new Float32Array(size);
    case "bf16":
      return new Uint16Array(size);
    case "i32":
      return new Int32Array(size);
    case "u8":
      return new Uint8Array(size);
    default:
      throw new DtypeError(`A tensor of dtype ${dtype} holds addresses and cannot be read.`, { dtype });
  }
}

/** Rounds f32 values to bf16 bit patterns, to nearest even; NaN stays NaN. */
export function roundToBf16(values: ArrayLike<number>): Uint16Array {
  const f32 = values instanceof Float32Array ? values : Float32Array.from(values);
  const words = new Uint32Array(f32.buffer, f32.byteOffset, f32.length);
  const bits = new Uint16Array(f32.length);
  for (let i = 0; i < bits.length; i++) {
    const u = words[i];
    bits[i] = (u & 0x7fffffff) > 0x7f800000 ? (u >>> 16) | 0x40 : (u + 0x7fff + ((u >>> 16) & 1)) >>> 16;
  }
  return bits;
}

function encode(data: TensorData | Uint16Array, dtype: Dtype): ArrayBufferView {
  switch (dtype) {
    case "f32":
      return data instanceof Float32Array ? data : Float32Array.from(data);
    case "bf16":
      return data instanceof Uint16Array ? data : roundToBf16(data);
    case "i32":
      return data instanceof Int32Array ? data : Int32Array.from(data);
    default:
      return data instanceof Uint8Array ? data : Uint8Array.from(data);
  }
}

/** Checks that a shape consists of non-negative integers. */
export function checkShape(shape: Shape): void {
  if (shape.every((length) => Number.isInteger(length) && length >= 0)) return;
  throw new ShapeError(`A shape must consist of non-negative integers, got ${showShape(shape)}.`, { shape });
}

/** Options of functions that make tensors. */
export interface TensorOptions {
  /** Default f32. */
  dtype?: Dtype;
  /** Default: the default device. */
  device?: DeviceName;
  /** Whether gradients are recorded for it. Default false. */
  requiresGrad?: boolean;
}

/** A new tensor whose values are undefined. */
export function empty(shape: Shape, options: TensorOptions = {}): Tensor {
  return allocate(shape, options, false);
}

/** @internal Like `empty`; while kernel calls are recorded, in memory that none of them uses, so that the host may write into it before every replay. */
export function emptyFresh(shape: Shape, options: TensorOptions = {}): Tensor {
  return allocate(shape, options, true);
}

function allocate(shape: Shape, options: TensorOptions, fresh: boolean): Tensor {
  checkShape(shape);
  const { dtype = "f32", device = defaultDevice(), requiresGrad = false } = options;
  const bytes = sizeOf(shape) * DTYPE_BYTES[dtype];
  let handle: number;
  try {
    handle = addon().allocate(deviceId(device), bytes, fresh);
  } catch (error) {
    throw typedError(error);
  }
  const result = new Tensor(Claim.fresh(handle, bytes, device, requiresGrad), shape, dtype, device);
  result.requiresGrad = requiresGrad;
  return result;
}

/** Nested arrays of numbers. */
export type NestedNumbers = number | readonly NestedNumbers[];

function shapeOf(values: NestedNumbers): number[] {
  if (typeof values === "number") return [];
  return values.length === 0 ? [0] : [values.length, ...shapeOf(values[0])];
}

function flatten(values: NestedNumbers, shape: Shape, depth: number, out: number[]): void {
  if (typeof values === "number") {
    if (depth === shape.length) {
      out.push(values);
      return;
    }
  } else if (depth < shape.length && values.length === shape[depth]) {
    for (const item of values) flatten(item, shape, depth + 1, out);
    return;
  }
  throw new ShapeError(
    `tensor: nested arrays must be rectangular; expected shape ${showShape(shape)} throughout.`,
    { shape },
  );
}

/**
 * A tensor from host values: a number, nested arrays, or a typed array with `shape`. dtype defaults to f32 for numbers and Float32Array, i32 for Int32Array,
 * u8 for Uint8Array.
 */
export function tensor(
  values: NestedNumbers | TensorData,
  options: TensorOptions & { shape?: Shape } = {},
): Tensor {
  let data: TensorData;
  let shape: Shape;
  if (values instanceof Float32Array || values instanceof Int32Array || values instanceof Uint8Array) {
    data = values;
    shape = options.shape ?? [values.length];
  } else {
    const inferred = shapeOf(values);
    const flat: number[] = [];
    flatten(values, inferred, 0, flat);
    data = Float32Array.from(flat);
    if (options.dtype === "i32") data = Int32Array.from(flat);
    shape = options.shape ?? inferred;
  }
  const natural: Dtype = data instanceof Int32Array ? "i32" : data instanceof Uint8Array ? "u8" : "f32";
  const result = empty(shape, {
    dtype: options.dtype ?? natural,
    device: options.device,
    requiresGrad: options.requiresGrad,
  });
  result.write(data);
  return result;
}
