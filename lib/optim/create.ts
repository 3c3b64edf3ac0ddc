/** Optimizers by name, for configurations and command lines. */

import { ConfigError, didYouMean } from "../errors.js";
import { Adam, type AdamOptions, AdamW, type AdamWOptions } from "./adam.js";
import type { Optimizer, ParameterSource } from "./optimizer.js";
import { SGD, type SGDOptions } from "./sgd.js";

/** Names that `createOptimizer` knows. */
export const OPTIMIZERS = ["adamw", "adam", "sgd"] as const;

/** The name of an optimizer. */
export type OptimizerName = (typeof OPTIMIZERS)[number];

/** An optimizer's name and its options without the parameters. `type` defaults to adamw. */
export type OptimizerConfig =
  | ({ type?: "adamw" } & Omit<AdamWOptions, "params">)
  | ({ type: "adam" } & Omit<AdamOptions, "params">)
  | ({ type: "sgd" } & Omit<SGDOptions, "params">);

/** Makes an optimizer over parameters (`model.namedParameters()`). Throws ConfigError for an unknown name or option. */
export function createOptimizer(params: ParameterSource<never>, config: OptimizerConfig = {}): Optimizer {
  const { type = "adamw", ...options } = config;
  const all = { ...options, params } as never;
  switch (type) {
    case "adamw":
      return new AdamW(all) as unknown as Optimizer;
    case "adam":
      return new Adam(all) as unknown as Optimizer;
    case "sgd":
      return new SGD(all) as unknown as Optimizer;
    default:
      throw new ConfigError(
        `Unknown optimizer "${String(type)}"; expected one of ${OPTIMIZERS.join(", ")}.${didYouMean(String(type), OPTIMIZERS)}`,
        { optimizer: type },
      );
  }
}
