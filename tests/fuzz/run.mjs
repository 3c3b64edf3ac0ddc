/**
 * Fuzzes one reader of lib/ with libFuzzer.
 * Usage: node --allow-natives-syntax tests/fuzz/run.mjs TARGET WORK ADDON [libFuzzer's arguments]
 * WORK receives a copy of dist/ in which the target's files have counters.
 */
import { cpSync, readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { instrument } from "./instrument.mjs";

const [name, work, addon, ...given] = process.argv.slice(2);
const root = fileURLToPath(new URL("../..", import.meta.url));
const { files, prepare } = await import(new URL(`targets/${name}.mjs`, import.meta.url));

const dist = join(work, "dist");
cpSync(join(root, "dist"), dist, { recursive: true, filter: (path) => !path.endsWith(".d.ts") });
let counters = 0;
for (const file of files) {
  const { code, next } = instrument(readFileSync(join(root, "dist", file), "utf8"), counters);
  writeFileSync(join(dist, file), code);
  counters = next;
}
const reached = new Uint8Array(counters);
globalThis.__reached = (counter) => {
  reached[counter]++;
};
const target = await prepare((file) => import(pathToFileURL(join(dist, file)).href));
// Not from here: this module runs as a microtask, and within one V8 runs no others, which targets wait for.
setImmediate(() => createRequire(import.meta.url)(addon).run(reached, target, given));
