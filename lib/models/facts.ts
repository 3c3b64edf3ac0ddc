/** Parameter and FLOP counts of a model, as the estimates and the trainer's MFU need them. */

import type { ModelFacts } from "./causal-lm.js";

/**
 * Facts of a decoder whose matrix products hold `multiplied` weights per token (tables that are only looked up left out). `scoreWidth` and `valueWidth`
 * are the sums over layers of heads × head size for queries and values: causal attention costs 2·(scoreWidth + valueWidth)·T/2 multiplications a token.
 */
export function denseFacts(
  parameters: number,
  multiplied: number,
  scoreWidth: number,
  valueWidth: number,
  active = parameters,
): ModelFacts {
  return {
    parameters,
    activeParameters: active,
    // Forward is 2 FLOPs a weight, backward twice that; attention sees T/2 keys on average.
    trainingFlopsPerToken: (sequenceLength) =>
      6 * multiplied + 3 * (scoreWidth + valueWidth) * sequenceLength,
  };
}
