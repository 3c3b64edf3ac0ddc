/** Training and evaluation batches: each target once, any step reachable, exact resume, prefetch. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import {
  evaluationWindowCount,
  evaluationWindows,
  IGNORE_INDEX,
  openShards,
  prefetch,
  ShardWriter,
  TokenBatches,
  type TokenBatchesOptions,
  type TokenShard,
  targetBytes,
} from "../../lib/data/index.js";
import { AnnealError, ConfigError, DataError } from "../../lib/errors.js";

let dir: string;
let shards: TokenShard[];
const LENGTHS = [100, 37, 64];
const TOTAL = 201;

/** Token i of the stream has the id i, documents begin every 23 tokens, and every token stands for two bytes of text. */
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), "anneal-batches-"));
  const paths: string[] = [];
  let next = 0;
  for (const length of LENGTHS) {
    const path = join(dir, `${paths.length}.tokens`);
    const writer = await ShardWriter.create(path, { vocabSize: 1000, tokenizerFingerprint: "ab".repeat(32) });
    for (let i = 0; i < length; i++, next++) {
      if (next % 23 === 0) writer.beginDocument();
      await writer.write([next], 2, 2);
    }
    await writer.close();
    paths.push(path);
  }
  shards = await openShards(paths);
});
afterAll(() => rm(dir, { recursive: true }));

const make = (options: Partial<TokenBatchesOptions> = {}) =>
  new TokenBatches({ shards, sequenceLength: 8, batchSize: 5, seed: 42, ...options });

/** Rows of one batch: [inputs, targets]. */
function rows(batch: { inputs: Int32Array; targets: Int32Array }, T: number): [number[], number[]][] {
  return Array.from({ length: batch.inputs.length / T }, (_, row) => [
    [...batch.inputs.subarray(row * T, (row + 1) * T)],
    [...batch.targets.subarray(row * T, (row + 1) * T)],
  ]);
}

describe("packed", () => {
  it("uses every window once per epoch, and every target once", async () => {
    // 200 targets in windows of 8: 25 windows, five batches of five.
    const batches = make();
    expect([batches.windows, batches.stepsPerEpoch]).toEqual([25, 5]);
    const orders: string[] = [];
    for (const epoch of [0, 1, 2]) {
      const targets: number[] = [];
      for (let step = epoch * 5; step < epoch * 5 + 5; step++) {
        const batch = await batches.batchAt(step);
        expect(batch.step).toBe(step);
        expect(batch.epoch).toBeCloseTo(step / 5, 12);
        for (const [input, target] of rows(batch, 8)) expect(target).toEqual(input.map((id) => id + 1));
        targets.push(...batch.targets);
      }
      orders.push(targets.join());
      expect(targets.sort((a, b) => a - b)).toEqual(Array.from({ length: 200 }, (_, i) => i + 1));
    }
    expect(new Set(orders).size).toBe(3);
  });

  it("runs on across epochs that do not end with a batch", async () => {
    const batches = make({ batchSize: 7 });
    const starts: number[] = [];
    for (let step = 0; step < 25; step++) starts.push(...batches.rowStarts(step));
    for (let epoch = 0; epoch < 7; epoch++) {
      expect(new Set(starts.slice(epoch * 25, epoch * 25 + 25)).size).toBe(25);
    }
  });

  it("leaves out the incomplete window at the end", () => {
    const batches = make({ sequenceLength: 9 });
    expect(batches.windows).toBe(22);
    const starts = new Set(Array.from({ length: 22 }, (_, step) => batches.rowStarts(step)).flat());
    expect(Math.max(...starts)).toBe(21 * 9);
  });
});

describe("random", () => {
  it("begins rows at any token that has a whole row after it", async () => {
    const batches = make({ mode: "random", batchSize: 16 });
    expect(batches.windows).toBe(TOTAL - 8);
    const starts = new Set<number>();
    for (let step = 0; step < 400; step++) {
      for (const start of batches.rowStarts(step)) starts.add(start);
    }
    // 6,400 draws from 193 places: none is missed but with probability below 1e-12.
    expect(starts.size).toBe(TOTAL - 8);
    const batch = await batches.batchAt(3);
    expect(rows(batch, 8).map(([input]) => input[0])).toEqual(batches.rowStarts(3));
    for (const [input, target] of rows(batch, 8)) expect(target).toEqual(input.map((id) => id + 1));
  });
});

describe.each(["packed", "random"] as const)("exact resume (%s)", (mode) => {
  it("gives the batch of any step again, in any order, from a new instance", async () => {
    const first = make({ mode });
    const all = [];
    for (let step = 0; step < 12; step++) all.push(await first.batchAt(step));
    const second = make({ mode });
    for (const step of [11, 3, 7, 3, 0]) expect(await second.batchAt(step)).toEqual(all[step]);
    expect(second.fingerprint).toBe(first.fingerprint);
    expect((await make({ mode, seed: 43 }).batchAt(0)).inputs).not.toEqual(all[0].inputs);
  });

  it("divides each global batch among ranks", async () => {
    const whole = make({ mode, batchSize: 6 });
    for (const step of [0, 1, 5]) {
      const parts: number[] = [];
      for (let rank = 0; rank < 3; rank++) {
        parts.push(...(await make({ mode, batchSize: 2, rank, worldSize: 3 }).batchAt(step)).inputs);
      }
      expect(parts).toEqual([...(await whole.batchAt(step)).inputs]);
    }
    expect(make({ mode, batchSize: 2, rank: 1, worldSize: 3 }).fingerprint).toBe(whole.fingerprint);
  });
});

describe("documentMask", () => {
  it("marks documents inside rows and drops targets that cross them", async () => {
    const batches = make({ sequenceLength: 40, batchSize: 2, documentMask: true });
    for (let step = 0; step < 3; step++) {
      const { inputs, targets, cuSeqlens, maxSeqlen } = await batches.batchAt(step);
      const expected: number[] = [];
      for (let i = 0; i < 80; i++) {
        if (i % 40 === 0 || inputs[i] % 23 === 0) expected.push(i);
        const next = inputs[i] + 1;
        expect(targets[i]).toBe(next % 23 === 0 ? IGNORE_INDEX : next);
      }
      expected.push(80);
      expect(cuSeqlens).toBeInstanceOf(Int32Array);
      expect([...(cuSeqlens as Int32Array)]).toEqual(expected);
      expect(maxSeqlen).toBe(Math.max(...expected.slice(1).map((end, i) => end - expected[i])));
    }
    expect(await make().batchAt(0)).not.toHaveProperty("cuSeqlens");
  });
});

describe("evaluationWindows", () => {
  const collect = async (options: Parameters<typeof evaluationWindows>[1]) => {
    const found = [];
    for await (const batch of evaluationWindows(shards, options)) found.push(batch);
    return found;
  };

  it.each([
    [8, 1],
    [8, 3],
    [9, 4],
    [500, 2],
    [1, 64],
  ])("covers every target once with T = %i, B = %i", async (T, B) => {
    const batches = await collect({ sequenceLength: T, batchSize: B });
    const targets = batches
      .flatMap((batch) => [...batch.targets])
      .filter((target) => target !== IGNORE_INDEX);
    expect(targets).toEqual(Array.from({ length: TOTAL - 1 }, (_, i) => i + 1));
    expect(batches.reduce((sum, batch) => sum + batch.targetCount, 0)).toBe(TOTAL - 1);
    expect(batches.reduce((sum, batch) => sum + batch.bytes, 0)).toBeCloseTo(2 * (TOTAL - 1), 9);
    expect(targetBytes(shards)).toBe(2 * (TOTAL - 1));
    expect(batches.length).toBe(Math.ceil(evaluationWindowCount(shards, T) / B));
    for (const batch of batches) {
      expect(batch.inputs.length).toBe(B * T);
      batch.targets.forEach((target, i) => {
        expect(batch.inputs[i]).toBe(target === IGNORE_INDEX ? 0 : target - 1);
      });
    }
  });

  it("counts bytes by token and stops where asked", async () => {
    const tokenBytes = Array.from({ length: 1000 }, (_, id) => id % 5);
    const batches = await collect({ sequenceLength: 8, batchSize: 2, maxWindows: 3, tokenBytes });
    expect(batches.map((batch) => batch.targetCount)).toEqual([16, 8]);
    const bytes = (from: number, to: number) => {
      let sum = 0;
      for (let id = from; id < to; id++) sum += id % 5;
      return sum;
    };
    expect(batches.map((batch) => batch.bytes)).toEqual([bytes(1, 17), bytes(17, 25)]);
  });

  it("keeps documents and padding apart", async () => {
    const tokenBytes = new Array(1000).fill(2);
    const [batch] = await collect({ sequenceLength: 150, batchSize: 2, documentMask: true, tokenBytes });
    const starts = (from: number, to: number) =>
      Array.from({ length: to - from }, (_, i) => from + i).filter((id) => id % 23 === 0);
    expect([...(batch.cuSeqlens as Int32Array)]).toEqual([
      ...starts(0, 150),
      ...[150, ...starts(151, 200)],
      200,
      300,
    ]);
    expect(batch.targetCount).toBe(200 - starts(1, 201).length);
    expect(batch.bytes).toBe(2 * batch.targetCount);
    await expect(collect({ sequenceLength: 8, documentMask: true })).rejects.toThrow(/tokenBytes/);
  });
});

describe("prefetch", () => {
  it("gives batches in order and keeps the next ones loading", async () => {
    const started: number[] = [];
    const slow = {
      async batchAt(step: number) {
        started.push(step);
        // Later steps finish first.
        await new Promise((resolve) => setTimeout(resolve, 12 - (step % 4) * 3));
        return step;
      },
    };
    const seen: number[] = [];
    for await (const batch of prefetch(slow, 10, 3, { end: 18 })) {
      seen.push(batch);
      await new Promise((resolve) => setTimeout(resolve, 15));
      expect(started.length).toBe(Math.min(8, seen.length + 3));
    }
    expect(seen).toEqual([10, 11, 12, 13, 14, 15, 16, 17]);
    expect(started).toEqual(seen);
  });

  it("is the same for every depth", async () => {
    const batches = make();
    for (const depth of [1, 2, 7]) {
      let step = 3;
      for await (const batch of prefetch(batches, 3, depth, { end: 9 })) {
        expect(batch).toEqual(await batches.batchAt(step++));
      }
      expect(step).toBe(9);
    }
  });

  it("raises an error at its own step, and none when left early", async () => {
    const failing = {
      async batchAt(step: number) {
        if (step === 2) throw new DataError("broken");
        return step;
      },
    };
    const seen: number[] = [];
    await expect(
      (async () => {
        for await (const batch of prefetch(failing, 0, 4)) seen.push(batch);
      })(),
    ).rejects.toThrow("broken");
    expect(seen).toEqual([0, 1]);
    for await (const batch of prefetch(failing, 0, 4)) {
      if (batch === 1) break;
    }
    const controller = new AbortController();
    await expect(
      (async () => {
        for await (const _ of prefetch(make(), 0, 2, { signal: controller.signal })) controller.abort();
      })(),
    ).rejects.toThrow(/abort/i);
  });
});

describe("bad options", () => {
  it.each([
    [{ sequenceLength: 201 }, /has 201 tokens, but one sequence of 201 needs 202.*at most 200/],
    [{ sequenceLength: 0 }, /sequenceLength must be an integer at least 1/],
    [{ batchSize: 1.5 }, /batchSize/],
    [{ seed: -1 }, /seed/],
    [{ rank: 2, worldSize: 2 }, /rank must be an integer from 0 to 1/],
    [{ mode: "pakced" as "packed" }, /Did you mean "packed"/],
    [{ sequencLength: 3 } as Partial<TokenBatchesOptions>, /Did you mean "sequenceLength"/],
    [{ shards: [] }, /No token shards/],
  ])("refuses %o", (options, message) => {
    expect(() => make(options)).toThrow(message);
    expect(() => make(options)).toThrow(AnnealError);
  });

  it("refuses a step that is none", async () => {
    await expect(make().batchAt(-1)).rejects.toThrow(ConfigError);
  });
});
