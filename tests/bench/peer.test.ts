/** The conversation with PyTorch's process, with a program in its place that speaks the same lines. */
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { benchKernels } from "../../lib/bench/kernels.js";
import { TorchPeer } from "../../lib/bench/peer.js";
import { sizesFor } from "../../lib/bench/sizes.js";

const SIZES = sizesFor("simt", 0);
let folder: string;
let before: string | undefined;

/** Makes `python3` a Node program with this body. */
function pretend(body: string): void {
  const path = join(folder, "python");
  writeFileSync(path, `#!${process.execPath}\n${body}\n`);
  chmodSync(path, 0o755);
  process.env.ANNEAL_PYTHON = path;
}

const ANSWERS = (answer: string): string => `
  const say = (value) => console.log(JSON.stringify(value));
  say({ torch: "9.9" });
  require("node:readline").createInterface({ input: process.stdin }).on("line", (line) => {
    const request = JSON.parse(line);
    ${answer}
  });`;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "anneal-peer-"));
  before = process.env.ANNEAL_PYTHON;
});
afterEach(() => {
  if (before === undefined) delete process.env.ANNEAL_PYTHON;
  else process.env.ANNEAL_PYTHON = before;
  rmSync(folder, { recursive: true });
});

describe("TorchPeer", () => {
  it("asks and is answered, request by request", async () => {
    pretend(ANSWERS("say(request.dispatch ? { nanosecondsPerCall: 7 } : { eager: request.case.sets });"));
    const peer = await TorchPeer.start("cpu", SIZES, 1);
    if (typeof peer === "string") throw new Error(peer);
    expect(peer.version).toBe("9.9");
    const request = {
      name: "softmax",
      dtype: "f32",
      modes: ["eager"],
      sampleMilliseconds: 1,
      samples: 1,
    } as const;
    for (const sets of [3, 4]) expect(await peer.measure({ ...request, sets })).toEqual({ eager: sets });
    expect(await peer.dispatch()).toEqual({ nanosecondsPerCall: 7 });
    peer.close();
  });

  it("says why there is none: no interpreter, or one that fails, in its last words", async () => {
    process.env.ANNEAL_PYTHON = join(folder, "nowhere");
    expect(await TorchPeer.start("cpu", SIZES, 1)).toMatch(/ENOENT.*ANNEAL_PYTHON/);
    pretend('console.error("Traceback …\\nModuleNotFoundError: No module named torch"); process.exit(1);');
    expect(await TorchPeer.start("cpu", SIZES, 1)).toContain("ModuleNotFoundError: No module named torch");
    expect(await TorchPeer.start("simt", SIZES, 1)).toContain("compared with nothing");
  });
});

describe("benchKernels beside PyTorch", () => {
  const quick = { samples: 1, sampleMilliseconds: 0.01, sizes: SIZES, dtypes: ["f32"] as const };

  it("holds both times, and none where PyTorch has no equivalent", async () => {
    pretend(ANSWERS('say(request.case.name === "softmax" ? { eager: 0.5, compiled: 0.25 } : {});'));
    const { kernels, pytorch } = await benchKernels({ ...quick, filter: "softmax" });
    expect(pytorch).toEqual({ version: "9.9" });
    expect(kernels.map((kernel) => kernel.pytorch)).toEqual([{ eager: 0.5, compiled: 0.25 }, {}, {}]);
  });

  it("goes on alone when PyTorch's process ends", async () => {
    pretend(
      ANSWERS(
        'if (request.case.name === "softmax") say({ eager: 1 }); else { console.error("out of memory"); process.exit(1); }',
      ),
    );
    const { kernels, pytorch } = await benchKernels({ ...quick, filter: "softmax" });
    expect(kernels.map((kernel) => kernel.pytorch)).toEqual([{ eager: 1 }, undefined, undefined]);
    expect(pytorch).toEqual({ absent: "it ended at softmax vocabulary f32: out of memory" });
  });
});
