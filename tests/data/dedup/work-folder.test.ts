import { mkdir, readdir, readFile, rm, truncate, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { beforeAll, describe, expect, it } from "vitest";
import {
  type DedupResult,
  deduplicate,
  ExactDeduplicator,
  MinHashDeduplicator,
} from "../../../lib/data/dedup/index.js";
import type { FileSystem } from "../../../lib/io/index.js";
import { faultyFileSystem } from "../../io/faults.js";
import { rejection, temporaryFolder } from "../../io/temporary.js";
import { plantedPairs } from "./texts.js";

const texts = plantedPairs(2600, 8, 1);
const BATCH = 400;
// Runs of 1170 documents: five in all.
const LIMIT = 2 ** 20;
let expected: DedupResult;

beforeAll(async () => {
  const deduplicator = await MinHashDeduplicator.open();
  await deduplicator.add(texts);
  expected = await deduplicator.finish();
});

const open = (workDir: string, fs?: FileSystem) =>
  MinHashDeduplicator.open({ workDir, memoryLimit: LIMIT, ...(fs && { fs }) });

/** Goes on with all documents that do not count yet. */
async function addRest(deduplicator: MinHashDeduplicator, until = texts.length): Promise<void> {
  while (deduplicator.documents < until) {
    const at = deduplicator.documents;
    await deduplicator.add(texts.slice(at, Math.min(until, at + BATCH)));
  }
}

async function finishIn(dir: string): Promise<DedupResult> {
  const deduplicator = await open(dir);
  await addRest(deduplicator);
  const result = await deduplicator.finish();
  await deduplicator.close();
  return result;
}

describe("a work folder", () => {
  it("lets another process go on after the last whole run", async () => {
    const dir = join(await temporaryFolder(), "work");
    const first = await open(dir);
    await addRest(first, 3000);
    await first.close();
    const second = await open(dir);
    expect(second.documents).toBe(2340);
    await addRest(second);
    const result = await second.finish();
    expect(result.representative).toEqual(expected.representative);
    expect(result.facts.runs).toBe(5);
    await second.discard();
    expect(await readdir(join(dir, "..")).catch(() => [])).toEqual([]);
  });

  it("gives the same result wherever a process is killed", async () => {
    const counting = faultyFileSystem();
    const whole = await open(join(await temporaryFolder(), "work"), counting.fs);
    await addRest(whole);
    await whole.finish();
    await whole.close();
    const operations = counting.trace.length;
    expect(operations).toBeGreaterThan(40);
    for (let at = 0; at < operations; at += 7) {
      const dir = join(await temporaryFolder(), "work");
      const { fs } = faultyFileSystem({ at, mode: "crash" });
      await (async () => {
        const deduplicator = await open(dir, fs);
        await addRest(deduplicator);
        await deduplicator.finish();
      })().catch(() => undefined);
      // The process that held the lock is gone; here it was this one.
      await rm(join(dir, "lock"), { force: true });
      const result = await finishIn(dir);
      expect(result.representative, `killed at ${counting.trace[at]}`).toEqual(expected.representative);
      expect((await readdir(dir)).filter((name) => name.includes(".tmp-"))).toEqual([]);
    }
  }, 120_000);

  it("ends in a clear error when the disk is full, keeps what was there, and can be tried again", async () => {
    const counting = faultyFileSystem();
    const whole = await open(join(await temporaryFolder(), "work"), counting.fs);
    const before = counting.trace.length;
    await addRest(whole, 1600);
    await whole.close();
    const writes = counting.trace.flatMap((name, at) =>
      at >= before && name.startsWith("write") ? [at] : [],
    );
    expect(writes.length).toBeGreaterThan(10);
    for (const at of [writes[0], writes[5], writes[writes.length - 1]]) {
      const dir = join(await temporaryFolder(), "work");
      const { fs } = faultyFileSystem({ at, errno: "ENOSPC" });
      const deduplicator = await open(dir, fs);
      const error = await rejection(addRest(deduplicator));
      expect(error.code).toBe("ERR_DATA");
      expect(error.message).toMatch(
        /Could not write the keys of documents in .*ENOSPC.*Free space on that disk/,
      );
      expect(error.details).toMatchObject({ errno: "ENOSPC", dir });
      await addRest(deduplicator);
      expect((await deduplicator.finish()).representative).toEqual(expected.representative);
      await deduplicator.discard();
    }
  });

  it("refuses other settings, other documents and a second process", async () => {
    const dir = join(await temporaryFolder(), "work");
    const first = await MinHashDeduplicator.open({ workDir: dir, fingerprint: "a", memoryLimit: LIMIT });
    await expect(open(dir)).rejects.toThrow(/in use by process/);
    await first.add(texts.slice(0, 1200));
    await first.close();
    await expect(open(dir)).rejects.toThrow(/belongs to other documents/);
    await expect(MinHashDeduplicator.open({ workDir: dir, fingerprint: "a", rows: 7 })).rejects.toThrow(
      /belongs to other settings/,
    );
    await expect(ExactDeduplicator.open({ workDir: dir, fingerprint: "a" })).rejects.toThrow(
      /other settings/,
    );
    // Threads and memory do not change what the keys mean.
    const again = await MinHashDeduplicator.open({ workDir: dir, fingerprint: "a", threads: 1 });
    expect(again.documents).toBe(1170);
    await again.discard();
  });

  it("notices damaged, shortened and missing runs", async () => {
    const damage: [(path: string) => Promise<void>, RegExp][] = [
      [
        async (path) => {
          const bytes = await readFile(path);
          // The number of a document; the order of keys stays.
          bytes[16 * 100 + 12] ^= 1;
          await writeFile(path, bytes);
        },
        /damaged \((its checksum does not fit|it is out of order)\).*Remove the work folder/,
      ],
      [
        async (path) => {
          const bytes = await readFile(path);
          bytes[16 * 100] ^= 0x80;
          await writeFile(path, bytes);
        },
        /damaged \((its checksum does not fit|it is out of order)\)/,
      ],
      [(path) => truncate(path, 1000), /damaged \(it is too short\)/],
      [(path) => rm(path), /cannot be opened/],
    ];
    for (const [harm, message] of damage) {
      const dir = join(await temporaryFolder(), "work");
      const first = await open(dir);
      await addRest(first);
      await first.close();
      await harm(join(dir, "run-000001.keys"));
      const second = await open(dir);
      await addRest(second);
      await expect(second.finish()).rejects.toThrow(message);
      await second.close();
    }
  });

  it("refuses a state that cannot be read", async () => {
    const dir = await temporaryFolder();
    await writeFile(join(dir, "state.json"), "{");
    await expect(open(dir)).rejects.toThrow(/state.json is damaged .*Remove the work folder/);
    await writeFile(join(dir, "state.json"), '{"format": 99, "runs": []}');
    await expect(open(dir)).rejects.toThrow(/another version/);
  });

  it("leaves other people's files alone", async () => {
    const dir = await temporaryFolder();
    await mkdir(join(dir, "notes"));
    await writeFile(join(dir, "run-1.txt"), "mine");
    const deduplicator = await open(dir);
    await addRest(deduplicator);
    await deduplicator.finish();
    await deduplicator.discard();
    expect((await readdir(dir)).sort()).toEqual(["notes", "run-1.txt"]);
  });

  it("goes on through deduplicate() and is gone at its end", async () => {
    const parent = await temporaryFolder();
    const workDir = join(parent, "work");
    const read = async function* (stopAt: number) {
      for (const [i, text] of texts.entries()) {
        if (i === stopAt) throw new Error("killed");
        yield { text, source: String(i) };
      }
    };
    // Batches end at 8192 documents, so the first pass has written no run when it stops; a second one is whole.
    const kept = async (stopAt: number) => {
      const sources: string[] = [];
      for await (const document of deduplicate(() => read(stopAt), { workDir, memoryLimit: LIMIT })) {
        sources.push(document.source);
      }
      return sources;
    };
    await expect(kept(2000)).rejects.toThrow("killed");
    const first = await MinHashDeduplicator.open({ workDir, memoryLimit: LIMIT });
    await addRest(first, 2400);
    await first.close();
    const sources = await kept(-1);
    expect(sources).toEqual(texts.flatMap((_, i) => (expected.isRemoved(i) ? [] : [String(i)])));
    expect(await readdir(parent)).toEqual([]);
  });

  it("notices that the input has become shorter", async () => {
    const workDir = join(await temporaryFolder(), "work");
    const first = await MinHashDeduplicator.open({ workDir, memoryLimit: LIMIT });
    await addRest(first, 2400);
    await first.close();
    const read = async function* () {
      yield { text: "one", source: "1" };
    };
    await expect(deduplicate(read, { workDir, memoryLimit: LIMIT }).next()).rejects.toThrow(
      /has 2340 documents, but only 1 were read/,
    );
  });
});
