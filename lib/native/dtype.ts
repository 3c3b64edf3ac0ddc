/** Element types of tensors: the mirror of native/core/dtype.h. */

import { DtypeError, didYouMean } from "../errors.js";

/** `f32`, `bf16` (computed in f32, rounded to nearest even), `i32`, `u8` (booleans), `i64` (tables of addresses only). */
export type Dtype = "f32" | "bf16" | "i32" | "u8" | "i64";

/** Codes that cross the language border; part of the C ABI. */
export const DTYPE_CODE: Readonly<Record<Dtype, number>> = { f32: 0, bf16: 1, i32: 2, u8: 3, i64: 4 };

/** Bytes of one element. */
export const DTYPE_BYTES: Readonly<Record<Dtype, number>> = { f32: 4, bf16: 2, i32: 4, u8: 1, i64: 8 };

/** Checks a dtype that came from outside (a command line, a config). */
export function parseDtype(name: string): Dtype {
  if (name in DTYPE_CODE) return name as Dtype;
  throw new DtypeError(
    `Unknown dtype "${name}"; expected one of ${Object.keys(DTYPE_CODE).join(", ")}.${didYouMean(name, Object.keys(DTYPE_CODE))}`,
    { dtype: name },
  );
}
