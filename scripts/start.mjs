/** `npm start`: sets up, builds, and runs the first training; arguments after `--` go to `anneal start`. */
import { spawn } from "node:child_process";
import { join } from "node:path";
import { ROOT, trySetup } from "./setup.mjs";

if (await trySetup()) {
  const child = spawn(process.execPath, [join(ROOT, "dist/cli/main.js"), "start", ...process.argv.slice(2)], {
    stdio: "inherit",
  });
  // The terminal sends Ctrl-C to the child as well, which saves and ends; this process waits for it.
  process.on("SIGINT", () => {});
  process.on("SIGTERM", () => child.kill("SIGTERM"));
  child.on("close", (code, signal) => {
    process.exitCode = code ?? (signal === "SIGINT" ? 130 : 1);
  });
} else {
  process.exitCode = 1;
}
