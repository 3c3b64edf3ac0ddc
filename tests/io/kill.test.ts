/** Kills a process that saves checkpoints, at random moments and with SIGKILL: what is on the disk always loads. */

import { spawn } from "node:child_process";
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { build } from "vite";
import { expect, it } from "vitest";
import { listCheckpoints, loadCheckpoint, RunFolder, readPins, toF32 } from "../../lib/io/index.js";
import { temporaryFolder } from "./temporary.js";

/** ANNEAL_KILLS=200 makes the longer run. */
const KILLS = Number(process.env.ANNEAL_KILLS ?? 60);

/** Bundles the child to plain JavaScript, which node runs without a TypeScript loader. */
async function bundle(outDir: string): Promise<string> {
  const entry = fileURLToPath(new URL("kill-child.ts", import.meta.url));
  await build({
    configFile: false,
    logLevel: "silent",
    build: {
      ssr: entry,
      outDir,
      target: "node20",
      rollupOptions: { output: { entryFileNames: "child.mjs" } },
    },
  });
  return join(outDir, "child.mjs");
}

/** Runs the child until `delay` ms after it is ready (or after its start), kills it, and returns the last step it reported. */
async function killOnce(script: string, run: string, delay: number, fromStart: boolean): Promise<number> {
  const child = spawn(process.execPath, [script, run], { stdio: ["ignore", "pipe", "pipe"] });
  let out = "";
  let err = "";
  const exited = new Promise<NodeJS.Signals | null>((resolve) =>
    child.on("close", (_, signal) => resolve(signal)),
  );
  const ready = new Promise<void>((resolve) => {
    child.stdout.on("data", (text) => {
      out += text;
      resolve();
    });
    child.on("close", () => resolve());
  });
  child.stderr.on("data", (text) => {
    err += text;
  });
  if (!fromStart) await ready;
  await sleep(delay);
  child.kill("SIGKILL");
  expect(await exited, err).toBe("SIGKILL");
  const complete = out.split("\n").slice(0, -1);
  return Math.max(0, ...complete.map(Number).filter(Number.isInteger));
}

it(`loads after each of ${KILLS} kills, never an older step than before`, {
  timeout: KILLS * 2000,
}, async () => {
  const dir = await temporaryFolder();
  const script = await bundle(join(dir, "bundle"));
  const run = join(dir, "run");
  await (await RunFolder.create(run, {})).close();
  const root = join(run, "checkpoints");
  // A fixed sequence of delays; where they strike still differs from run to run.
  let random = 12345;
  const next = (limit: number) => {
    random = (random * 1103515245 + 12345) % 2 ** 31;
    return random % limit;
  };
  let latest = 0;
  let cutOff = 0;
  for (let kill = 0; kill < KILLS; kill++) {
    const reported = await killOnce(script, run, next(60), kill % 4 === 3);
    cutOff += (await readdir(root)).filter((name) => name.startsWith(".")).length > 0 ? 1 : 0;
    if ((await listCheckpoints(root)).length === 0) {
      expect(latest).toBe(0);
      expect(reported).toBe(0);
      continue;
    }
    const warnings: string[] = [];
    const loaded = await loadCheckpoint(root, { onWarning: (message) => warnings.push(message) });
    expect(warnings).toEqual([]);
    expect(loaded.state).toEqual({ step: loaded.step });
    expect([...loaded.arrays.keys()]).toEqual(["model", "moments"]);
    for (const array of loaded.arrays.values()) {
      const values = toF32("f32", await array.data());
      expect(values.every((value) => value === loaded.step)).toBe(true);
    }
    await loaded.close();
    expect(loaded.step).toBeGreaterThanOrEqual(Math.max(latest, reported));
    latest = loaded.step;

    // Every step up to the checkpoint is in the metrics, once and in order; a torn line can only be the last.
    const lines = (await readFile(join(run, "metrics.jsonl"), "utf8")).split("\n").slice(0, latest);
    expect(lines.map((line) => JSON.parse(line).step)).toEqual(
      Array.from({ length: latest }, (_, i) => i + 1),
    );
    const { best } = await readPins(root);
    if (best !== undefined) await (await loadCheckpoint(root, { pin: "best" })).close();
  }
  // On a busy machine many children are killed before their first step.
  expect(latest).toBeGreaterThan(KILLS / 4);
  expect(cutOff).toBeGreaterThan(0);

  // The last lock is that of a dead process; the next start takes it over and leaves no trace of the kills.
  const open = await RunFolder.open(run);
  expect((await readdir(root)).filter((name) => name.startsWith("."))).toEqual([]);
  expect((await readdir(run)).filter((name) => name.includes(".tmp-"))).toEqual([]);
  await open.close();
});
