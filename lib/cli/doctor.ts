/** `anneal doctor`: what was found on this machine, what was not, and why. */

import { doctor, formatDoctor } from "../native/doctor.js";
import type { Command } from "./command.js";

export const command: Command = {
  name: "doctor",
  summary: "Show what was found on this machine, what is missing, and how to get it.",
  usage: "doctor [options]",
  options: {},
  examples: ["anneal doctor", "anneal doctor --json", "ANNEAL_DEVICE=cpu anneal doctor"],
  async run({ out }) {
    const report = await doctor();
    out(formatDoctor(report));
    return report;
  },
};
