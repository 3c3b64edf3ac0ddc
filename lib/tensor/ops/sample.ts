/** Drawing tokens from logits, on the device. */

import { ConfigError, didYouMean } from "../../errors.js";
import { nextPlainDraw } from "../random.js";
import type { Tensor } from "../tensor.js";
import { code, emptyLike, requireDtype, rowsOf, run, widthOf, wrongShape } from "./kernel.js";

/** How tokens are drawn. Filters apply in the order of the fields. */
export interface SampleOptions {
  /** Logits are divided by it; 0 takes the largest logit, the lowest id on ties. Default 1. */
  temperature?: number;
  /** Keep the k largest logits and what ties with the last of them; 0 keeps all. Default 0. */
  topK?: number;
  /** Keep the most probable tokens until their probabilities reach this sum; 1 keeps all. Default 1. */
  topP?: number;
  /** Keep tokens with at least this share of the largest probability; 0 keeps all. Default 0. */
  minP?: number;
  /** Seed of this draw; default: the library's random state, which moves on by one draw. */
  seed?: number;
  /** Number of the draw within `seed`; pass another one for every step. Default 0. */
  offset?: number;
}

/** What was drawn. */
export interface Sampled {
  /** Token ids, i32 [...rows]. */
  ids: Tensor;
  /** ln of their probabilities under softmax(logits/temperature) over the whole vocabulary (of the raw logits for temperature 0), f32 [...rows]. */
  logProbs: Tensor;
}

const OPTION_NAMES = ["temperature", "topK", "topP", "minP", "seed", "offset"];

function check(options: SampleOptions): void {
  for (const name of Object.keys(options)) {
    if (!OPTION_NAMES.includes(name)) {
      throw new ConfigError(`sampleTokens: unknown option "${name}".${didYouMean(name, OPTION_NAMES)}`, {
        option: name,
      });
    }
  }
  const { temperature = 1, topK = 0, topP = 1, minP = 0, seed = 0, offset = 0 } = options;
  const demand = (fits: boolean, name: string, expected: string, got: number): void => {
    if (!fits)
      throw new ConfigError(`sampleTokens: ${name} must be ${expected}, got ${got}.`, { option: name, got });
  };
  demand(temperature >= 0 && Number.isFinite(temperature), "temperature", "a number from 0", temperature);
  demand(Number.isInteger(topK) && topK >= 0, "topK", "an integer from 0", topK);
  demand(topP > 0 && topP <= 1, "topP", "above 0 and at most 1", topP);
  demand(minP >= 0 && minP <= 1, "minP", "between 0 and 1", minP);
  demand(Number.isSafeInteger(seed) && seed >= 0, "seed", "an integer from 0 to 2^53 − 1", seed);
  demand(Number.isSafeInteger(offset) && offset >= 0, "offset", "an integer from 0 to 2^53 − 1", offset);
}

/** Draws one token per row of logits [..., vocab] (f32 or bf16). The same seed and offset give the same tokens on every device. */
export function sampleTokens(logits: Tensor, options: SampleOptions = {}): Sampled {
  check(options);
  requireDtype("sampleTokens", "logits", logits, "f32", "bf16");
  if (logits.rank === 0 || widthOf(logits) === 0)
    wrongShape("sampleTokens", "logits", "[..., vocab]", logits.shape);
  const { temperature = 1, topK = 0, topP = 1, minP = 0 } = options;
  const { seed, offset } =
    options.seed === undefined
      ? nextPlainDraw("sample")
      : { seed: options.seed, offset: options.offset ?? 0 };
  const shape = logits.shape.slice(0, -1);
  const ids = emptyLike(logits, shape, "i32");
  const logProbs = emptyLike(logits, shape, "f32");
  run(
    logits,
    "sample",
    logits.use(),
    ids.use(),
    logProbs.use(),
    rowsOf(logits),
    widthOf(logits),
    code(logits),
    temperature,
    topK,
    topP,
    minP,
    seed,
    offset,
  );
  return { ids, logProbs };
}
