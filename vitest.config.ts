import { defineConfig } from "vitest/config";

/** Tests load a native addon, so each file runs in a process of its own; two at a time, because kernels use all cores. */
export default defineConfig({
  test: {
    include: ["tests/**/*.test.ts"],
    pool: "forks",
    maxWorkers: 2,
    testTimeout: 60_000,
    hookTimeout: 60_000,
  },
});
