/** Packing of whole documents into rows: against a search through all rows, for every token, and for what batches make of it. */
import { mkdtemp, readdir, readFile, rm, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import {
  type BestFitOptions,
  IGNORE_INDEX,
  PackingPlan,
  positionIds,
  TokenBatches,
  type TokenShard,
  TokenStream,
} from "../../lib/data/index.js";
import { readPlanHeader } from "../../lib/data/packing/plan-file.js";
import { ConfigError, DataError, FormatError } from "../../lib/errors.js";
import { packDocuments } from "../../lib/native/text/packing.js";
import { faultyFileSystem } from "../io/faults.js";
import { numberedShards, randomNumbers } from "./shards.js";

let dir: string;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), "anneal-packing-"));
});
afterAll(() => rm(dir, { recursive: true }));

const boundsOf = (lengths: readonly number[]) => {
  const bounds = new Float64Array(lengths.length + 1);
  lengths.forEach((length, i) => {
    bounds[i + 1] = bounds[i] + length;
  });
  return bounds;
};

/** Rows as lists of [start, length]. */
function rowsOf({ pieces, ends }: { pieces: BigUint64Array; ends: Uint32Array }): [number, number][][] {
  return Array.from(ends, (end, row) =>
    Array.from(pieces.subarray(row === 0 ? 0 : ends[row - 1], end), (piece): [number, number] => [
      Number(piece >> 24n),
      Number(piece & 0xffffffn),
    ]),
  );
}

const DISTRIBUTIONS: [string, (random: () => number) => number][] = [
  ["short and long", (random) => Math.ceil(random() ** 4 * 200)],
  ["equal", () => 17],
  ["one token", () => 1],
  ["just above half", (random) => 51 + Math.floor(random() * 3)],
  ["as long as a row", (random) => 98 + Math.floor(random() * 4)],
  ["log-normal", (random) => Math.ceil(Math.exp(3 + 1.5 * (random() + random() + random() - 1.5)))],
];

/** Pieces shorter than a row, of documents longer than a row the rest. */
const rests = (lengths: readonly number[], capacity: number) =>
  lengths.map((length) => length % capacity).filter((length) => length > 0);

/** Rooms left by best-fit decreasing, found by looking at every row. */
function bruteBestFit(lengths: readonly number[], capacity: number): number[] {
  const rooms: number[] = [];
  for (const length of rests(lengths, capacity).sort((a, b) => b - a)) {
    let best = -1;
    rooms.forEach((room, row) => {
      if (room >= length && (best === -1 || room < rooms[best])) best = row;
    });
    if (best === -1) best = rooms.push(capacity) - 1;
    rooms[best] -= length;
  }
  return rooms.sort((a, b) => a - b);
}

/** Rows that next fit needs: a row is closed when the next document does not fit. */
function nextFitRows(lengths: readonly number[], capacity: number): number {
  let rows = 0;
  let room = 0;
  for (const length of rests(lengths, capacity)) {
    if (length > room) {
      rows++;
      room = capacity;
    }
    room -= length;
  }
  return rows + lengths.reduce((sum, length) => sum + Math.floor(length / capacity), 0);
}

describe("best fit", () => {
  it.each(DISTRIBUTIONS)("is that of a search through all rows (%s)", async (_, draw) => {
    for (const capacity of [1, 7, 100, 5000]) {
      const random = randomNumbers(capacity);
      const lengths = Array.from({ length: 500 }, () => draw(random));
      const bounds = boundsOf(lengths);
      const packed = await packDocuments(bounds, { capacity, aligned: false, crop: false, buffer: 1 });
      const rows = rowsOf(packed);
      const rooms = rows.map((row) => capacity - row.reduce((sum, [, length]) => sum + length, 0));
      const whole = lengths.reduce((sum, length) => sum + Math.floor(length / capacity), 0);
      const expected = [...new Array(whole).fill(0), ...bruteBestFit(lengths, capacity)];
      expect(rooms.sort((a, b) => a - b)).toEqual(expected.sort((a, b) => a - b));
      expect(packed.padding).toBe(rooms.reduce((sum, room) => sum + room, 0));
      expect(packed.dropped).toBe(0);
      expect(packed.cut).toBe(lengths.filter((length) => length > capacity).length);
      // Where all documents are nearly equal, next fit may be lucky by a row.
      expect(rows.length).toBeLessThanOrEqual(nextFitRows(lengths, capacity) + 1);
      // Every token of every document once, and no piece across documents.
      const pieces = rows.flat().sort((a, b) => a[0] - b[0]);
      let next = 0;
      let document = 0;
      for (const [start, length] of pieces) {
        while (bounds[document + 1] <= start) document++;
        if (start !== next || start + length > bounds[document + 1]) throw new Error(`piece at ${start}`);
        next += length;
      }
      expect(next).toBe(bounds[lengths.length]);
    }
  });

  it("wastes next to nothing where there are many documents", async () => {
    const random = randomNumbers(1);
    const lengths = Array.from({ length: 200_000 }, () =>
      Math.ceil(Math.exp(5 + 2.4 * (random() + random() - 1))),
    );
    const packed = await packDocuments(boundsOf(lengths), {
      capacity: 2049,
      aligned: false,
      crop: false,
      buffer: 1,
    });
    expect(packed.padding / (packed.ends.length * 2049)).toBeLessThan(1e-3);
  });

  it("keeps the first row of a long document where rows begin with documents", async () => {
    const packed = await packDocuments(boundsOf([25, 4, 9, 10, 3]), {
      ...{ capacity: 10, aligned: true, crop: false, buffer: 1 },
    });
    expect(rowsOf(packed)).toEqual([
      [[0, 10]],
      [[38, 10]],
      [[29, 9]],
      [
        [25, 4],
        [48, 3],
      ],
    ]);
    expect([packed.dropped, packed.padding, packed.cut]).toEqual([15, 4, 1]);
  });
});

/** Row by row the longest document that fits, else the beginning of the shortest; documents are drawn in order. */
function bruteCrop(lengths: readonly number[], capacity: number, aligned: boolean, buffer: number) {
  const rows: [number, number][][] = [];
  const items: [number, number][] = [];
  let start = 0;
  for (const length of lengths) {
    const kept = aligned ? Math.min(length, capacity) : length;
    for (let at = 0; at < kept; at += capacity) {
      const count = Math.min(capacity, kept - at);
      if (count === capacity) rows.push([[start + at, count]]);
      else items.push([start + at, count]);
    }
    start += length;
  }
  const hand: [number, number][] = [];
  while (items.length > 0 || hand.length > 0) {
    const row: [number, number][] = [];
    let room = capacity;
    const refill = () => {
      while (items.length > 0 && hand.length < buffer) hand.push(items.shift() as [number, number]);
    };
    for (refill(); room > 0 && hand.length > 0; refill()) {
      const fitting = hand.filter(([, length]) => length <= room);
      const longest = Math.max(...fitting.map(([, length]) => length));
      const shortest = Math.min(...hand.map(([, length]) => length));
      const wanted = fitting.length > 0 ? longest : shortest;
      const [[at]] = hand.splice(
        hand.findIndex(([, length]) => length === wanted),
        1,
      );
      row.push([at, Math.min(wanted, room)]);
      room -= Math.min(wanted, room);
    }
    rows.push(row.sort((a, b) => a[0] - b[0]));
  }
  return rows;
}

describe("rows filled by cropping", () => {
  it.each(DISTRIBUTIONS)("are those of a search through all documents (%s)", async (_, draw) => {
    for (const [capacity, aligned, buffer] of [
      [100, true, 40],
      [100, false, 1000],
      [33, true, 1],
    ] as const) {
      const random = randomNumbers(capacity + buffer);
      const lengths = Array.from({ length: 300 }, () => draw(random));
      const packed = await packDocuments(boundsOf(lengths), { capacity, aligned, crop: true, buffer });
      const rows = rowsOf(packed);
      expect(rows).toEqual(bruteCrop(lengths, capacity, aligned, buffer));
      const placed = rows.flat().reduce((sum, [, length]) => sum + length, 0);
      expect(placed + packed.dropped).toBe(lengths.reduce((sum, length) => sum + length, 0));
      expect(placed + packed.padding).toBe(rows.length * capacity);
      // All rows but the last are full.
      expect(packed.padding).toBeLessThan(capacity);
      if (aligned) {
        const starts = new Set(boundsOf(lengths));
        for (const row of rows) for (const [start] of row) expect(starts.has(start)).toBe(true);
      }
    }
  });
});

describe("a plan", () => {
  const random = randomNumbers(3);
  const lengths = Array.from({ length: 400 }, () => 1 + Math.floor(random() ** 3 * 90));
  const total = lengths.reduce((sum, length) => sum + length, 0);
  let shards: TokenShard[];
  beforeAll(async () => {
    shards = await numberedShards(dir, lengths, 120);
  });

  const open = (options: Partial<BestFitOptions> = {}, folder = "plans") =>
    PackingPlan.open(new TokenStream(shards), {
      ...{ sequenceLength: 32, dirs: [join(dir, folder)], name: "train", ...options },
    });

  it("is kept, found again, and made anew when something else is wanted", async () => {
    const folder = join(dir, "kept");
    const first = await open({}, "kept");
    expect(first.report).toMatchObject({ documents: 400, tokens: total, dropped: 0 });
    const { rows, padding, efficiency } = first.report;
    expect(rows * 33 - padding).toBe(total);
    expect(efficiency).toBeCloseTo(total / (rows * 33), 12);
    const bytes = await readFile(first.path);
    const again = await open({}, "kept");
    expect(again.path).toBe(first.path);
    expect((await readFile(again.path)).equals(bytes)).toBe(true);
    await open({ sequenceLength: 16 }, "kept");
    await open({ crop: true, aligned: true }, "kept");
    expect((await readdir(folder)).length).toBe(3);
    // Damaged in any place: made again, the same.
    for (const at of [0, 9, 20, 60, 100, 1024, bytes.length - 1]) {
      const damaged = Buffer.from(bytes);
      damaged[at] ^= 1;
      await writeFile(first.path, damaged);
      await expect(readPlanHeader(first.path)).rejects.toBeInstanceOf(FormatError);
      (await open({}, "kept")).close();
      expect((await readFile(first.path)).equals(bytes)).toBe(true);
    }
    await truncate(first.path, bytes.length - 8);
    await expect(readPlanHeader(first.path)).rejects.toThrow(/truncated/);
    first.close();
    expect(() => first.row(0)).toThrow(/closed/);
  });

  it("goes into the next folder where the first cannot be written, and is an error where none can", async () => {
    const file = join(dir, "a-file");
    await writeFile(file, "");
    const plan = await PackingPlan.open(new TokenStream(shards), {
      ...{ sequenceLength: 8, dirs: [join(file, "x"), join(dir, "second")], name: "train" },
    });
    expect(plan.path.startsWith(join(dir, "second"))).toBe(true);
    const full = join(dir, "full");
    const { trace } = await failing(full);
    for (let at = 0; at < trace.length; at++) {
      await rm(full, { recursive: true, force: true });
      const { error, trace: seen } = await failing(full, at);
      if (error !== undefined) {
        expect(error, seen[at]).toBeInstanceOf(DataError);
        expect((error as Error).message).toMatch(/Could not write the packing plan train-.*full.*Free space/);
      }
      // What has its name is whole.
      const names = (await readdir(full).catch(() => [])).filter((name) => /^train-.*rows$/.test(name));
      for (const name of names) await readPlanHeader(join(full, name));
      expect(names.length).toBeLessThanOrEqual(1);
    }
  });

  async function failing(folder: string, at = -1) {
    const { fs, trace } = faultyFileSystem({ at, errno: "ENOSPC" });
    const error = await PackingPlan.open(new TokenStream(shards), {
      ...{ sequenceLength: 8, dirs: [folder], name: "train", fs },
    }).then(
      () => undefined,
      (reason: unknown) => reason,
    );
    return { trace, error };
  }

  it("stops when it is told to, and refuses nothing and too much", async () => {
    await expect(
      PackingPlan.open(new TokenStream(shards), {
        ...{ sequenceLength: 11, dirs: [join(dir, "stopped")], name: "train", signal: AbortSignal.abort() },
      }),
    ).rejects.toThrow(/abort/i);
    expect(await readdir(join(dir, "stopped"))).toEqual([]);
    const none = await numberedShards(dir, [], 1, "none");
    expect(none).toEqual([]);
    await expect(open({ sequenceLength: 2 ** 24 })).rejects.toThrow(
      /sequenceLength must be an integer from 1/,
    );
  });

  it.each([
    [false, false],
    [false, true],
    [true, false],
    [true, true],
  ])("gives batches whose rows are its rows (crop %s, mask %s)", async (crop, documentMask) => {
    const T = 32;
    const plan = await open({ crop, aligned: crop });
    const batches = new TokenBatches({
      shards,
      sequenceLength: T,
      batchSize: 3,
      plan,
      documentMask,
      seed: 9,
    });
    expect(batches.windows).toBe(plan.rows);
    const begins = new Set(boundsOf(lengths).subarray(0, lengths.length));
    const seen = new Map<number, number>();
    const steps = Math.ceil(plan.rows / 3);
    for (let step = 0; step < steps; step++) {
      const { inputs, targets, cuSeqlens, maxSeqlen } = await batches.batchAt(step);
      for (let r = 0; r < 3 && step * 3 + r < plan.rows; r++) {
        // The row as the plan has it, token for token; ids are places in the stream.
        const tokens: number[] = [];
        const first = tokenAt(inputs, targets, r * T);
        const row = rowWith(plan, first);
        const starts: number[] = [];
        for (let i = 0; i < row.length; i += 2) {
          starts.push(tokens.length);
          for (let k = 0; k < row[i + 1]; k++) tokens.push(row[i] + k);
        }
        for (const token of tokens) seen.set(token, (seen.get(token) ?? 0) + 1);
        const padded = Array.from({ length: T }, (_, i) => (i + 1 < tokens.length ? tokens[i] : 0));
        expect([...inputs.subarray(r * T, (r + 1) * T)]).toEqual(padded);
        const wanted = padded.map((_, i) => {
          const crosses = documentMask && starts.includes(i + 1);
          return i + 1 < tokens.length && !crosses ? tokens[i + 1] : IGNORE_INDEX;
        });
        expect([...targets.subarray(r * T, (r + 1) * T)]).toEqual(wanted);
        if (documentMask) {
          const mine = [...(cuSeqlens as Int32Array)].filter((at) => at >= r * T && at < (r + 1) * T);
          const boundaries = starts.filter((start) => start < tokens.length - 1);
          if (tokens.length - 1 < T && tokens.length > 1) boundaries.push(tokens.length - 1);
          expect(mine.map((at) => at - r * T)).toEqual(boundaries);
        }
        if (crop) expect(begins.has(tokens[0])).toBe(true);
      }
      if (documentMask) {
        const cu = cuSeqlens as Int32Array;
        expect(maxSeqlen).toBe(Math.max(...cu.slice(1).map((end, i) => end - cu[i])));
        const positions = positionIds(cu);
        expect(positions.length).toBe(3 * T);
        const counted = Array.from(positions, (_, i) => (cu.includes(i) ? 0 : positions[i - 1] + 1));
        expect([...positions]).toEqual(counted);
      }
    }
    if (!crop) {
      expect(seen.size).toBe(total);
      expect([...seen.values()].every((count) => count === 1)).toBe(true);
    }
    plan.close();
  });

  const tokenAt = (inputs: Int32Array, targets: Int32Array, at: number) =>
    targets[at] === IGNORE_INDEX && inputs[at] === 0 ? -1 : inputs[at];

  /** The pieces of the row that begins with a token; −1 for a row of a single token, which is no input. */
  function rowWith(plan: PackingPlan, first: number): number[] {
    for (let row = 0; row < plan.rows; row++) {
      const pieces = plan.row(row);
      if (pieces[0] === first || (first === -1 && pieces.length === 2 && pieces[1] === 1)) return pieces;
    }
    throw new Error(`no row begins with ${first}`);
  }

  it("is divided among ranks, resumed anywhere, and part of the fingerprint", async () => {
    const plan = await open();
    const make = (options = {}) =>
      new TokenBatches({ shards, sequenceLength: 32, batchSize: 4, plan, seed: 5, ...options });
    const whole = make();
    const all = [];
    for (let step = 0; step < 12; step++) all.push(await whole.batchAt(step));
    for (const step of [11, 0, 7]) expect(await make().batchAt(step)).toEqual(all[step]);
    for (const step of [0, 5]) {
      const parts: number[] = [];
      for (const rank of [0, 1]) {
        parts.push(...(await make({ batchSize: 2, rank, worldSize: 2 }).batchAt(step)).inputs);
      }
      expect(parts).toEqual([...all[step].inputs]);
    }
    expect(make({ plan: undefined }).fingerprint).not.toBe(whole.fingerprint);
    expect(() => make({ mode: "random" })).toThrow(ConfigError);
    expect(() => make({ sequenceLength: 16 })).toThrow(/rows of 32 tokens.*to have 16/);
  });
});
