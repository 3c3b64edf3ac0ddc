/** Conversions between stored element types and f32 on the host. None assumes an aligned input. */

import { DtypeError, ShapeError } from "../errors.js";
import { type Dtype, dtypeBytes } from "./arrays.js";

/** The same bytes as elements of another width; copied only where the offset is not a multiple of that width. */
function view<T>(
  bytes: Uint8Array,
  make: { new (buffer: ArrayBufferLike, offset: number, length: number): T; BYTES_PER_ELEMENT: number },
): T {
  const width = make.BYTES_PER_ELEMENT;
  const source = bytes.byteOffset % width === 0 ? bytes : new Uint8Array(bytes);
  return new make(source.buffer, source.byteOffset, source.byteLength / width);
}

/** Value of one float with `exponentBits` and `mantissaBits` in IEEE style (subnormals, infinities, NaN). */
function decodeFloat(bits: number, exponentBits: number, mantissaBits: number): number {
  const sign = bits >> (exponentBits + mantissaBits) ? -1 : 1;
  const top = (1 << exponentBits) - 1;
  const exponent = (bits >> mantissaBits) & top;
  const mantissa = bits & ((1 << mantissaBits) - 1);
  const bias = top >> 1;
  if (exponent === top) return mantissa === 0 ? sign * Number.POSITIVE_INFINITY : Number.NaN;
  if (exponent === 0) return sign * mantissa * 2 ** (1 - bias - mantissaBits);
  return sign * (1 + mantissa / (1 << mantissaBits)) * 2 ** (exponent - bias);
}

/** OCP FP8 E4M3: no infinities; only S.1111.111 is NaN, so that the largest value is 448. */
function decodeE4m3(bits: number): number {
  if ((bits & 0x7f) === 0x7f) return Number.NaN;
  if ((bits & 0x78) !== 0x78) return decodeFloat(bits, 4, 3);
  return (bits & 0x80 ? -1 : 1) * (1 + (bits & 7) / 8) * 256;
}

const tables = new Map<string, Float32Array>();

/** A table of all `count` values of a narrow type, made at first use. */
function table(key: string, count: number, decode: (bits: number) => number): Float32Array {
  let values = tables.get(key);
  if (values === undefined) {
    values = Float32Array.from({ length: count }, (_, bits) => decode(bits));
    tables.set(key, values);
  }
  return values;
}

/** Value of an IEEE half-precision number given by its 16 bits. */
export function f16ToF32(bits: number): number {
  return decodeFloat(bits & 0xffff, 5, 10);
}

function lookUp(codes: Uint8Array | Uint16Array, values: Float32Array): Float32Array {
  const out = new Float32Array(codes.length);
  for (let i = 0; i < codes.length; i++) out[i] = values[codes[i]];
  return out;
}

/** 64-bit integers as f32: two halves are summed in f64, which is exact up to 2^53, then rounded once more to f32. */
function wideIntegers(bytes: Uint8Array, signed: boolean): Float32Array {
  const words = view(bytes, Uint32Array);
  const out = new Float32Array(words.length / 2);
  for (let i = 0; i < out.length; i++) {
    const high = signed ? words[2 * i + 1] | 0 : words[2 * i + 1];
    out[i] = high * 2 ** 32 + words[2 * i];
  }
  return out;
}

/**
 * The elements of a stored array as f32.
 * @param dtype element type of `bytes`
 * @param bytes row-major little-endian elements at any offset
 * @returns one f32 per element; for aligned f32 input this is a view of `bytes`, otherwise new memory
 * @throws ShapeError when the length is no multiple of the element size, DtypeError for complex numbers
 */
export function toF32(dtype: Dtype, bytes: Uint8Array): Float32Array {
  const width = dtypeBytes(dtype);
  if (bytes.byteLength % width !== 0) {
    throw new ShapeError(
      `${bytes.byteLength} bytes are not a whole number of ${dtype} elements of ${width} bytes. Pass the whole array.`,
      { dtype, bytes: bytes.byteLength },
    );
  }
  switch (dtype) {
    case "f32":
      return view(bytes, Float32Array);
    case "bf16": {
      const codes = view(bytes, Uint16Array);
      const words = new Uint32Array(codes.length);
      for (let i = 0; i < codes.length; i++) words[i] = codes[i] << 16;
      return new Float32Array(words.buffer);
    }
    case "f16":
      return lookUp(
        view(bytes, Uint16Array),
        table("f16", 65536, (bits) => decodeFloat(bits, 5, 10)),
      );
    case "f8e4m3":
      return lookUp(bytes, table(dtype, 256, decodeE4m3));
    case "f8e5m2":
      return lookUp(
        bytes,
        table(dtype, 256, (bits) => decodeFloat(bits, 5, 2)),
      );
    case "f8e8m0":
      return lookUp(
        bytes,
        table(dtype, 256, (bits) => (bits === 255 ? Number.NaN : 2 ** (bits - 127))),
      );
    case "f64":
      return Float32Array.from(view(bytes, Float64Array));
    case "i64":
      return wideIntegers(bytes, true);
    case "u64":
      return wideIntegers(bytes, false);
    case "i32":
      return Float32Array.from(view(bytes, Int32Array));
    case "u32":
      return Float32Array.from(view(bytes, Uint32Array));
    case "i16":
      return Float32Array.from(view(bytes, Int16Array));
    case "u16":
      return Float32Array.from(view(bytes, Uint16Array));
    case "i8":
      return Float32Array.from(view(bytes, Int8Array));
    case "u8":
    case "bool":
      return Float32Array.from(bytes);
    default:
      throw new DtypeError(`Elements of dtype ${dtype} have no f32 value. Read the raw bytes instead.`, {
        dtype,
      });
  }
}

/**
 * Rounds f32 to bf16, to the nearest and ties to even, as hardware does. NaN stays NaN (made quiet, sign kept);
 * values beyond the largest bf16 become infinite.
 * @returns the 16 bits of each bf16 number
 */
export function f32ToBf16(values: Float32Array): Uint16Array {
  const words = new Uint32Array(values.buffer, values.byteOffset, values.length);
  const out = new Uint16Array(values.length);
  for (let i = 0; i < words.length; i++) {
    const word = words[i];
    const nan = (word & 0x7fffffff) > 0x7f800000;
    out[i] = nan ? (word >>> 16) | 0x40 : (word + 0x7fff + ((word >>> 16) & 1)) >>> 16;
  }
  return out;
}
