/** The stages over real folders: stopped anywhere and called again they end with the documents and reports of one that was not. */
import { createHash } from "node:crypto";
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { syntheticDocuments } from "../../bench/data/corpus.mjs";
import type { StageCommon, StageProgress } from "../../lib/data/documents/stage.js";
import { cleanCorpus } from "../../lib/data/stages/clean.js";
import { dedupDocuments } from "../../lib/data/stages/dedup.js";
import { loadDecontaminator } from "../../lib/data/stages/evaluation-sets.js";
import { removeRepeatedPassages } from "../../lib/data/stages/repeats.js";
import { trainCorpusTokenizer } from "../../lib/data/stages/tokenizer.js";

let dir: string;
let raw: string;
let passage: string | undefined;

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), "anneal-stages-"));
  raw = join(dir, "raw.jsonl");
  const lines: string[] = [];
  for (const document of syntheticDocuments({ seed: 5, words: 20_000 })) {
    if (document.text.length > 3000) passage ??= document.text.slice(0, 400);
    // Some documents contain a passage of an earlier one.
    if (passage !== undefined && lines.length % 50 === 7) document.text += `\n\n${passage}`;
    lines.push(JSON.stringify(document));
    if (lines.length === 3000) break;
  }
  await writeFile(raw, `${lines.join("\n")}\n`);
});
afterAll(() => rm(dir, { recursive: true, force: true }));

/** Documents of a folder by their hash, and the report without times. */
async function outcome(folder: string): Promise<Record<string, unknown>> {
  const found: Record<string, unknown> = {};
  for (const name of (await readdir(folder)).sort()) {
    if (name.startsWith(".")) throw new Error(`${name} was left in ${folder}`);
    const text = await readFile(join(folder, name), "utf8");
    if (name === "documents.json") {
      // Counters of work under way have times in them.
      const { state: _, ...record } = JSON.parse(text);
      found[name] = record;
      continue;
    }
    if (!/^(part-|clusters|report\.json)/.test(name)) continue;
    if (name === "report.json") {
      const { seconds: _, ...report } = JSON.parse(text);
      // What a process read itself, and its threads and runs, are its own.
      for (const own of ["bytes", "runs", "runBytes"]) if (report.method !== undefined) delete report[own];
      found[name] = report;
    } else {
      found[name] = createHash("sha256").update(text).digest("hex");
    }
  }
  return found;
}

type Stage = (common: StageCommon & { onSearch?: () => void }) => Promise<unknown>;
const STAGES: Readonly<Record<string, Stage>> = {
  clean: (common) => cleanCorpus({ ...common, clean: { examples: 2 } }),
  dedup: (common) => dedupDocuments(common),
  exact: (common) => dedupDocuments({ ...common, dedup: { method: "exact" } }),
  repeats: (common) => removeRepeatedPassages({ ...common, repeats: { minLength: 150 } }),
};

describe.each(Object.entries(STAGES))("%s", (name, stage) => {
  const common = (out: string) => ({ inputs: raw, out, partBytes: 2_000_000 });

  it("removes something, and is the same when it was stopped anywhere", async () => {
    const whole = join(dir, `${name}-whole`);
    const states: StageProgress[] = [];
    await stage({ ...common(whole), onProgress: (state) => states.push(state) });
    const { kept, documents } = states.at(-1) as StageProgress;
    expect(documents).toBe(3000);
    expect(kept).toBeLessThan(name === "repeats" ? 3001 : 3000);
    const expected = await outcome(whole);
    expect(states.length).toBeGreaterThan(2);
    // Stopped in the search, and after each batch.
    for (const after of ["search", ...states.keys()] as const) {
      const out = join(dir, `${name}-${after}`);
      const controller = new AbortController();
      const stop = () => controller.abort(new Error("stopped"));
      let batches = 0;
      const stopped = stage({
        ...common(out),
        signal: controller.signal,
        ...(after === "search" && name !== "clean" && { onSearch: stop }),
        onProgress: () => {
          if (batches++ === after) stop();
        },
      });
      await stopped.then(
        () => undefined,
        (error) => expect(String(error)).toContain("stopped"),
      );
      await stage(common(out));
      expect(await outcome(out), `stopped after ${after}`).toEqual(expected);
      await rm(out, { recursive: true });
    }
  });
});

describe("repeats", () => {
  it("cuts the passage out of all documents but the first", async () => {
    const out = join(dir, "cut");
    const { report } = await removeRepeatedPassages({ inputs: raw, out, repeats: { minLength: 150 } });
    expect(report?.spans).toBeGreaterThan(50);
    const text = (await readFile(join(out, "part-00000.jsonl"), "utf8")).split("\n");
    const start = JSON.stringify(passage?.slice(0, 200)).slice(1, -1);
    expect(text.filter((line) => line.includes(start)).length).toBe(1);
  });
});

describe("decontamination", () => {
  it("removes documents with words of an evaluation item, and says which", async () => {
    const set = join(dir, "evaluation.jsonl");
    await writeFile(
      set,
      `${JSON.stringify({ question: passage, answer: "7" })}\n${JSON.stringify({ question: "What is 2 + 2?" })}\n`,
    );
    const out = join(dir, "decontaminated");
    const rules = Object.fromEntries(
      ["gopher-repetition", "gopher-quality", "c4", "fineweb"].map((step) => [step, false]),
    );
    const result = await cleanCorpus({
      inputs: raw,
      out,
      clean: { rules },
      decontaminator: await loadDecontaminator([set]),
    });
    expect(result.decontamination?.sets).toMatchObject([
      { name: "evaluation.jsonl", items: 2, tooShort: 1, found: 1 },
    ]);
    const removed = result.documentsIn - result.documentsOut;
    expect(removed).toBeGreaterThanOrEqual(60);
    expect(result.decontamination?.dropped).toBe(removed);
    expect(await readdir(join(out, "decontamination"))).toEqual(["report.html", "report.json"]);
  });
});

describe("tokenizer", () => {
  it("leaves the tokenizer's files alone, the same each time", async () => {
    const files: Record<string, string>[] = [];
    for (const name of ["a", "b"]) {
      const out = join(dir, `tokenizer-${name}`);
      const result = await trainCorpusTokenizer({ inputs: raw, out, train: { vocabSize: 600 } });
      expect(result).toMatchObject({ vocabSize: 600, texts: 3000 });
      const names = (await readdir(out)).sort();
      expect(names).toContain("tokenizer.json");
      expect(names.filter((file) => file.startsWith("."))).toEqual([]);
      files.push(
        Object.fromEntries(
          await Promise.all(
            names.map(async (file) => [file, await readFile(join(out, file), "utf8")] as const),
          ),
        ),
      );
    }
    expect(files[1]).toEqual(files[0]);
  });
});
