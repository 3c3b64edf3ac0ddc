/** Kills downloading processes at random moments, several of them on one cache: what is under a final name is whole. */

import { type ChildProcess, spawn } from "node:child_process";
import { readdir, readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { build } from "vite";
import { expect, it, onTestFinished } from "vitest";
import { snapshotDataset } from "../../lib/io/hub.js";
import { HubServer, sha256, someBytes } from "./hub-server.js";
import { temporaryFolder } from "./temporary.js";

const FILES = Object.fromEntries(
  [2_500_000, 1_500_000, 400_000, 3].map((size, i) => [
    `data/${i}.bin`,
    { contents: someBytes(size, i + 1), large: true },
  ]),
);

async function bundle(outDir: string): Promise<string> {
  await build({
    configFile: false,
    logLevel: "silent",
    build: {
      ssr: fileURLToPath(new URL("hub-kill-child.ts", import.meta.url)),
      outDir,
      target: "node20",
      rollupOptions: {
        external: ["@huggingface/hub"],
        output: { entryFileNames: "child.mjs" },
      },
    },
  });
  return join(outDir, "child.mjs");
}

/** What a child says until it ends. */
async function ending(child: ChildProcess): Promise<string> {
  let text = "";
  child.stdout?.on("data", (part) => {
    text += part;
  });
  child.stderr?.on("data", (part) => {
    text += part;
  });
  await new Promise((resolve) => child.on("close", resolve));
  return text;
}

it("survives kills, and processes that download the same", { timeout: 120_000 }, async () => {
  const server = await HubServer.start(FILES);
  server.pace = 30_000;
  const cacheDir = await temporaryFolder();
  // Next to node_modules, where the child finds the packages.
  const bundled = fileURLToPath(new URL("../../build/hub-kill", import.meta.url));
  onTestFinished(() => rm(bundled, { recursive: true, force: true }));
  const script = await bundle(bundled);
  const start = () =>
    spawn(process.execPath, [script, server.endpoint, cacheDir], { stdio: ["ignore", "pipe", "pipe"] });
  const blobs = join(cacheDir, "datasets--owner--name", "blobs");
  for (let round = 0; round < 8; round++) {
    const children = round % 2 === 0 ? [start()] : [start(), start()];
    const ended = children.map(ending);
    // One moves bytes; then it is killed.
    await Promise.race([new Promise((resolve) => children[0].stdout?.once("data", resolve)), ...ended]);
    await sleep(10 + 25 * round);
    for (const child of children) child.kill("SIGKILL");
    await Promise.all(ended);
    for (const name of await readdir(blobs)) {
      if (/^[0-9a-f]{64}$/.test(name)) expect(sha256(await readFile(join(blobs, name)))).toBe(name);
    }
  }
  // Three at once, to the end: each file comes once.
  server.seen.length = 0;
  const answers = await Promise.all([start(), start(), start()].map(ending));
  for (const answer of answers) expect(answer).toMatch(/whole 4\n$/);
  for (const path of Object.keys(FILES)) {
    const fetched = server.requests(path).filter(({ host }) => host === "storage");
    expect(fetched.length).toBeLessThanOrEqual(1);
  }
  const { folder } = await snapshotDataset("owner/name", { cacheDir, offline: true });
  for (const [path, { contents }] of Object.entries(FILES)) {
    expect(sha256(await readFile(join(folder, path)))).toBe(sha256(contents));
  }
  expect((await readdir(blobs)).sort()).toEqual(
    Object.values(FILES)
      .map(({ contents }) => sha256(contents))
      .sort(),
  );
});
