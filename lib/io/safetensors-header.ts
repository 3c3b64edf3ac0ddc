/**
 * The header of a safetensors file: strict reading and canonical writing. The file is `u64 n | n bytes of JSON | data`
 * (all little-endian); the JSON maps names to {dtype, shape, data_offsets: [begin, end]} relative to the data.
 */

import { FormatError } from "../errors.js";
import {
  arrayBytes,
  type Dtype,
  dtypeFileName,
  dtypeFileNames,
  dtypeOfFileName,
  dtypeRank,
  type NamedArray,
} from "./arrays.js";
import { decodeUtf8, isObject, kindOf, parseJson } from "./json.js";

/** Headers above this many bytes are refused, as by the safetensors library; it also bounds memory for hostile files. */
export const MAX_HEADER_BYTES = 100_000_000;

/** One tensor of a file. */
export interface TensorEntry {
  readonly dtype: Dtype;
  readonly shape: readonly number[];
  /** First byte, counted from the start of the data. */
  readonly begin: number;
  /** One past the last byte, counted from the start of the data. */
  readonly end: number;
}

/** A validated header. */
export interface SafetensorsHeader {
  /** The string pairs of `__metadata__`; empty when absent. */
  readonly metadata: Readonly<Record<string, string>>;
  /** Tensors by name, in the order of their bytes. */
  readonly tensors: ReadonlyMap<string, TensorEntry>;
}

const FIX = "The file is damaged or was not written by a safetensors library: fetch or export it again.";

/** A FormatError about one file, with the tensor and the two values involved. */
function damaged(
  path: string,
  problem: string,
  details: { tensor?: string; expected?: unknown; got?: unknown },
): FormatError {
  const tensor = details.tensor === undefined ? "" : `tensor "${details.tensor}": `;
  return new FormatError(`${path}: ${tensor}${problem}. ${FIX}`, { path, ...details });
}

/** Names well-known other formats by their first bytes. Only for files whose length field is absurd: a valid one may look alike. */
function checkOtherFormats(start: Uint8Array, path: string): void {
  const text = Buffer.from(start).toString("latin1");
  if (text.startsWith("version ")) {
    throw new FormatError(
      `${path}: this is a Git LFS pointer, not the file itself. Run "git lfs pull" in its repository.`,
      {
        path,
      },
    );
  }
  if (text.startsWith("PK\x03\x04") || text.startsWith("\x80\x02")) {
    throw new FormatError(
      `${path}: this is a PyTorch pickle file, not safetensors. Save the model again with safe_serialization=True.`,
      { path },
    );
  }
}

/**
 * Reads the length field at the start of a file.
 * @param start the file's first bytes (8, or fewer when the file is shorter)
 * @param fileBytes length of the whole file
 * @returns bytes of JSON that follow
 */
export function parseHeaderLength(start: Uint8Array, fileBytes: number, path: string): number {
  if (start.byteLength < 8) {
    throw damaged(path, `the file is truncated: expected at least 8 bytes, got ${fileBytes}`, {
      expected: 8,
      got: fileBytes,
    });
  }
  const length = new DataView(start.buffer, start.byteOffset, 8).getBigUint64(0, true);
  if (length > BigInt(MAX_HEADER_BYTES)) {
    checkOtherFormats(start, path);
    throw damaged(
      path,
      `the header claims ${length} bytes, more than the ${MAX_HEADER_BYTES} that are allowed`,
      {
        expected: MAX_HEADER_BYTES,
        got: length,
      },
    );
  }
  if (Number(length) > fileBytes - 8) {
    throw damaged(
      path,
      `the header claims ${length} bytes, but only ${fileBytes - 8} follow (truncated file)`,
      {
        expected: Number(length),
        got: fileBytes - 8,
      },
    );
  }
  return Number(length);
}

function parseMetadata(value: unknown, path: string): Record<string, string> {
  if (value === undefined) return {};
  if (!isObject(value))
    throw damaged(path, `__metadata__ must be an object of strings, got ${kindOf(value)}`, {});
  for (const [key, item] of Object.entries(value)) {
    if (typeof item !== "string")
      throw damaged(path, `__metadata__.${key} must be a string, got ${kindOf(item)}`, {});
  }
  return value as Record<string, string>;
}

/** A JSON value as a list of non-negative exact integers, or an error that quotes the offender. */
function integers(value: unknown, what: string, path: string, tensor: string): number[] {
  if (!Array.isArray(value))
    throw damaged(path, `${what} must be an array of integers, got ${kindOf(value)}`, { tensor });
  for (const item of value) {
    if (typeof item !== "number" || !Number.isSafeInteger(item) || item < 0 || Object.is(item, -0)) {
      throw damaged(path, `${what} must hold integers from 0 to 2^53 - 1, got ${JSON.stringify(item)}`, {
        tensor,
        got: item,
      });
    }
  }
  return value as number[];
}

function parseEntry(tensor: string, value: unknown, dataBytes: number, path: string): TensorEntry {
  if (!isObject(value)) {
    throw damaged(path, `expected an object with dtype, shape and data_offsets, got ${kindOf(value)}`, {
      tensor,
    });
  }
  const dtype = typeof value.dtype === "string" ? dtypeOfFileName(value.dtype) : undefined;
  if (dtype === undefined) {
    const known = dtypeFileNames();
    throw new FormatError(
      `${path}: tensor "${tensor}": unknown dtype ${JSON.stringify(value.dtype)}; expected one of ${known.join(", ")}. Convert the tensor to one of these.`,
      { path, tensor, expected: known, got: value.dtype },
    );
  }
  const shape = integers(value.shape, "shape", path, tensor);
  const offsets = integers(value.data_offsets, "data_offsets", path, tensor);
  if (offsets.length !== 2) {
    throw damaged(path, `data_offsets must be [begin, end], got ${offsets.length} numbers`, {
      tensor,
      got: offsets,
    });
  }
  const [begin, end] = offsets;
  if (begin > end)
    throw damaged(path, `data_offsets begin at ${begin} after their end ${end}`, { tensor, got: offsets });
  if (end > dataBytes) {
    throw damaged(
      path,
      `data_offsets end at ${end}, but the file holds only ${dataBytes} bytes of data (truncated file)`,
      {
        tensor,
        expected: end,
        got: dataBytes,
      },
    );
  }
  const bytes = arrayBytes(dtype, shape);
  if (bytes !== end - begin) {
    throw damaged(
      path,
      `shape [${shape.join(", ")}] of ${value.dtype} needs ${bytes ?? "more than 2^53"} bytes, but data_offsets [${begin}, ${end}] span ${end - begin}`,
      { tensor, expected: bytes, got: end - begin },
    );
  }
  return { dtype, shape, begin, end };
}

/**
 * Parses and validates a header.
 * @param json the header's bytes, space-padded or not
 * @param dataBytes bytes of data that follow the header in the file
 * @throws FormatError for invalid JSON, duplicate names, wrong types, unknown dtypes, sizes that do not fit, and
 *   offsets out of range, overlapping, or leaving bytes that belong to no tensor
 */
export function parseHeader(json: Uint8Array, dataBytes: number, path: string): SafetensorsHeader {
  if (json[0] !== 0x7b) {
    throw damaged(
      path,
      `the header must begin with "{", got ${json.length === 0 ? "an empty header" : `byte 0x${json[0].toString(16)}`}`,
      {},
    );
  }
  const root = parseJson(decodeUtf8(json, path), `${path} (header)`) as Record<string, unknown>;
  const { __metadata__, ...items } = root;
  const metadata = parseMetadata(__metadata__, path);
  const entries = Object.entries(items)
    .map(([name, value]) => [name, parseEntry(name, value, dataBytes, path)] as const)
    .sort(([, a], [, b]) => a.begin - b.begin || a.end - b.end);
  let covered = 0;
  let previous = "";
  for (const [tensor, { begin, end }] of entries) {
    if (begin < covered) {
      throw damaged(
        path,
        `its bytes from ${begin} overlap those of tensor "${previous}", which end at ${covered}`,
        {
          tensor,
          expected: covered,
          got: begin,
        },
      );
    }
    if (begin > covered) {
      throw damaged(path, `its bytes begin at ${begin}, which leaves a hole after byte ${covered}`, {
        tensor,
        expected: covered,
        got: begin,
      });
    }
    covered = end;
    previous = tensor;
  }
  if (covered !== dataBytes) {
    throw damaged(path, `${dataBytes - covered} bytes after the last tensor belong to none`, {
      expected: covered,
      got: dataBytes,
    });
  }
  return { metadata, tensors: new Map(entries) };
}

/** What a file will look like: its first bytes, and the order in which the arrays' bytes follow. */
export interface FileLayout {
  /** Length field and padded JSON. */
  readonly head: Uint8Array;
  /** Indices into the given arrays, in file order. */
  readonly order: readonly number[];
  /** Length of the whole file in bytes. */
  readonly fileBytes: number;
}

/**
 * Lays out a file as the safetensors library does: dtypes in descending order, then names by their UTF-8 bytes; the
 * header padded by spaces to a multiple of 8, so that the data are aligned when the file is mapped.
 * @param sizes bytes of each array
 */
export function layoutFile(
  arrays: readonly NamedArray[],
  sizes: readonly number[],
  metadata: Readonly<Record<string, string>>,
): FileLayout {
  const order = arrays
    .map((_, index) => index)
    .sort(
      (a, b) =>
        dtypeRank(arrays[b].dtype) - dtypeRank(arrays[a].dtype) ||
        Buffer.compare(Buffer.from(arrays[a].name), Buffer.from(arrays[b].name)),
    );
  const pairs: string[] = [`"__metadata__":${JSON.stringify({ format: "pt", ...metadata })}`];
  let offset = 0;
  for (const index of order) {
    const { name, dtype, shape } = arrays[index];
    const entry = { dtype: dtypeFileName(dtype), shape, data_offsets: [offset, offset + sizes[index]] };
    pairs.push(`${JSON.stringify(name)}:${JSON.stringify(entry)}`);
    offset += sizes[index];
  }
  const json = new TextEncoder().encode(`{${pairs.join(",")}}`);
  const padded = Math.ceil(json.byteLength / 8) * 8;
  if (padded > MAX_HEADER_BYTES) {
    throw new FormatError(
      `The header of ${arrays.length} arrays takes ${padded} bytes; safetensors allows ${MAX_HEADER_BYTES}. Write several files.`,
      { expected: MAX_HEADER_BYTES, got: padded },
    );
  }
  const head = new Uint8Array(8 + padded).fill(0x20);
  new DataView(head.buffer).setBigUint64(0, BigInt(padded), true);
  head.set(json, 8);
  return { head, order, fileBytes: head.byteLength + offset };
}
