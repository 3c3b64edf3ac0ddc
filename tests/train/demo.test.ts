/** What the first training runs: the model it takes, its text, and which run it goes on with. */
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createModel } from "../../lib/models/registry.js";
import { DEMO_MODEL, demoRun } from "../../lib/train/demo.js";

let root: string;
const before = process.cwd();

beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), "anneal-demo-"));
  process.chdir(root);
});
afterAll(() => {
  process.chdir(before);
  rmSync(root, { recursive: true, force: true });
});

describe("demoRun", () => {
  it("has latent attention, experts and a further prediction, and few enough values for a CPU", () => {
    const model = createModel(DEMO_MODEL.config);
    try {
      const names = model.namedParameters().map(([name]) => name);
      for (const part of ["kv_a_proj_with_mqa", "experts", "eh_proj"]) {
        expect(names.some((name) => name.includes(part))).toBe(true);
      }
      const { parameters, activeParameters } = model.facts();
      expect(parameters).toBeLessThan(4e6);
      expect(activeParameters).toBeLessThan(parameters);
    } finally {
      model.dispose();
    }
  });

  it("takes the documentation that npm installed, or the text that is named", async () => {
    const own = await demoRun();
    expect(own.options).toMatchObject({ minutes: 2, tokenizer: "byte" });
    expect(own.options.data?.length).toBeGreaterThan(100);
    expect(own.source).toContain("node_modules");
    const named = await demoRun({ data: ["notes/"], minutes: 5, out: "there" });
    expect(named.options).toMatchObject({ data: ["notes/"], minutes: 5, out: "there", prompt: "\n" });
  });

  it("starts a new run unless it is asked to resume, then takes the newest", async () => {
    expect((await demoRun({ data: ["x"] })).options.out).toMatch(/^runs.deepseek-demo-\d{8}-\d{6}$/);
    await expect(demoRun({ resume: true })).rejects.toThrow("no run to resume");
    for (const name of [
      "deepseek-demo-20260101-000000",
      "deepseek-demo-20260102-000000",
      "other-20260103-000000",
    ]) {
      mkdirSync(join("runs", name), { recursive: true });
    }
    const { options } = await demoRun({ resume: true });
    expect(options).toEqual({ out: join("runs", "deepseek-demo-20260102-000000"), resume: true });
  });
});
