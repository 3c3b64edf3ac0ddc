/** Twenty training steps from the same weights and batches follow PyTorch's losses. */
import { describe, expect, it } from "vitest";
import { fromPretrained } from "../../lib/models/pretrained.js";
import { AdamW, clipGradNorm } from "../../lib/optim/index.js";
import { backward } from "../../lib/tensor/autograd.js";
import { keep, scope } from "../../lib/tensor/scope.js";
import type { Tensor } from "../../lib/tensor/tensor.js";
import { quick } from "../native/harness.js";
import { type GoldenTrajectory, goldenDir, goldenNames, readGolden, rowsInput, targetsOf } from "./golden.js";

const TOLERANCE = { f32: 1e-4, bf16: 1e-2 } as const;

describe.each(goldenNames("trajectories"))("%s", (name) => {
  const golden = readGolden<GoldenTrajectory>("trajectories", name);

  it.each(["f32", "bf16"] as const)("follows PyTorch in %s", async (dtype) => {
    const expected = golden[dtype];
    const { mtpWeight = 0, biasUpdateSpeed = 0 } = golden.objective;
    const deepseek = { aux_loss_alpha: 0, mtp_loss_weight: mtpWeight, bias_update_speed: biasUpdateSpeed };
    const overrides = name.startsWith("deepseek") ? deepseek : {};
    const model = await fromPretrained(goldenDir("trajectories", name), { dtype, overrides });
    const { betas, eps, weightDecay, clip } = golden.optimizer;
    const optimizer = new AdamW({ params: model.namedParameters(), lr: 0, betas, eps, weightDecay });
    const losses: number[] = [];
    for (const [step, batch] of golden.batches.slice(0, quick(20, 4)).entries()) {
      optimizer.lr = expected.learningRates[step];
      const total: Tensor = scope(() => {
        const { loss } = model.loss(rowsInput(batch), targetsOf(batch), { rows: batch.length });
        backward(loss);
        const { clip: factor } = clipGradNorm(model.parameters(), clip);
        optimizer.step({ clip: factor });
        optimizer.zeroGrad();
        model.afterStep();
        return keep(loss);
      });
      losses.push(await total.item());
      total.dispose();
    }
    losses.forEach((loss, step) => {
      const error = Math.abs(loss - expected.losses[step]) / expected.losses[step];
      expect(error, `step ${step + 1}`).toBeLessThan(TOLERANCE[dtype]);
    });
    model.dispose();
  });
});
