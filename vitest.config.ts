import { defineConfig } from "vitest/config";

/** Tests load a native addon, so each file runs in a process of its own; two at a time, because kernels use all cores. */
export default defineConfig({
  test: {
    // Test files run side by side on few cores: threads that wait must not spin.
    env: { OMP_WAIT_POLICY: "passive" },
    include: ["tests/**/*.test.ts"],
    pool: "forks",
    maxWorkers: 2,
    testTimeout: 60_000,
    hookTimeout: 60_000,
  },
});
