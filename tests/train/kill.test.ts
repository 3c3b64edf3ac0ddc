/** SIGKILL at random moments, during saves too: the resumed run has the losses of one that was never killed, bit for bit. */

import { join } from "node:path";
import { expect, it } from "vitest";
import { temporaryFolder } from "../io/temporary.js";
import { bundleChild, killLoop } from "./kill-loop.js";

/** Kills per model; scripts/kill-loop.mjs makes it 100. */
const KILLS = Number(process.env.ANNEAL_KILLS ?? 52) >> 1;

it.each(["deepseek", "gpt2"])(
  `survives ${KILLS} kills (%s)`,
  { timeout: 60_000 + KILLS * 8000 },
  async (model) => {
    const dir = await temporaryFolder();
    const script = await bundleChild(join(dir, "bundle"));
    const { killed, straight, kills, duringSaves, stepsBefore } = await killLoop(script, dir, model, KILLS);
    expect(killed).toEqual(straight);
    expect(kills).toBeGreaterThan(KILLS * 0.8);
    expect(duringSaves).toBeGreaterThan(0);
    // The kills struck a run that went on, not one that never came to a step.
    expect(stepsBefore).toBeGreaterThan(KILLS / 3);
  },
);
