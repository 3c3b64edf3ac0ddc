import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdir, readdir, readFile, stat, utimes, writeFile } from "node:fs/promises";
import { hostname } from "node:os";
import { join } from "node:path";
import { setTimeout } from "node:timers/promises";
import { describe, expect, it } from "vitest";
import { CheckpointError, ConfigError, FormatError } from "../../lib/errors.js";
import { acquireLock, RunFolder } from "../../lib/io/index.js";
import { rejection, temporaryFolder } from "./temporary.js";

const config = { model: "char-gpt", steps: 10 };

describe("RunFolder", () => {
  it("creates the folder and opens it again", async () => {
    const dir = join(await temporaryFolder(), "runs", "first");
    const run = await RunFolder.create(dir, config);
    expect((await readdir(dir)).sort()).toEqual([".lock", "checkpoints", "config.json"]);
    expect(run.checkpointsDir).toBe(join(dir, "checkpoints"));
    expect(run.modelDir).toBe(join(dir, "model"));
    const metrics = await run.openMetrics();
    await metrics.append({ step: 1 });
    await metrics.close();
    await run.close();
    await run.close();
    expect(await readdir(dir)).not.toContain(".lock");
    const again = await RunFolder.open(dir);
    expect(again.config).toEqual(config);
    expect(await readFile(again.metricsPath, "utf8")).toBe('{"step":1}\n');
    await again.close();
  });

  it("does not start a second run in one folder", async () => {
    const dir = await temporaryFolder();
    await (await RunFolder.create(dir, config)).close();
    const error = await rejection(RunFolder.create(dir, config));
    expect(error).toBeInstanceOf(ConfigError);
    expect(error.message).toContain("holds a run already");
    expect(await readdir(dir)).not.toContain(".lock");
  });

  it("refuses a folder that is no run, and a damaged config", async () => {
    const dir = await temporaryFolder();
    for (const path of [dir, join(dir, "absent")]) {
      const error = await rejection(RunFolder.open(path));
      expect(error).toBeInstanceOf(ConfigError);
      expect(error.message).toContain("is not a run folder");
    }
    await writeFile(join(dir, "config.json"), '{"a":');
    expect(await rejection(RunFolder.open(dir))).toBeInstanceOf(FormatError);
    expect(await readdir(dir)).toEqual(["config.json"]);
    await writeFile(join(dir, "file"), "");
    expect(await rejection(RunFolder.create(join(dir, "file", "run"), config))).toBeInstanceOf(
      CheckpointError,
    );
  });

  it("removes at its start what a killed process left", async () => {
    const dir = await temporaryFolder();
    await (await RunFolder.create(dir, config)).close();
    await mkdir(join(dir, "checkpoints", `.tmp-step-00000009-${process.ppid}`));
    await writeFile(join(dir, `.config.json.tmp-${process.ppid}-0123abcd`), "");
    const reader = await RunFolder.open(dir, { lock: false });
    expect(await readdir(reader.checkpointsDir)).toHaveLength(1);
    await (await RunFolder.open(dir)).close();
    expect(await readdir(reader.checkpointsDir)).toEqual([]);
    expect((await readdir(dir)).sort()).toEqual(["checkpoints", "config.json"]);
  });
});

describe("the lock", () => {
  const lockFile = async (holder: unknown) => {
    const path = join(await temporaryFolder(), ".lock");
    await writeFile(path, typeof holder === "string" ? holder : JSON.stringify(holder));
    return path;
  };
  const since = "2026-01-01T00:00:00.000Z";

  it("keeps a second writer out, readers not", async () => {
    const dir = await temporaryFolder();
    const run = await RunFolder.create(dir, config);
    const error = await rejection(RunFolder.open(dir));
    expect(error).toBeInstanceOf(ConfigError);
    expect(error.message).toContain(`in use by process ${process.pid} on ${hostname()}`);
    await (await RunFolder.open(dir, { lock: false })).close();
    await run.close();
    await (await RunFolder.open(dir)).close();
  });

  it("is exclusive among many who want it at once", async () => {
    const path = join(await temporaryFolder(), ".lock");
    const results = await Promise.allSettled(Array.from({ length: 20 }, () => acquireLock(path)));
    expect(results.filter((result) => result.status === "fulfilled")).toHaveLength(1);
  });

  it("of a dead process is taken over, by one only", async () => {
    const { pid } = spawnSync(process.execPath, ["-e", ""]);
    // Many times: what two takers do must not fall into each other's steps in any order.
    for (let round = 0; round < 50; round++) {
      const path = await lockFile({ pid, host: hostname(), since });
      const results = await Promise.allSettled(Array.from({ length: 10 }, () => acquireLock(path)));
      const held = results.filter((result) => result.status === "fulfilled");
      expect(held).toHaveLength(1);
      expect(JSON.parse(await readFile(path, "utf8"))).toMatchObject({ pid: process.pid });
      await held[0].value.release();
      expect(await readdir(join(path, ".."))).toEqual([]);
    }
  });

  it("of a takeover that was killed in the middle does not stay in the way", async () => {
    const { pid } = spawnSync(process.execPath, ["-e", ""]);
    const path = await lockFile({ pid, host: hostname(), since });
    await writeFile(`${path}.takeover`, "{}");
    await utimes(`${path}.takeover`, new Date(0), new Date(0));
    await (await acquireLock(path)).release();
    expect(await readdir(join(path, ".."))).toEqual([]);
  });

  it.runIf(process.platform === "linux")(
    "of a process that has ended but was not waited for is taken over",
    async () => {
      // The outer shell becomes a program that never asks after the inner one.
      const parent = spawn("sh", ["-c", "sleep 0.3 & echo $!; exec sleep 30"]);
      try {
        const [text] = await once(parent.stdout, "data");
        const pid = Number(String(text));
        const state = async () => (await readFile(`/proc/${pid}/stat`, "utf8")).split(") ")[1][0];
        while ((await state()) !== "Z") await setTimeout(10);
        const path = await lockFile({ pid, host: hostname(), since });
        await (await acquireLock(path)).release();
      } finally {
        parent.kill();
      }
    },
  );

  it("of a live process is respected", async () => {
    const path = await lockFile({ pid: process.ppid, host: hostname(), since });
    expect(await rejection(acquireLock(path))).toBeInstanceOf(ConfigError);
  });

  it.runIf(process.platform === "linux")(
    "of a dead process whose id is in use again is taken over",
    async () => {
      const path = await lockFile({ pid: process.ppid, host: hostname(), start: "earlier boot:1", since });
      await (await acquireLock(path)).release();
    },
  );

  it("of another machine needs a decision", async () => {
    const path = await lockFile({ pid: 1, host: "elsewhere", since });
    const error = await rejection(acquireLock(path));
    expect(error.message).toContain("another machine or container");
    expect(error.message).toContain("delete this file");
    await (await acquireLock(path, { takeOver: true })).release();
  });

  it("without readable contents counts for a moment only", async () => {
    const path = await lockFile("");
    expect((await rejection(acquireLock(path))).message).toContain("just starting");
    await utimes(path, 1, 1);
    const lock = await acquireLock(path);
    expect((await stat(path)).size).toBeGreaterThan(10);
    // Somebody else took over by force: their lock stays.
    await writeFile(path, "theirs");
    await lock.release();
    expect(await readFile(path, "utf8")).toBe("theirs");
  });
});
