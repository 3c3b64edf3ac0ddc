import { defineConfig } from "vitest/config";

/** Suites of the kernels, which serve every device. */
const KERNEL_SUITES = [
  "activation",
  "attention",
  "attention-paged",
  "copy",
  "elementwise",
  "embedding",
  "gather",
  "grouped_matmul",
  "loss",
  "matmul",
  "moe",
  "norm",
  "optimizer",
  "random",
  "reduce",
  "rope",
  "router",
  "sample",
  "unary",
];

/** What a device must do beside its kernels: whole models, captured steps, exact resume, decoding. */
const MODEL_SUITES = [
  "tests/models/{golden,trajectory,equivalence,pretrained,paged-cache}.test.ts",
  "tests/tensor/capture.test.ts",
  "tests/train/{capture,resume}-device.test.ts",
  "tests/generate/decode.test.ts",
];

/** On a GPU these as well; on the interpreter they would take too long. */
const LONG_SUITES = ["tests/train/{trainer,resume,capture}.test.ts", "tests/generate/*.test.ts"];

// With a device named, only these suites run, on it.
const device = process.env.ANNEAL_DEVICE ?? "";

const deviceSuites = {
  include: [
    ...KERNEL_SUITES.map((suite) => `tests/native/${suite}.test.ts`),
    ...MODEL_SUITES,
    ...(device === "cuda" ? LONG_SUITES : []),
  ],
  // A GPU's first launches and the interpreter of its kernels both take their time.
  testTimeout: 240_000,
};

/** Tests load a native addon, so each file runs in a process of its own; two at a time, because kernels use all cores. */
export default defineConfig({
  test: {
    pool: "forks",
    maxWorkers: 2,
    testTimeout: 60_000,
    hookTimeout: 60_000,
    // Test files run side by side on few cores: threads that wait must not spin.
    env: { OMP_WAIT_POLICY: "passive" },
    projects:
      device === "" || device === "cpu"
        ? [
            { extends: true, test: { name: "cpu", include: ["tests/**/*.test.ts"] } },
            { extends: true, test: { name: "simt", env: { ANNEAL_DEVICE: "simt" }, ...deviceSuites } },
          ]
        : [{ extends: true, test: { name: device, ...deviceSuites } }],
  },
});
