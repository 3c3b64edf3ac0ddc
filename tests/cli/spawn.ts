/** Runs the compiled command line as a user would. */
import { type ChildProcess, spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";

const MAIN = fileURLToPath(new URL("../../dist/cli/main.js", import.meta.url));

export interface Outcome {
  status: number | null;
  stdout: string;
  stderr: string;
  /** Milliseconds. */
  elapsed: number;
}

/** Starts `anneal` with arguments; `onChild` sees the process. */
export function anneal(args: string[], onChild: (child: ChildProcess) => void = () => {}): Promise<Outcome> {
  if (!existsSync(MAIN)) throw new Error("dist/ is not compiled: run `npm run build:ts`.");
  const startedAt = performance.now();
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [MAIN, ...args], {
      env: { ...process.env, ANNEAL_THREADS: "1", ANNEAL_DEBUG: "" },
      stdio: ["ignore", "pipe", "pipe"],
    });
    let stdout = "";
    let stderr = "";
    child.stdout.setEncoding("utf8").on("data", (text: string) => (stdout += text));
    child.stderr.setEncoding("utf8").on("data", (text: string) => (stderr += text));
    child.on("error", reject);
    child.on("close", (status) =>
      resolve({ status, stdout, stderr, elapsed: performance.now() - startedAt }),
    );
    onChild(child);
  });
}
