/** Every single operation of a save fails once, or is the last before a crash: the old or the new checkpoint remains. */

import { cp, readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { CheckpointError } from "../../lib/errors.js";
import {
  type FileSystem,
  listCheckpoints,
  loadCheckpoint,
  saveCheckpoint,
  toF32,
} from "../../lib/io/index.js";
import { faultyFileSystem } from "./faults.js";
import { f32, temporaryFolder } from "./temporary.js";

const QUIET = { onWarning: () => undefined };

function content(step: number, version: number) {
  const fill = () => step + version / 10;
  return {
    arrays: [f32("a", [4], fill), f32("b", [2, 3], fill), f32("c", [1], fill)],
    state: { step, version },
  };
}

/** Loads the newest checkpoint, checks that all its parts belong together, and returns what it is. */
async function whole(root: string): Promise<{ step: number; version: number; warnings: string[] }> {
  const warnings: string[] = [];
  const loaded = await loadCheckpoint(root, { onWarning: (message) => warnings.push(message) });
  const { step, version } = loaded.state as { step: number; version: number };
  expect(loaded.step).toBe(step);
  expect([...loaded.arrays.keys()].sort()).toEqual(["a", "b", "c"]);
  for (const array of loaded.arrays.values()) {
    const values = toF32("f32", await array.data());
    expect(new Set(values)).toEqual(new Set([Math.fround(step + version / 10)]));
  }
  await loaded.close();
  return { step, version, warnings };
}

interface Case {
  name: string;
  /** Steps that are there before; each has version 0. */
  before: number[];
  step: number;
  keep: number;
  pin?: string;
}

const cases: Case[] = [
  { name: "a second checkpoint", before: [1], step: 2, keep: 3 },
  { name: "one that lets two others be pruned", before: [1, 2], step: 3, keep: 1 },
  { name: "one that is pinned", before: [1, 2], step: 3, keep: 2, pin: "best" },
  { name: "one of the same step", before: [1], step: 1, keep: 1 },
];

describe.each(cases)("saving $name", ({ before, step, keep, pin }) => {
  it.each(["once", "crash"] as const)("survives a failure at every operation (%s)", async (mode) => {
    const dir = await temporaryFolder();
    const template = join(dir, "template");
    for (const old of before) await saveCheckpoint(template, old, content(old, 0), { keep: 100 });
    const last = before[before.length - 1];
    const options = { ...QUIET, keep, pin, maxShardBytes: 30 };
    let operations = 0;
    let failed = 0;
    for (let at = 0, struck = true; struck; at++) {
      const root = join(dir, `${mode}-${at}`);
      await cp(template, root, { recursive: true });
      const { fs, trace } = faultyFileSystem({ at, mode, errno: "ENOSPC" });
      const outcome = await saveCheckpoint(root, step, content(step, 1), { ...options, fs }).catch(
        (error) => error,
      );
      struck = trace.length > at;
      operations = at;

      const found = await whole(root);
      const isOld = found.step === last && found.version === 0;
      const isNew = found.step === step && found.version === 1;
      expect(isOld || isNew, `operation ${at}: ${trace[at]}`).toBe(true);
      expect(found.warnings).toEqual([]);
      if (outcome instanceof Error) {
        failed++;
        expect(outcome).toBeInstanceOf(CheckpointError);
        if (mode === "once")
          expect((await readdir(root)).filter((name) => name.startsWith(".tmp"))).toEqual([]);
      } else expect(isNew).toBe(true);

      // Whatever looks like a checkpoint is one, the older ones included; after a single failure each has its own name.
      for (const entry of await listCheckpoints(root)) {
        const loaded = await loadCheckpoint(root, { step: entry.step });
        await loaded.close();
        if (mode === "once") expect(entry.path).not.toContain("replaced");
      }

      // The next save works and tidies up, whatever was left (but temporaries, whose process is this one, alive).
      await saveCheckpoint(root, step + 1, content(step + 1, 2), { ...QUIET, keep: 1 });
      expect(await whole(root)).toMatchObject({ step: step + 1, version: 2 });
      const names = await readdir(root);
      expect(names.filter((name) => name.startsWith(".") && !name.includes("tmp-"))).toEqual([]);
      await rm(root, { recursive: true });
    }
    expect(operations).toBeGreaterThan(25);
    expect(failed).toBeGreaterThan(15);
  });
});

describe("the order of operations", () => {
  it("forces every file, then the folder, to the disk before the rename, and the parent after it", async () => {
    const root = await temporaryFolder();
    await saveCheckpoint(root, 1, content(1, 0));
    const { fs, trace } = faultyFileSystem();
    await saveCheckpoint(root, 2, content(2, 0), { fs, keep: 1, maxShardBytes: 30 });
    const temporary = join(root, `.tmp-step-00000002-${process.pid}`);
    const place = (operation: string) => {
      const index = trace.indexOf(operation);
      expect(index, operation).toBeGreaterThanOrEqual(0);
      return index;
    };
    const rename = place(`rename ${temporary}`);
    const folder = place(`sync ${temporary}`);
    const written = trace.filter((operation) => operation.startsWith(`write ${temporary}`));
    const files = [...new Set(written.map((operation) => operation.slice("write ".length)))];
    expect(files).toHaveLength(4);
    for (const file of files) {
      expect(place(`sync ${file}`)).toBeGreaterThan(trace.lastIndexOf(`write ${file}`));
      expect(folder).toBeGreaterThan(place(`sync ${file}`));
    }
    expect(rename).toBeGreaterThan(folder);
    expect(place(`sync ${root}`)).toBeGreaterThan(rename);
    expect(place(`rename ${join(root, "step-00000001")}`)).toBeGreaterThan(place(`sync ${root}`));
  });

  it("keeps older checkpoints when the new one may not have reached the disk", async () => {
    const root = await temporaryFolder();
    await saveCheckpoint(root, 1, content(1, 0));
    const { fs: real } = faultyFileSystem();
    const fs: FileSystem = {
      ...real,
      open: async (path, flags) => {
        const handle = await real.open(path, flags);
        if (path !== root) return handle;
        const sync = async () => {
          throw Object.assign(new Error("EIO: sync"), { code: "EIO", syscall: "fsync" });
        };
        return { ...handle, sync };
      },
    };
    const error = await saveCheckpoint(root, 2, content(2, 0), { fs, keep: 1 }).catch((e) => e);
    expect(error).toBeInstanceOf(CheckpointError);
    expect((await listCheckpoints(root)).map((entry) => entry.step)).toEqual([1, 2]);
  });
});
