/** The option `--device`, common to every command that computes. run.ts makes its value the default device before the command starts. */

import { DEVICE_NAMES } from "../native/device.js";
import type { OptionSpec } from "./command.js";

export const DEVICE_OPTION: Readonly<Record<"device", OptionSpec>> = {
  device: {
    type: "string",
    choices: DEVICE_NAMES,
    summary: "Where to compute; default: the environment variable ANNEAL_DEVICE, else cpu",
  },
};
