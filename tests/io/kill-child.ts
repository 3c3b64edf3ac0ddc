/** A miniature trainer for kill.test.ts: resumes the run in argv[2], then saves a checkpoint per step until it is killed. */

import { listCheckpoints, loadCheckpoint, RunFolder, saveCheckpoint, toF32 } from "../../lib/io/index.js";

/** Larger than one chunk of a write, so that kills fall inside files too. */
const LENGTH = 300_000;

const run = await RunFolder.open(process.argv[2]);
const metrics = await run.openMetrics();
const warnings: string[] = [];
const onWarning = (message: string) => void warnings.push(message);

let step = 0;
if ((await listCheckpoints(run.checkpointsDir)).length > 0) {
  const loaded = await loadCheckpoint(run.checkpointsDir, { onWarning });
  step = loaded.step;
  for (const array of loaded.arrays.values()) {
    const values = toF32("f32", await array.data());
    if (values[0] !== step || values[LENGTH - 1] !== step) throw new Error(`step ${step} loaded a mixture`);
  }
  await loaded.close();
}
await metrics.truncateAfter((record) => (record.step as number) > step);
process.stdout.write("ready\n");

for (;;) {
  step++;
  await metrics.append({ step, loss: 1 / step });
  const values = new Float32Array(LENGTH).fill(step);
  const data = new Uint8Array(values.buffer);
  const arrays = ["model", "moments"].map((name) => ({ name, dtype: "f32" as const, shape: [LENGTH], data }));
  const pin = step % 5 === 0 ? "best" : undefined;
  await saveCheckpoint(
    run.checkpointsDir,
    step,
    { arrays, state: { step } },
    { keep: 2, pin, maxShardBytes: LENGTH * 4, onWarning },
  );
  if (warnings.length > 0) throw new Error(warnings.join("\n"));
  process.stdout.write(`${step}\n`);
}
