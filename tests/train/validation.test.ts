/** Windows of the validation text: all of it where it is short, a fixed choice from everywhere where it is long. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import {
  type EvaluationBatch,
  openShards,
  prepareTokens,
  type TokenShard,
  tokenByteTable,
} from "../../lib/data/index.js";
import { ByteTokenizer } from "../../lib/tokenizer/index.js";
import { validationWindows } from "../../lib/train/validation.js";
import { smallText } from "./small.js";

const tokenizer = new ByteTokenizer();
const tokenBytes = tokenByteTable(tokenizer);
let root: string;
let shards: TokenShard[];

beforeAll(async () => {
  root = mkdtempSync(join(tmpdir(), "anneal-validation-"));
  writeFileSync(join(root, "text.txt"), smallText());
  const { validation } = await prepareTokens({
    paths: join(root, "text.txt"),
    tokenizer,
    outDir: join(root, "data"),
    validationFraction: 0.2,
  });
  shards = await openShards(validation.shards);
});
afterAll(async () => {
  for (const shard of shards) await shard.close();
  rmSync(root, { recursive: true, force: true });
});

async function collect(maxBatches: number): Promise<EvaluationBatch[]> {
  const batches: EvaluationBatch[] = [];
  const options = { sequenceLength: 32, batchSize: 2, maxBatches, tokenBytes };
  for await (const batch of validationWindows(shards, options)) batches.push(batch);
  return batches;
}

const targets = (batches: EvaluationBatch[]) =>
  batches.reduce((sum, { targetCount }) => sum + targetCount, 0);

describe("validationWindows", () => {
  it("covers every target once where there is room for all", async () => {
    const tokens = shards.reduce((sum, { length }) => sum + length, 0);
    expect(targets(await collect(1000))).toBe(tokens - 1);
  });

  it("chooses the same windows every time, none twice, and not only from the beginning", async () => {
    const [first, second] = [await collect(10), await collect(10)];
    expect(second).toEqual(first);
    expect(first.length).toBe(10);
    expect(targets(first)).toBe(10 * 2 * 32);
    const rows = first.flatMap(({ inputs }) => [inputs.slice(0, 32).join(), inputs.slice(32).join()]);
    expect(new Set(rows).size).toBe(20);
    const beginning = new Int32Array(10 * 2 * 32);
    await shards[0].read(0, beginning.length, beginning, 0);
    const early = rows.filter((row) => beginning.join().includes(row));
    expect(early.length).toBeLessThan(10);
  });

  it("counts the bytes of what it chose", async () => {
    for (const { bytes, targets: wanted } of await collect(10)) {
      expect(bytes).toBe([...wanted].filter((id) => id < 256).length);
    }
  });
});
