/** Kills a training process with SIGKILL at random moments, resumes it each time, and compares its metrics with those of a run left in peace. */

import { spawn } from "node:child_process";
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { build } from "vite";

/** Bundles the child to plain JavaScript, which node runs without a TypeScript loader. */
export async function bundleChild(outDir: string): Promise<string> {
  const entry = fileURLToPath(new URL("kill-child.ts", import.meta.url));
  const output = { entryFileNames: "child.mjs" };
  // Dependencies go in as well: where the bundle lies there are none.
  const options = { ssr: entry, outDir, target: "node20", rollupOptions: { output } };
  await build({ configFile: false, logLevel: "silent", build: options, ssr: { noExternal: true } });
  return join(outDir, "child.mjs");
}

/** One life of the child. `delay` ms after its start, or after it is ready, it is killed; without a delay it runs to its end. */
async function live(
  args: string[],
  delay?: number,
  fromStart = false,
): Promise<{ signal: NodeJS.Signals | null; errors: string }> {
  const addon = fileURLToPath(new URL("../../build/Release/anneal.node", import.meta.url));
  // The bundle lies elsewhere, so it must be told where the addon is; tiny kernels run best on one thread.
  const env = { ANNEAL_ADDON: addon, ...process.env, ANNEAL_THREADS: "1" };
  const child = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "pipe"], env });
  let errors = "";
  child.stderr.on("data", (text) => {
    errors += text;
  });
  const exited = new Promise<NodeJS.Signals | null>((resolve, reject) => {
    child.on("error", reject);
    child.on("close", (code, signal) =>
      code ? reject(new Error(`the run failed with code ${code}:\n${errors}`)) : resolve(signal),
    );
  });
  exited.catch(() => undefined);
  const ready = new Promise<void>((resolve) => {
    child.stdout.on("data", () => resolve());
    child.on("close", () => resolve());
  });
  if (delay !== undefined) {
    if (!fromStart) await ready;
    await sleep(delay);
    child.kill("SIGKILL");
  }
  return { signal: await exited, errors };
}

/** Records of metrics.jsonl without what depends on the clock. */
async function records(run: string): Promise<string[]> {
  const lines = (await readFile(join(run, "metrics.jsonl"), "utf8")).trimEnd().split("\n");
  return lines.map((line) => {
    const { tokensPerSecond: _t, secondsPerStep: _s, seconds: _e, ...record } = JSON.parse(line);
    return JSON.stringify(record);
  });
}

/** What a loop of kills came to. */
export interface KillLoopResult {
  /** Records of the run that was killed, and of one that was not. */
  killed: string[];
  straight: string[];
  /** Kills that struck while a checkpoint was being saved or deleted. */
  duringSaves: number;
  /** Lives that ended by a kill. */
  kills: number;
}

/**
 * @param dir an empty folder
 * @param model `gpt2` or `deepseek`
 * @param stepsPerKill how many steps the run has for each kill
 */
export async function killLoop(
  script: string,
  dir: string,
  model: string,
  kills: number,
  stepsPerKill = 2,
): Promise<KillLoopResult> {
  const run = join(dir, "killed");
  const root = join(run, "checkpoints");
  const steps = String(kills * stepsPerKill);
  // A fixed sequence of delays; where they strike still differs from time to time.
  let random = 98765;
  const next = (limit: number): number => {
    random = (random * 1103515245 + 12345) % 2 ** 31;
    return random % limit;
  };
  let struck = 0;
  let duringSaves = 0;
  for (let kill = 0; kill < kills; kill++) {
    // Every fifth strikes at any moment of the start: loading the program, resuming, the first step.
    const fromStart = kill % 5 === 4;
    const { signal } = await live([script, run, model, steps], next(fromStart ? 400 : 60), fromStart);
    if (signal === "SIGKILL") struck += 1;
    const names = await readdir(root).catch(() => []);
    if (names.some((name) => name.startsWith("."))) duringSaves += 1;
  }
  await live([script, run, model, steps]);
  const straight = join(dir, "straight");
  await live([script, straight, model, steps]);
  return { killed: await records(run), straight: await records(straight), duringSaves, kills: struck };
}
