import { mkdir, readdir, readFile, rename, rm, stat, truncate, utimes, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { CheckpointError, ConfigError, ShapeError } from "../../lib/errors.js";
import {
  cleanCheckpoints,
  type FileSystem,
  listCheckpoints,
  loadCheckpoint,
  type NamedArray,
  nodeFileSystem,
  pinCheckpoint,
  readPins,
  removeCheckpointsAfter,
  saveCheckpoint,
  toF32,
} from "../../lib/io/index.js";
import { systemError } from "./faults.js";
import { f32, rejection, temporaryFolder } from "./temporary.js";

/** A checkpoint's content that tells its step in every array and in the state. */
function content(step: number): { arrays: NamedArray[]; state: unknown } {
  const names = ["model.weight", "optimizer.moment", "ema"];
  return {
    arrays: names.map((name) => f32(name, [5], (i) => step + i)),
    state: { step, text: `step ${step}` },
  };
}

/** A process id that belonged to no living process for long. */
const DEAD = 2 ** 22 - 3;

const steps = async (root: string) => (await listCheckpoints(root)).map((entry) => entry.step);

async function save(root: string, numbers: number[], keep = 100): Promise<void> {
  for (const step of numbers) await saveCheckpoint(root, step, content(step), { keep });
}

async function flip(path: string, at: number): Promise<void> {
  const bytes = await readFile(path);
  bytes[at < 0 ? bytes.length + at : at] ^= 1;
  await writeFile(path, bytes);
}

describe("saveCheckpoint and loadCheckpoint", () => {
  it("round-trip arrays and state, in shards", async () => {
    const root = join(await temporaryFolder(), "run", "checkpoints");
    const saved = await saveCheckpoint(root, 123, content(123), { maxShardBytes: 40 });
    expect(saved.path).toBe(join(root, "step-00000123"));
    const files = (await readdir(saved.path)).sort();
    expect(files).toEqual([
      "arrays-00001.safetensors",
      "arrays-00002.safetensors",
      "manifest.json",
      "state.json",
    ]);
    const manifest = JSON.parse(await readFile(join(saved.path, "manifest.json"), "utf8"));
    expect(manifest).toMatchObject({ version: 1, step: 123 });
    let total = (await stat(join(saved.path, "manifest.json"))).size;
    for (const file of manifest.files) {
      expect(file.bytes).toBe((await stat(join(saved.path, file.name))).size);
      total += file.bytes;
    }
    expect(saved.bytes).toBe(total);

    const loaded = await loadCheckpoint(root);
    expect(loaded).toMatchObject({
      step: 123,
      path: saved.path,
      state: content(123).state,
      createdAt: manifest.createdAt,
    });
    expect([...loaded.arrays.keys()].sort()).toEqual(["ema", "model.weight", "optimizer.moment"]);
    const weight = loaded.arrays.get("model.weight");
    expect([...toF32("f32", (await weight?.data()) as Uint8Array)]).toEqual([123, 124, 125, 126, 127]);
    await loaded.close();
  });

  it("save no arrays and any JSON state", async () => {
    const root = await temporaryFolder();
    for (const [step, state] of [null, 7, "x", [1, [2]], { a: { b: undefined } }].entries()) {
      await saveCheckpoint(root, step, { arrays: [], state });
      const loaded = await loadCheckpoint(root);
      expect(loaded.state).toEqual(JSON.parse(JSON.stringify(state)));
      await loaded.close();
    }
  });

  it("keep reading a checkpoint that is pruned meanwhile", async () => {
    const root = await temporaryFolder();
    await save(root, [1]);
    const loaded = await loadCheckpoint(root);
    await save(root, [2], 1);
    expect(await steps(root)).toEqual([2]);
    expect(toF32("f32", (await loaded.arrays.get("ema")?.data()) as Uint8Array)[0]).toBe(1);
    await loaded.close();
  });

  it("refuse state that JSON would change, and name the place", async () => {
    const root = await temporaryFolder();
    const bad: Array<[unknown, string]> = [
      [{ best: { loss: Number.POSITIVE_INFINITY } }, "state.best.loss is Infinity"],
      [{ a: [1, Number.NaN] }, "state.a[1] is NaN"],
      [{ rng: 5n }, "state.rng is a bigint"],
      [{ seen: new Map() }, "state.seen is an instance of Map"],
      [{ bits: new Uint8Array(2) }, "state.bits is an instance of Uint8Array"],
    ];
    for (const [state, text] of bad) {
      const error = await rejection(saveCheckpoint(root, 1, { arrays: [], state }));
      expect(error).toBeInstanceOf(CheckpointError);
      expect(error.message).toContain(text);
    }
    expect(await readdir(root)).toEqual([]);
  });

  it("refuse wrong steps and options", async () => {
    const root = await temporaryFolder();
    for (const step of [-1, 1.5, Number.NaN]) {
      expect(await rejection(saveCheckpoint(root, step, content(1)))).toBeInstanceOf(ConfigError);
    }
    for (const keep of [0, -1, 1.5]) {
      expect(await rejection(saveCheckpoint(root, 1, content(1), { keep }))).toBeInstanceOf(ConfigError);
    }
  });

  it("replace a checkpoint of the same step", async () => {
    const root = await temporaryFolder();
    await save(root, [5]);
    await saveCheckpoint(root, 5, { arrays: [], state: "again" });
    const loaded = await loadCheckpoint(root);
    expect(loaded.state).toBe("again");
    await loaded.close();
    expect(await readdir(root)).toEqual(["step-00000005"]);
  });

  it("refuse two saves of one step at a time", async () => {
    const root = await temporaryFolder();
    const [first, second] = await Promise.allSettled([
      saveCheckpoint(root, 1, content(1)),
      saveCheckpoint(root, 1, content(1)),
    ]);
    expect(first.status).toBe("fulfilled");
    expect((second as PromiseRejectedResult).reason.message).toContain("is under way");
    expect(await steps(root)).toEqual([1]);
  });

  it("pass on errors of the arrays themselves and leave nothing behind", async () => {
    const root = await temporaryFolder();
    await save(root, [1]);
    const short = { ...f32("x", [2]), data: async () => new Uint8Array(4) };
    expect(await rejection(saveCheckpoint(root, 2, { arrays: [short], state: {} }))).toBeInstanceOf(
      ShapeError,
    );
    expect(await readdir(root)).toEqual(["step-00000001"]);
  });

  it("stop when the signal says so, without a trace", async () => {
    const root = await temporaryFolder();
    const controller = new AbortController();
    const data = async () => {
      controller.abort(new Error("stop now"));
      return new Uint8Array(4);
    };
    const save = saveCheckpoint(
      root,
      2,
      { arrays: [{ ...f32("x", [1]), data }], state: {} },
      { signal: controller.signal },
    );
    expect((await rejection(save)).message).toBe("stop now");
    expect(await readdir(root)).toEqual([]);
  });
});

describe("pruning", () => {
  it("keeps the newest and those that are pinned", async () => {
    const root = await temporaryFolder();
    await save(root, [1, 2]);
    await saveCheckpoint(root, 3, content(3), { keep: 2, pin: "best" });
    expect(await steps(root)).toEqual([2, 3]);
    await save(root, [4, 5, 6], 2);
    expect(await steps(root)).toEqual([3, 5, 6]);
    expect((await listCheckpoints(root))[0].pins).toEqual(["best"]);
    const best = await loadCheckpoint(root, { pin: "best" });
    expect(best.step).toBe(3);
    await best.close();

    await pinCheckpoint(root, 5);
    expect(await readPins(root)).toEqual({ best: 5 });
    const saved = await saveCheckpoint(root, 7, content(7), { keep: 1 });
    expect(saved.removed).toEqual([3, 6]);
    expect(await steps(root)).toEqual([5, 7]);
  });

  it("never removes the new checkpoint, nor later ones", async () => {
    const root = await temporaryFolder();
    await save(root, [10, 20, 30]);
    await save(root, [15], 1);
    expect(await steps(root)).toEqual([15, 20, 30]);
    expect(await removeCheckpointsAfter(root, 15)).toEqual([30, 20]);
    expect(await readdir(root)).toEqual(["step-00000015"]);
  });

  it("says which steps can be pinned", async () => {
    const root = await temporaryFolder();
    await save(root, [1]);
    const error = await rejection(pinCheckpoint(root, 2));
    expect(error).toBeInstanceOf(CheckpointError);
    expect(error.message).toContain("It has 1");
    expect((await rejection(loadCheckpoint(root, { pin: "best" }))).message).toContain('pinned as "best"');
  });

  it("does not prune when the pins cannot be read, and says so", async () => {
    const root = await temporaryFolder();
    await save(root, [1, 2]);
    await writeFile(join(root, "pins.json"), "{");
    const warnings: string[] = [];
    await saveCheckpoint(root, 3, content(3), { keep: 1, onWarning: (message) => warnings.push(message) });
    expect(await steps(root)).toEqual([1, 2, 3]);
    expect(warnings.join()).toContain("pins.json");
  });
});

describe("damage", () => {
  it("is found in every file; the checkpoint before is used", async () => {
    const harm: Array<[string, (path: string) => Promise<void>, RegExp]> = [
      ["arrays-00001.safetensors", (path) => flip(path, -1), /sha256/],
      ["arrays-00001.safetensors", (path) => flip(path, 12), /./],
      ["arrays-00001.safetensors", (path) => truncate(path, 50), /expected bytes \d+, got 50/],
      ["arrays-00001.safetensors", (path) => rm(path), /ENOENT/],
      ["state.json", (path) => flip(path, 9), /sha256/],
      ["state.json", (path) => truncate(path, 0), /got 0/],
      ["manifest.json", (path) => truncate(path, 20), /invalid JSON/],
      ["manifest.json", (path) => rm(path), /ENOENT/],
      ["manifest.json", (path) => writeFile(path, '{"version":2}'), /newer than 1.*Update anneal/],
      ["manifest.json", (path) => writeFile(path, '{"version":1,"step":9,"files":[]}'), /expected step 2/],
      [
        "manifest.json",
        (path) => writeFile(path, '{"version":1,"step":2,"files":[{"name":"../x"}]}'),
        /must list state.json/,
      ],
    ];
    for (const [name, damage, text] of harm) {
      const root = await temporaryFolder();
      await save(root, [1, 2]);
      await damage(join(root, "step-00000002", name));
      const warnings: string[] = [];
      const loaded = await loadCheckpoint(root, { onWarning: (message) => warnings.push(message) });
      expect(loaded.step).toBe(1);
      await loaded.close();
      expect(warnings).toHaveLength(1);
      expect(warnings[0]).toContain("step 2");
      expect(warnings[0]).toMatch(text);
      const exact = await rejection(loadCheckpoint(root, { step: 2 }));
      expect(exact).toBeInstanceOf(CheckpointError);
      expect(exact.message).toMatch(text);
    }
  });

  it("of contents passes where checksums are turned off, that of sizes does not", async () => {
    const root = await temporaryFolder();
    await save(root, [1]);
    const path = join(root, "step-00000001", "arrays-00001.safetensors");
    await flip(path, -1);
    const loaded = await loadCheckpoint(root, { verify: false });
    await loaded.close();
    await truncate(path, 10);
    expect(
      await rejection(loadCheckpoint(root, { verify: false, onWarning: () => undefined })),
    ).toBeInstanceOf(CheckpointError);
  });

  it("of all checkpoints is reported one by one", async () => {
    const root = await temporaryFolder();
    await save(root, [1, 2]);
    for (const step of [1, 2]) await truncate(join(root, `step-0000000${step}`, "state.json"), 1);
    const error = await rejection(loadCheckpoint(root, { onWarning: () => undefined }));
    expect(error).toBeInstanceOf(CheckpointError);
    expect(error.message).toMatch(/no usable checkpoint: step 2: .*; step 1: /);
    expect(error.details.attempts).toHaveLength(2);
    const none = await rejection(loadCheckpoint(join(root, "absent")));
    expect(none.message).toContain("has no checkpoints");
    expect((await rejection(loadCheckpoint(root, { step: 7 }))).message).toContain("It has steps 1, 2");
  });

  it("by another writer's pruning makes the reader look again", async () => {
    const root = await temporaryFolder();
    await save(root, [1]);
    let raced = false;
    const fs: FileSystem = {
      ...nodeFileSystem,
      open: async (path, flags) => {
        if (!raced && path.endsWith(".safetensors")) {
          raced = true;
          await save(root, [2], 1);
        }
        return nodeFileSystem.open(path, flags);
      },
    };
    const loaded = await loadCheckpoint(root, { fs, onWarning: () => undefined });
    expect(loaded.step).toBe(2);
    await loaded.close();
  });
});

describe("disk errors", () => {
  it.each([
    ["ENOSPC", "Free space on that disk"],
    ["EIO", "The disk reports a read or write fault"],
    ["EACCES", "write permission"],
    ["EROFS", "read-only"],
  ])("%s becomes a CheckpointError with figures and fix", async (errno, fix) => {
    const root = await temporaryFolder();
    await save(root, [1]);
    const fs: FileSystem = {
      ...nodeFileSystem,
      statfs: async () => ({ bavail: 3, bsize: 4096 }),
      open: async (path, flags) => {
        const handle = await nodeFileSystem.open(path, flags);
        const write = async () => {
          throw systemError(errno, "write", path);
        };
        return path.endsWith(".safetensors")
          ? Object.assign(Object.create(handle), {
              write,
              close: () => handle.close(),
              sync: () => handle.sync(),
            })
          : handle;
      },
    };
    const error = await rejection(saveCheckpoint(root, 2, content(2), { fs }));
    expect(error).toBeInstanceOf(CheckpointError);
    expect(error.message).toContain("checkpoint of step 2");
    expect(error.message).toContain(fix);
    expect(error.details).toMatchObject({ errno, syscall: "write", bytesFree: 12288 });
    expect(error.details.path).toContain("arrays-00001.safetensors");
    expect(error.details.bytesNeeded).toBeGreaterThan(60);
    if (errno === "ENOSPC") expect(error.message).toMatch(/It needs \d+ bytes; 12\.3 KB are free/);
    expect(await readdir(root)).toEqual(["step-00000001"]);
  });

  it("of the real system are told apart", async () => {
    const dir = await temporaryFolder();
    await writeFile(join(dir, "file"), "");
    const error = await rejection(saveCheckpoint(join(dir, "file", "checkpoints"), 1, content(1)));
    expect(error).toBeInstanceOf(CheckpointError);
    expect(error.details.errno).toMatch(/ENOTDIR|EEXIST/);
  });
});

describe("leftovers", () => {
  it("of dead processes go at the next save; those of live ones stay", async () => {
    const root = await temporaryFolder();
    const names = [
      `.tmp-step-00000002-${DEAD}`,
      `.trash-step-00000001-${DEAD}-0123abcd`,
      `.tmp-step-00000002-${process.ppid}`,
      `.tmp-step-00000003-${process.pid}`,
    ];
    for (const name of names) await mkdir(join(root, name), { recursive: true });
    await writeFile(join(root, `.pins.json.tmp-${DEAD}-0123abcd`), "{}");
    await writeFile(join(root, "notes.txt"), "mine");
    await save(root, [4]);
    expect((await readdir(root)).sort()).toEqual([names[2], names[3], "notes.txt", "step-00000004"].sort());

    // Older than this process: its predecessor in a container had the same id.
    await utimes(join(root, names[3]), 1, 1);
    await cleanCheckpoints(root);
    expect(await readdir(root)).not.toContain(names[3]);
    await cleanCheckpoints(root, { exclusive: true });
    expect((await readdir(root)).sort()).toEqual(["notes.txt", "step-00000004"]);
  });

  it("bring back a checkpoint whose successor never arrived", async () => {
    const root = await temporaryFolder();
    await save(root, [1, 2]);
    await rename(join(root, "step-00000002"), join(root, `.replaced-step-00000002-${DEAD}`));
    const loaded = await loadCheckpoint(root);
    expect(loaded.step).toBe(2);
    await loaded.close();
    await cleanCheckpoints(root);
    expect((await readdir(root)).sort()).toEqual(["step-00000001", "step-00000002"]);
  });
});
