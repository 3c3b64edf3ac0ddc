/** The public interface of anneal: a list of the rooms whose exports it passes on. `data` and `io` keep names of their own. */

export * as data from "./data/index.js";
export * from "./errors.js";
export * from "./generate/index.js";
export * as io from "./io/index.js";
export * from "./models/index.js";
export * from "./native/index.js";
export * from "./nn/index.js";
export * from "./optim/index.js";
export * from "./tensor/index.js";
export * from "./tokenizer/index.js";
export * from "./train/index.js";
