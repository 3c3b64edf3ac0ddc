/** Named arrays, the unit that io moves: a name, a dtype, a shape and row-major little-endian bytes. */

import { DtypeError, didYouMean, FormatError, ShapeError } from "../errors.js";

/**
 * Each dtype with its name in safetensors files and its bytes per element. The order is that of the safetensors
 * library, whose files list tensors by descending dtype, so that wider elements come first and stay aligned.
 */
const DTYPES = {
  bool: ["BOOL", 1],
  u8: ["U8", 1],
  i8: ["I8", 1],
  f8e5m2: ["F8_E5M2", 1],
  f8e4m3: ["F8_E4M3", 1],
  f8e8m0: ["F8_E8M0", 1],
  i16: ["I16", 2],
  u16: ["U16", 2],
  f16: ["F16", 2],
  bf16: ["BF16", 2],
  i32: ["I32", 4],
  u32: ["U32", 4],
  f32: ["F32", 4],
  c64: ["C64", 8],
  f64: ["F64", 8],
  i64: ["I64", 8],
  u64: ["U64", 8],
} as const;

/** Element type of a stored array. */
export type Dtype = keyof typeof DTYPES;

/** An array to store, or one that was stored. */
export interface NamedArray {
  readonly name: string;
  readonly dtype: Dtype;
  /** Dimensions, outermost first; `[]` is a scalar. */
  readonly shape: readonly number[];
  /**
   * Row-major little-endian bytes, or a function that fetches them. A function is called when the array's turn comes
   * and its result is dropped afterwards, so that a model on a device is saved one array at a time.
   */
  readonly data: Uint8Array | (() => Promise<Uint8Array>);
}

const NAMES = Object.keys(DTYPES) as Dtype[];
const BY_FILE_NAME = new Map<string, Dtype>(NAMES.map((dtype) => [DTYPES[dtype][0], dtype]));

/** Whether `value` names a dtype that can be stored. */
export function isDtype(value: unknown): value is Dtype {
  return typeof value === "string" && Object.hasOwn(DTYPES, value);
}

/** Bytes of one element of `dtype`. */
export function dtypeBytes(dtype: Dtype): number {
  return DTYPES[dtype][1];
}

/** The name of `dtype` in a safetensors header, for example `BF16`. */
export function dtypeFileName(dtype: Dtype): string {
  return DTYPES[dtype][0];
}

/** The dtype that a safetensors header calls `name`, or undefined. */
export function dtypeOfFileName(name: string): Dtype | undefined {
  return BY_FILE_NAME.get(name);
}

/** All dtype names that a safetensors header may hold here. */
export function dtypeFileNames(): string[] {
  return [...BY_FILE_NAME.keys()];
}

/** Rank of a dtype in the safetensors library's order; larger ranks are written first. */
export function dtypeRank(dtype: Dtype): number {
  return NAMES.indexOf(dtype);
}

/** Bytes of an array of `shape` and `dtype`, or undefined when the product leaves the exact integers (2^53 - 1). */
export function arrayBytes(dtype: Dtype, shape: readonly number[]): number | undefined {
  let total: number = dtypeBytes(dtype);
  for (const dim of shape) {
    total *= dim;
    if (!Number.isSafeInteger(total)) return undefined;
  }
  return total;
}

/** Checks that arrays can be stored together (names, dtypes, shapes, lengths known so far) and returns their sizes in bytes. */
export function checkArrays(arrays: readonly NamedArray[]): number[] {
  const seen = new Set<string>();
  return arrays.map((array) => {
    const { name, dtype, shape } = array;
    if (typeof name !== "string" || name === "" || name === "__metadata__") {
      throw new FormatError(
        `Array name ${JSON.stringify(name)} cannot be stored: expected a non-empty string other than "__metadata__". Rename the array.`,
        { name },
      );
    }
    if (seen.has(name)) {
      throw new FormatError(
        `Two arrays are called "${name}". Names must be unique: store tied arrays once, rename others.`,
        { name },
      );
    }
    seen.add(name);
    if (!isDtype(dtype)) {
      throw new DtypeError(
        `Array "${name}" has unknown dtype "${String(dtype)}".${didYouMean(String(dtype), NAMES)} Use one of ${NAMES.join(", ")}.`,
        { name, dtype },
      );
    }
    const bad = shape.find((dim) => !Number.isSafeInteger(dim) || dim < 0);
    const bytes = bad === undefined ? arrayBytes(dtype, shape) : undefined;
    if (bytes === undefined) {
      throw new ShapeError(
        `Array "${name}" has shape [${shape.join(", ")}]: expected non-negative integers with a product below 2^53 bytes.`,
        { name, shape: [...shape] },
      );
    }
    if (array.data instanceof Uint8Array) checkLength(array, bytes, array.data);
    return bytes;
  });
}

/** Throws a ShapeError unless `data` has the `bytes` that the array's shape and dtype ask for. */
export function checkLength(array: NamedArray, bytes: number, data: Uint8Array): void {
  if (data.byteLength === bytes) return;
  throw new ShapeError(
    `Array "${array.name}" of shape [${array.shape.join(", ")}] and dtype ${array.dtype} needs ${bytes} bytes, but its data has ${data.byteLength}. Pass the shape and dtype that the data was made with.`,
    { name: array.name, shape: [...array.shape], dtype: array.dtype, expected: bytes, got: data.byteLength },
  );
}

/**
 * Splits arrays into consecutive groups of at most `maxBytes` each; an array larger than that gets a group of its own.
 * @returns lists of indices into `sizes`; at least one list, which may be empty
 */
export function groupBySize(sizes: readonly number[], maxBytes: number): number[][] {
  const groups: number[][] = [[]];
  let filled = 0;
  sizes.forEach((size, index) => {
    const last = groups[groups.length - 1];
    if (last.length > 0 && filled + size > maxBytes) {
      groups.push([index]);
      filled = size;
    } else {
      last.push(index);
      filled += size;
    }
  });
  return groups;
}
