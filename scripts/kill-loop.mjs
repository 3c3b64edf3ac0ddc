/**
 * The long form of the kill test: 200 kills by default (`node scripts/kill-loop.mjs [KILLS]`), each followed by a resume, and the losses compared with those of
 * an undisturbed run bit for bit. Takes some minutes.
 */
import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";

const kills = Number(process.argv[2] ?? 200);
if (!Number.isInteger(kills) || kills < 2) {
  console.error("Usage: node scripts/kill-loop.mjs [KILLS], an integer from 2.");
  process.exit(2);
}
const vitest = fileURLToPath(new URL("../node_modules/vitest/vitest.mjs", import.meta.url));
const { status } = spawnSync(process.execPath, [vitest, "run", "tests/train/kill.test.ts"], {
  cwd: fileURLToPath(new URL("..", import.meta.url)),
  env: { ...process.env, ANNEAL_KILLS: String(kills) },
  stdio: "inherit",
});
process.exit(status ?? 1);
