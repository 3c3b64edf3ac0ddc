import { readdirSync, readFileSync } from "node:fs";
import { join, sep } from "node:path";
import { describe, expect, it } from "vitest";
import { ALLOWED, checkFile, readImports } from "./import-order.js";

const ROOT = join(import.meta.dirname, "../..");
const manifest = JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8"));
const dependencies = Object.keys(manifest.dependencies);

describe("imports of lib/", () => {
  it("run one way, from cli down to native", () => {
    const files = readdirSync(join(ROOT, "lib"), { recursive: true, encoding: "utf8" })
      .map((file) => file.split(sep).join("/"))
      .filter((file) => file.endsWith(".ts"));
    expect(files.length).toBeGreaterThan(0);
    const violations = files.flatMap((file) =>
      checkFile(file, readFileSync(join(ROOT, "lib", file), "utf8"), dependencies),
    );
    expect(violations.map((v) => `${v.file}:${v.line} ${v.message}`)).toEqual([]);
  });

  it("have rules without a cycle between rooms", () => {
    for (const [room, allowed] of Object.entries(ALLOWED)) {
      for (const other of allowed) {
        expect(ALLOWED[other], `${room} may import ${other}`).not.toContain(room);
      }
    }
  });
});

describe("the import checker", () => {
  const check = (file: string, source: string) => checkFile(file, source, ["@huggingface/jinja"]);

  it.each([
    ["tensor/tensor.ts", 'import { Linear } from "../nn/linear.js";'],
    ["nn/linear.ts", 'import type { Model } from "../models/model.js";'],
    ["native/locate.ts", 'export * from "../tensor/tensor.js";'],
    ["optim/adamw.ts", 'import { Module } from "../nn/module.js";'],
    ["data/shards.ts", 'const { tensor } = await import("../tensor/tensor.js");'],
    ["tokenizer/byte.ts", 'import "../data/shards.js";'],
    ["io/safetensors.ts", 'import {\n  a,\n  b,\n} from "../models/registry.js";'],
    ["plan/flops.ts", 'import { config } from "../models/deepseek.js";'],
    ["train/trainer.ts", 'import { command } from "../cli/main.js";'],
    ["generate/engine.ts", 'import { Trainer } from "../train/trainer.js";'],
    ["errors.ts", 'import { Tensor } from "./tensor/tensor.js";'],
    ["models/gpt2.ts", 'import { vi } from "vitest";'],
    ["models/gpt2.ts", 'import { matmul } from "../../tests/reference/matmul.js";'],
    ["widgets/a.ts", 'import { Tensor } from "../tensor/tensor.js";'],
  ])("rejects in %s: %s", (file, source) => {
    expect(check(file, `// first line\n${source}`)).toMatchObject([{ file: `lib/${file}`, line: 2 }]);
  });

  it.each([
    ["cli/pretrain.ts", 'import { Trainer } from "../train/trainer.js";'],
    ["models/gpt2.ts", 'import { readFileSync } from "node:fs";\nimport { Linear } from "../nn/linear.js";'],
    ["models/gpt2.ts", 'import { readSafetensors } from "../io/safetensors.js";'],
    ["io/safetensors.ts", 'import { FormatError } from "../errors.js";'],
    ["data/chat/template.ts", 'import { Template } from "@huggingface/jinja";'],
    ["tensor/ops/matmul.ts", 'import { Tensor } from "../tensor.js";'],
    ["index.ts", 'export * from "./cli/main.js";'],
    ["tensor/tensor.ts", '// import { Linear } from "../nn/linear.js";\n/* import "../nn/linear.js" */'],
  ])("accepts in %s: %s", (file, source) => {
    expect(check(file, source)).toEqual([]);
  });

  it("reads every form of import with its line", () => {
    const source = [
      'import a from "./a.js"; // import x from "./no.js"',
      "import {",
      "  b,",
      '} from "./b.js";',
      'export type { C } from "./c.js";',
      'import "./d.js";',
      'const e = await import("./e.js");',
      'const text = "see // import";',
      'type F = import("./f.js").F;',
    ].join("\n");
    expect(readImports(source).map(({ specifier, line }) => `${specifier} ${line}`)).toEqual([
      "./a.js 1",
      "./b.js 2",
      "./c.js 5",
      "./d.js 6",
      "./e.js 7",
      "./f.js 9",
    ]);
  });
});
