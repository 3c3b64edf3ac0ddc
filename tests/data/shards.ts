/** Shards for tests: documents of given lengths whose tokens can be told apart. */
import { join } from "node:path";
import { openShards, ShardWriter, type TokenShard } from "../../lib/data/index.js";

/** Numbers in [0, 1) that are the same in every run. */
export function randomNumbers(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}

/**
 * Writes documents as shards: token i of the whole stream has the id i.
 * @param lengths tokens of each document
 * @param perShard documents of a shard
 */
export async function numberedShards(
  dir: string,
  lengths: readonly number[],
  perShard = lengths.length,
  name = "numbered",
): Promise<TokenShard[]> {
  const total = lengths.reduce((sum, length) => sum + length, 0);
  const paths: string[] = [];
  let next = 0;
  for (let first = 0; first < lengths.length; first += perShard) {
    const path = join(dir, `${name}-${paths.length}.tokens`);
    const writer = await ShardWriter.create(path, {
      vocabSize: Math.max(total, 2),
      tokenizerFingerprint: "ab".repeat(32),
    });
    for (const length of lengths.slice(first, first + perShard)) {
      writer.beginDocument();
      await writer.write(
        Array.from({ length }, (_, i) => next + i),
        length,
        1,
      );
      next += length;
    }
    await writer.close();
    paths.push(path);
  }
  return openShards(paths);
}
