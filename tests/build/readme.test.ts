/** The README's first program runs as written and learns. */
import { execFileSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { expect, it } from "vitest";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));

it("the first program's loss falls", () => {
  const compiled = join(ROOT, "dist/index.js");
  expect(existsSync(compiled), "run `npm run build:ts` first").toBe(true);
  const readme = readFileSync(join(ROOT, "README.md"), "utf8");
  const program = /```ts\n([\s\S]*?)```/.exec(readme)?.[1] ?? "";
  const dir = mkdtempSync(join(tmpdir(), "anneal-readme-"));
  try {
    const file = join(dir, "first.mjs");
    writeFileSync(
      file,
      program.replace('from "anneal"', `from ${JSON.stringify(pathToFileURL(compiled).href)}`),
    );
    const lines = execFileSync(process.execPath, [file], { encoding: "utf8" }).trim().split("\n");
    const losses = lines.map((line) => Number(line.split(" ")[1]));
    expect(losses).toHaveLength(5);
    expect(losses[0]).toBeGreaterThan(5);
    expect(losses[4]).toBeLessThan(0.6 * losses[0]);
  } finally {
    rmSync(dir, { recursive: true });
  }
});
