/**
 * Writes what nvcc's report says of the built kernels to tests/cuda/budget.json, and shows what moved:
 * `npm run build && node scripts/cuda-budget.mjs`. Spills fail all the same.
 */
import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";

const vitest = fileURLToPath(new URL("../node_modules/vitest/vitest.mjs", import.meta.url));
const { status } = spawnSync(process.execPath, [vitest, "run", "tests/cuda/nvcc.test.ts"], {
  cwd: fileURLToPath(new URL("..", import.meta.url)),
  env: { ...process.env, ANNEAL_UPDATE_BUDGET: "1" },
  stdio: "inherit",
});
process.exit(status ?? 1);
