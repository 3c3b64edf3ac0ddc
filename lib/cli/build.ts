/** `anneal build`: compiles the native addon from the sources in this package. */

import { buildAddon } from "../native/build.js";
import { type Command, UsageError } from "./command.js";

export const command: Command = {
  name: "build",
  summary: "Compile the native addon from the sources in this package; only what changed is compiled again.",
  usage: "build [options]",
  options: {
    jobs: {
      type: "integer",
      short: "j",
      summary: "Compiler processes at a time; default: the number of cores",
    },
    cuda: {
      type: "string",
      choices: ["auto", "on", "off"],
      default: "auto",
      summary: "Also compile the CUDA backend; auto: where nvcc is found",
    },
    simt: {
      type: "boolean",
      summary: "Also compile the interpreter that runs GPU kernels on the processor, for tests",
    },
    verbose: { type: "boolean", summary: "Show every line that CMake and the compiler print" },
  },
  examples: ["anneal build", "anneal build --jobs 2 --verbose", "anneal build --cuda on --simt"],
  async run({ options, out, info, progress }) {
    const { jobs, verbose, simt } = options;
    const cuda = { on: true, off: false }[options.cuda as string];
    if (jobs !== undefined && jobs < 1) {
      throw new UsageError(`--jobs must be at least 1, got ${jobs}.`, { option: "jobs", value: jobs });
    }
    const result = await buildAddon({ jobs, cuda, simt, onLine: verbose ? info : progress });
    out(
      `Built ${[result.path, ...Object.values(result.backends)].join(", ")} in ${result.seconds.toFixed(1)} s.`,
    );
    return result;
  },
};
