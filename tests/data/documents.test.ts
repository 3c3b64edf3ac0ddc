/** Document folders and the stages between them: order, resumption to the byte, and refusals that lose nothing. */
import { createHash } from "node:crypto";
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { readFolderRecord } from "../../lib/data/documents/folder.js";
import { runStage, type StageOptions } from "../../lib/data/documents/stage.js";
import { documentLine } from "../../lib/data/documents/writer.js";
import { documents, type TextDocument } from "../../lib/data/sources.js";
import { DataError } from "../../lib/errors.js";
import { faultyFileSystem as faults } from "../io/faults.js";

let dir: string;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), "anneal-documents-"));
  await mkdir(join(dir, "in"));
  // Batches are of two million characters: three files make several batches and parts.
  for (let file = 0; file < 3; file++) {
    const lines = Array.from({ length: 40 }, (_, i) =>
      JSON.stringify({
        id: `${file}-${i}`,
        url: "http://a.b/",
        text: `${file} ${i} ${"word ".repeat(20_000)}`,
        extra: i,
      }),
    );
    await writeFile(join(dir, "in", `${file}.jsonl`), `${lines.join("\n")}\n`);
  }
});
afterEach(() => rm(dir, { recursive: true, force: true }));

/** Keeps every document but each third, and counts them. */
function stage(
  out: string,
  more: Partial<StageOptions> = {},
): { options: StageOptions; state: { seen: number } } {
  const state = { seen: 0 };
  const options: StageOptions = {
    name: "test",
    settings: { thirds: true },
    inputs: join(dir, "in"),
    out,
    partBytes: 1_000_000,
    async process(batch, first) {
      state.seen += batch.length;
      return batch.filter((_, i) => (first + i) % 3 !== 2);
    },
    saveState: () => ({ ...state }),
    restoreState: (saved) => Object.assign(state, saved),
    ...more,
  };
  return { options, state };
}

/** Files of a folder: the record as it is, documents by their hash. What a crash left behind is cleared away by the next process. */
async function contents(folder: string): Promise<Record<string, unknown>> {
  const read = async (name: string) => {
    const bytes = await readFile(join(folder, name));
    if (name.endsWith(".json")) return JSON.parse(bytes.toString()) as unknown;
    return `${bytes.length} ${createHash("sha256").update(bytes).digest("hex")}`;
  };
  const names = (await readdir(folder)).filter((name) => !name.startsWith(".")).sort();
  return Object.fromEntries(await Promise.all(names.map(async (name) => [name, await read(name)] as const)));
}

describe("runStage", () => {
  it("writes what is kept in order, with all fields, and reads it back", async () => {
    const { options, state } = stage(join(dir, "out"));
    const progress: number[] = [];
    const result = await runStage({ ...options, onProgress: ({ documents: n }) => progress.push(n) });
    expect(result).toMatchObject({ documentsIn: 120, documentsOut: 80, reused: false });
    expect(result.parts.length).toBeGreaterThan(2);
    expect(state.seen).toBe(120);
    expect(progress.at(-1)).toBe(120);
    const read: TextDocument[] = [];
    for await (const document of documents(join(dir, "out"))) read.push(document);
    expect(read.length).toBe(80);
    expect(read[0]).toMatchObject({
      id: "0-0",
      url: "http://a.b/",
      metadata: { extra: 0, source: `${join(dir, "in", "0.jsonl")}:1` },
    });
    expect(read.map(({ id }) => id)).toEqual(
      Array.from({ length: 120 }, (_, i) => `${Math.floor(i / 40)}-${i % 40}`).filter((_, i) => i % 3 !== 2),
    );
  });

  it("takes a folder that is complete as it is, and makes another one for other settings only by force", async () => {
    const { options } = stage(join(dir, "out"));
    await runStage(options);
    const before = await contents(join(dir, "out"));
    let called = false;
    const process = async (batch: TextDocument[]) => {
      called = true;
      return batch;
    };
    expect(await runStage({ ...options, process })).toMatchObject({ reused: true, documentsOut: 80 });
    expect(called).toBe(false);
    const other = { ...options, settings: { thirds: false }, process };
    await expect(runStage(other)).rejects.toThrow(/made from other files or with other settings.*--force/);
    expect(await contents(join(dir, "out"))).toEqual(before);
    expect(await runStage({ ...other, force: true })).toMatchObject({ documentsOut: 120 });
  });

  it("goes on after a failure at any batch, and ends with the same bytes", async () => {
    const whole = stage(join(dir, "whole"));
    await runStage(whole.options);
    const expected = await contents(join(dir, "whole"));
    const batches = 6;
    for (let failing = 0; failing < batches; failing++) {
      const out = join(dir, `resumed-${failing}`);
      let calls = 0;
      const broken = stage(out);
      const { process } = broken.options;
      broken.options.process = async (batch, first) => {
        if (calls++ === failing) throw new Error("killed");
        return process(batch, first);
      };
      await expect(runStage(broken.options)).rejects.toThrow("killed");
      const { options, state } = stage(out);
      await runStage(options);
      expect(state.seen).toBe(120);
      expect(await contents(out)).toEqual(expected);
    }
  });

  it("ends at once when it is aborted, and goes on later", async () => {
    const controller = new AbortController();
    const { options } = stage(join(dir, "out"), { signal: controller.signal });
    const process = options.process;
    options.process = async (batch, first) => {
      if (first > 0) controller.abort(new Error("enough"));
      return process(batch, first);
    };
    await expect(runStage(options)).rejects.toThrow("enough");
    expect((await readFolderRecord(join(dir, "out")))?.complete ?? false).toBe(false);
    expect(await runStage(stage(join(dir, "out")).options)).toMatchObject({ documentsOut: 80 });
  });

  it("keeps finished parts when the disk is full at any moment, and goes on when there is room", async () => {
    await runStage(stage(join(dir, "whole")).options);
    const expected = await contents(join(dir, "whole"));
    const counting = faults({});
    await runStage(stage(join(dir, "count"), { fs: counting.fs }).options);
    const operations = counting.trace.length;
    expect(operations).toBeGreaterThan(20);
    for (let at = 0; at < operations; at += 7) {
      const out = join(dir, `full-${at}`);
      const { fs } = faults({ at, mode: "crash", errno: "ENOSPC" });
      await expect(runStage(stage(out, { fs }).options)).rejects.toThrow(DataError);
      await runStage(stage(out).options);
      expect(await contents(out)).toEqual(expected);
    }
    const { fs } = faults({ at: 3, mode: "crash", errno: "ENOSPC" });
    await expect(runStage(stage(join(dir, "message"), { fs }).options)).rejects.toThrow(
      /Could not write the .* Free space on that disk.*run the same command again/s,
    );
  });

  it("refuses an output that is its own input, files it did not write, and a damaged record", async () => {
    const { options } = stage(join(dir, "in"));
    await expect(runStage(options)).rejects.toThrow(/both input and output/);
    await mkdir(join(dir, "foreign"));
    await writeFile(join(dir, "foreign", "part-00000.jsonl"), "{}");
    await expect(runStage({ ...options, out: join(dir, "foreign") })).rejects.toThrow(
      /holds 1 files of documents/,
    );
    await mkdir(join(dir, "broken"));
    await writeFile(join(dir, "broken", "documents.json"), "{");
    await expect(runStage({ ...options, out: join(dir, "broken") })).rejects.toThrow(
      /documents.json is damaged/,
    );
  });

  it("makes a part anew when one was removed", async () => {
    const { options } = stage(join(dir, "out"));
    await runStage(options);
    await rm(join(dir, "out", "part-00001.jsonl"));
    await expect(runStage(options)).rejects.toThrow(/--force/);
    expect(await runStage({ ...options, force: true })).toMatchObject({ reused: false, documentsOut: 80 });
  });
});

describe("documentLine", () => {
  it("keeps the first source through several stages", () => {
    const line = documentLine({ text: 'a\n"b"', source: "part:1", metadata: { source: "page:7", n: 1 } });
    expect(line).toBe('{"text":"a\\n\\"b\\"","source":"page:7","n":1}\n');
  });
});
