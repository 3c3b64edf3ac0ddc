/** Two worker threads with an addon each, over the compiled package. */
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { Worker } from "node:worker_threads";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { locateAddon } from "../../lib/native/locate.js";
import { backward, linear, linearCrossEntropy, scope, tensor } from "../../lib/tensor/index.js";
import { rng } from "../reference/array.js";

const ROOT = join(import.meta.dirname, "../..");
let folder = "";

// The same training of one weight matrix in every thread; messages carry the losses.
const TRAIN = `
export function train(anneal, data, steps) {
  const weight = anneal.tensor(data.weight, { shape: [16, 24], requiresGrad: true });
  const head = anneal.tensor(data.head, { shape: [11, 16], requiresGrad: true });
  const losses = [];
  for (let step = 0; step < steps; step++) {
    losses.push(anneal.scope(() => {
      const hidden = anneal.linear(anneal.tensor(data.x, { shape: [32, 24] }), weight).gelu();
      const { loss } = anneal.linearCrossEntropy(hidden, head, anneal.tensor(data.targets));
      anneal.backward(loss);
      for (const parameter of [weight, head]) {
        const next = anneal.noGrad(() => parameter.sub(parameter.grad.mul(0.5)));
        parameter.write(next.dataSync());
        parameter.grad.dispose();
        parameter.grad = null;
      }
      return loss.dataSync()[0];
    }));
  }
  return losses;
}
`;

const WORKER = `
import { parentPort, workerData } from "node:worker_threads";
import { train } from "./train.js";
import * as anneal from "./dist/tensor/index.js";
import { memory, synchronize } from "./dist/native/device.js";

if (workerData.mode === "train") {
  parentPort.postMessage(train(anneal, workerData.data, workerData.steps));
} else if (workerData.mode === "read") {
  // Ends with reads under way, kernels queued and tensors alive.
  const big = anneal.uniform([1024, 1024]);
  for (let i = 0; i < 30; i++) big.matmul(big).data().catch(() => {});
  parentPort.postMessage("busy");
  await new Promise(() => setInterval(() => big.matmul(big), 1));
} else {
  const before = memory().buffers;
  try {
    anneal.embedding(anneal.tensor(Int32Array.of(9)), anneal.zeros([2, 2]));
    await synchronize();
  } catch (error) {
    parentPort.postMessage({ name: error.name, kernel: error.details.kernel, before });
  }
}
`;

function start(workerData: object): Worker {
  return new Worker(pathToFileURL(join(folder, "worker.js")), {
    workerData,
    env: { ...process.env, ANNEAL_ADDON: locateAddon().path },
  });
}

/** The first message of a worker. */
function message<T>(worker: Worker): Promise<T> {
  return new Promise((resolve, reject) => {
    worker.once("message", resolve);
    worker.once("error", reject);
    worker.once("exit", (code) =>
      reject(new Error(`the worker ended with code ${code} before it said anything`)),
    );
  });
}

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "anneal-workers-"));
  writeFileSync(join(folder, "package.json"), '{ "type": "module" }');
  writeFileSync(join(folder, "train.js"), TRAIN);
  writeFileSync(join(folder, "worker.js"), WORKER);
  const compiler = join(ROOT, "node_modules/typescript/bin/tsc");
  const options = ["-p", join(ROOT, "tsconfig.build.json"), "--outDir", join(folder, "dist")];
  execFileSync(process.execPath, [compiler, ...options], { stdio: "pipe" });
});

afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe("worker threads", () => {
  const random = rng(1);
  const data = {
    weight: Float32Array.from(random.normals(16 * 24, 0.2)),
    head: Float32Array.from(random.normals(11 * 16, 0.2)),
    x: Float32Array.from(random.normals(32 * 24)),
    targets: random.integers(32, 11),
  };

  it("train side by side and get the main thread's numbers, bit for bit", async () => {
    const workers = [start({ mode: "train", data, steps: 40 }), start({ mode: "train", data, steps: 40 })];
    const results = await Promise.all(workers.map((worker) => message<number[]>(worker)));
    expect(results[0]).toEqual(results[1]);
    expect(results[0][39]).toBeLessThan(results[0][0]);
    const first = scope(() => {
      const hidden = linear(
        tensor(data.x, { shape: [32, 24] }),
        tensor(data.weight, { shape: [16, 24], requiresGrad: true }),
      ).gelu();
      const { loss } = linearCrossEntropy(
        hidden,
        tensor(data.head, { shape: [11, 16] }),
        tensor(data.targets),
      );
      backward(loss);
      return loss.dataSync()[0];
    });
    expect(results[0][0]).toBe(first);
    await Promise.all(workers.map((worker) => worker.terminate()));
  });

  it("may be terminated in the middle of their work, again and again", async () => {
    for (let round = 0; round < 5; round++) {
      const workers = [start({ mode: "read" }), start({ mode: "read" })];
      await Promise.all(workers.map((worker) => message(worker)));
      await Promise.all(workers.map((worker) => worker.terminate()));
    }
    expect(scope(() => tensor([1, 2]).add(1).dataSync()[1])).toBe(3);
  });

  it("have errors and memory of their own", async () => {
    const kept = tensor([1, 2, 3]);
    const worker = start({ mode: "fail" });
    expect(await message(worker)).toEqual({ name: "KernelError", kernel: "embeddingForward", before: 0 });
    await worker.terminate();
    expect([...kept.dataSync()]).toEqual([1, 2, 3]);
    kept.dispose();
  });
});
