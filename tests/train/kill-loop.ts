/** Kills a training process with SIGKILL at random moments, resumes it each time, and compares its metrics with those of a run left in peace. */

import { spawn } from "node:child_process";
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { build } from "vite";
import { listCheckpoints } from "../../lib/io/index.js";

/** Bundles the child to plain JavaScript, which node runs without a TypeScript loader. */
export async function bundleChild(outDir: string): Promise<string> {
  const entry = fileURLToPath(new URL("kill-child.ts", import.meta.url));
  const output = { entryFileNames: "child.mjs" };
  // Dependencies go in as well: where the bundle lies there are none.
  const options = { ssr: entry, outDir, target: "node20", rollupOptions: { output } };
  await build({ configFile: false, logLevel: "silent", build: options, ssr: { noExternal: true } });
  return join(outDir, "child.mjs");
}

/** When a life ends: so many milliseconds after so many steps (0: after the start). */
interface Death {
  steps: number;
  delay: number;
}

/** One life of the child; without a death it runs to its end. Rejects when the child fails by itself. */
async function live(args: string[], death?: Death): Promise<NodeJS.Signals | null> {
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
  if (death !== undefined) {
    const { steps, delay } = death;
    const reached = new Promise<void>((resolve) => {
      let lines = 0;
      child.stdout.on("data", (text: Buffer) => {
        lines += text.toString().split("\n").length - 1;
        if (lines >= steps) resolve();
      });
      child.on("close", () => resolve());
    });
    if (steps > 0) await reached;
    await sleep(delay);
    child.kill("SIGKILL");
  }
  return exited;
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
  /** Steps that were saved before the last life. */
  stepsBefore: number;
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
    // Every fifth strikes at any moment of the start: loading the program, resuming, the first step. The others strike soon after a step, often in its save.
    const death = kill % 5 === 4 ? { steps: 0, delay: next(400) } : { steps: 1 + next(3), delay: next(12) };
    // Captured steps and plain ones in turn: either goes on where the other was struck.
    const mode = kill % 2 === 0 ? "captured" : "plain";
    if ((await live([script, run, model, steps, mode], death)) === "SIGKILL") struck += 1;
    const names = await readdir(root).catch(() => []);
    if (names.some((name) => name.startsWith("."))) duringSaves += 1;
  }
  const stepsBefore = (await listCheckpoints(root)).at(-1)?.step ?? 0;
  await live([script, run, model, steps, "captured"]);
  const straight = join(dir, "straight");
  await live([script, straight, model, steps]);
  return {
    killed: await records(run),
    straight: await records(straight),
    duringSaves,
    kills: struck,
    stepsBefore,
  };
}
