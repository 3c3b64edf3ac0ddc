/** The text of the first training: which files it takes, and that the choice is the same everywhere. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { demoCorpus } from "../../lib/train/demo-corpus.js";

let root: string;
const names = (files: string[]) => files.map((file) => basename(file));

beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), "anneal-corpus-"));
  mkdirSync(join(root, "b"));
  const write = (name: string, content: string | Uint8Array) => writeFileSync(join(root, name), content);
  write("README.md", "# Words\n".repeat(50));
  write("b/copy.md", "# Words\n".repeat(50));
  write("b/types.d.ts", "export interface A {}\n".repeat(40));
  write("b/code.js", "x\n".repeat(400));
  write("short.md", "# Short\n");
  write("large.d.ts", "x".repeat(3000));
  write(
    "latin.md",
    Uint8Array.from({ length: 400 }, () => 0xe9),
  );
});
afterAll(() => rmSync(root, { recursive: true, force: true }));

describe("demoCorpus", () => {
  it("takes documentation and declarations, each content once", async () => {
    const { files, bytes } = await demoCorpus(root, { maxFileBytes: 2000 });
    expect(names(files)).toEqual(["README.md", "types.d.ts"]);
    expect(bytes).toBe(50 * 8 + 40 * 22);
  });

  it("stays below the limit", async () => {
    const { files, bytes } = await demoCorpus(root, { maxFileBytes: 2000, maxBytes: 600 });
    expect(names(files)).toEqual(["README.md"]);
    expect(bytes).toBe(400);
  });

  it("says what to do when there is nothing", async () => {
    await expect(demoCorpus(join(root, "b"), { maxFileBytes: 300 })).rejects.toThrow("npm ci");
  });
});
