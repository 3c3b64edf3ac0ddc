/** Writes small fastText model files from the description of the format, any part of them wrong on purpose. */

/** A matrix of rows of floats, or of product-quantised codes. */
export type ModelMatrix =
  | { rows: number[][] }
  | {
      /** Codes of each row, one per part. */
      codes: number[][];
      dimensions: number;
      width: number;
      /** Codes of the rows' lengths, and the 256 lengths. */
      norms?: { codes: number[]; lengths: number[] };
      /** centroids[part][code] = values. */
      centroids: (part: number, code: number) => number[];
    };

export interface ModelParts {
  magic?: number;
  version?: number;
  dimensions?: number;
  wordNgrams?: number;
  loss?: number;
  model?: number;
  buckets?: number;
  minCharacters?: number;
  maxCharacters?: number;
  words: string[];
  labels: string[];
  labelCounts?: number[];
  /** Bucket → row behind the words; undefined: not pruned. */
  pruned?: [number, number][];
  /** What the file says instead of the truth. */
  claimed?: { size?: number; words?: number; labels?: number; pruned?: number; type?: number };
  input: ModelMatrix;
  output: ModelMatrix;
}

class Bytes {
  private readonly parts: Buffer[] = [];
  i32(...values: number[]): this {
    for (const value of values) {
      const part = Buffer.alloc(4);
      part.writeInt32LE(value);
      this.parts.push(part);
    }
    return this;
  }
  i64(value: number): this {
    const part = Buffer.alloc(8);
    part.writeBigInt64LE(BigInt(value));
    this.parts.push(part);
    return this;
  }
  f64(value: number): this {
    const part = Buffer.alloc(8);
    part.writeDoubleLE(value);
    this.parts.push(part);
    return this;
  }
  f32(values: Iterable<number>): this {
    this.parts.push(Buffer.from(Float32Array.from(values).buffer));
    return this;
  }
  u8(...values: number[]): this {
    this.parts.push(Buffer.from(values));
    return this;
  }
  text(value: string): this {
    this.parts.push(Buffer.from(`${value}\0`));
    return this;
  }
  whole(): Buffer {
    return Buffer.concat(this.parts);
  }
}

function writeQuantiser(
  bytes: Bytes,
  dimensions: number,
  width: number,
  of: (p: number, c: number) => number[],
) {
  const parts = Math.ceil(dimensions / width);
  bytes.i32(dimensions, parts, width, dimensions - (parts - 1) * width);
  for (let part = 0; part < parts; part++) {
    for (let code = 0; code < 256; code++) {
      const values = of(part, code);
      bytes.f32(values.slice(0, Math.min(width, dimensions - part * width)));
    }
  }
}

function writeMatrix(bytes: Bytes, matrix: ModelMatrix): void {
  if ("rows" in matrix) {
    bytes.i64(matrix.rows.length).i64(matrix.rows[0]?.length ?? 0);
    for (const row of matrix.rows) bytes.f32(row);
    return;
  }
  const { codes, dimensions, width, norms, centroids } = matrix;
  bytes
    .u8(norms === undefined ? 0 : 1)
    .i64(codes.length)
    .i64(dimensions);
  bytes.i32(codes.length * Math.ceil(dimensions / width)).u8(...codes.flat());
  writeQuantiser(bytes, dimensions, width, centroids);
  if (norms !== undefined) {
    bytes.u8(...norms.codes);
    writeQuantiser(bytes, 1, 1, (_, code) => [norms.lengths[code]]);
  }
}

/** The bytes of a model file. */
export function writeModel(parts: ModelParts): Buffer {
  const { words, labels, claimed = {}, pruned } = parts;
  const bytes = new Bytes();
  bytes.i32(parts.magic ?? 793712314, parts.version ?? 12);
  const dimensions =
    parts.dimensions ?? ("rows" in parts.input ? parts.input.rows[0].length : parts.input.dimensions);
  bytes.i32(dimensions, 5, 5, 1, 5, parts.wordNgrams ?? 1, parts.loss ?? 3, parts.model ?? 3);
  bytes.i32(parts.buckets ?? 0, parts.minCharacters ?? 0, parts.maxCharacters ?? 0, 100).f64(1e-4);
  bytes.i32(
    claimed.size ?? words.length + labels.length,
    claimed.words ?? words.length,
    claimed.labels ?? labels.length,
  );
  bytes.i64(1000).i64(claimed.pruned ?? pruned?.length ?? -1);
  for (const word of words) bytes.text(word).i64(3).u8(0);
  labels.forEach((label, i) => {
    bytes
      .text(label)
      .i64(parts.labelCounts?.[i] ?? 10)
      .u8(claimed.type ?? 1);
  });
  for (const [bucket, row] of pruned ?? []) bytes.i32(bucket, row);
  bytes.u8("rows" in parts.input ? 0 : 1);
  writeMatrix(bytes, parts.input);
  bytes.u8("rows" in parts.output ? 0 : 1);
  writeMatrix(bytes, parts.output);
  return bytes.whole();
}

/** The FNV-1a of fastText's files: bytes are taken as signed. */
export function fastTextHash(text: string): number {
  let hash = 2166136261;
  for (const byte of Buffer.from(text)) hash = Math.imul(hash ^ ((byte << 24) >> 24), 16777619);
  return hash >>> 0;
}
