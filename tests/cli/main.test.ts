/** The command line as a process: help, versions, exit codes, and what goes to which stream. */
import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { anneal } from "./spawn.js";

const { version } = JSON.parse(readFileSync(new URL("../../package.json", import.meta.url), "utf8"));
const COMMANDS = ["doctor", "build", "pretrain", "eval", "generate", "bench", "start"];
const GROUPS: Readonly<Record<string, readonly string[]>> = {
  data: ["prepare", "dedup", "pack", "stats", "show"],
  tokenizer: ["train", "encode", "eval"],
};
const ALL = [
  ...COMMANDS,
  ...Object.entries(GROUPS).flatMap(([group, names]) => names.map((name) => `${group} ${name}`)),
];

describe("anneal", () => {
  it.each([[[]], [["--help"]], [["help"]]])("%j lists the commands", async (args) => {
    const { status, stdout, stderr } = await anneal(args);
    expect(status).toBe(0);
    expect(stderr).toBe("");
    for (const name of [...COMMANDS, ...Object.keys(GROUPS)])
      expect(stdout).toMatch(new RegExp(`^  ${name} +\\S`, "m"));
  });

  it("shows its version", async () => {
    for (const args of [["--version"], ["-v"], ["doctor", "--version"]]) {
      expect(await anneal(args)).toMatchObject({ status: 0, stdout: `${version}\n`, stderr: "" });
    }
  });

  it("suggests a command for a misspelt one", async () => {
    const { status, stdout, stderr } = await anneal(["evl"]);
    expect(status).toBe(2);
    expect(stdout).toBe("");
    expect(stderr).toBe('anneal: Unknown command "evl". Did you mean "eval"?\n');
    const far = await anneal(["--frobnicate"]);
    expect(far.status).toBe(2);
    expect(far.stderr).toContain("There are doctor, build,");
  });

  it("starts quickly: no command's code is loaded for the list", async () => {
    const times = [await anneal([]), await anneal([]), await anneal([])].map(({ elapsed }) => elapsed);
    // The process itself takes about 40 ms; the bound leaves room for a busy machine.
    expect(Math.min(...times)).toBeLessThan(400);
  });
});

describe.each(Object.entries(GROUPS))("anneal %s", (group, names) => {
  it("lists its commands", async () => {
    for (const args of [[group], [group, "--help"], ["help", group]]) {
      const { status, stdout } = await anneal(args);
      expect(status).toBe(0);
      for (const name of names) expect(stdout).toMatch(new RegExp(`^  ${name} +\\S`, "m"));
    }
  });

  it("suggests a command for a misspelt one", async () => {
    const { status, stderr } = await anneal([group, `${names[0]}x`]);
    expect(status).toBe(2);
    expect(stderr).toBe(`anneal: Unknown command "${group} ${names[0]}x". Did you mean "${names[0]}"?\n`);
  });
});

describe.each(ALL)("anneal %s", (name) => {
  it("--help shows usage, options and examples on stdout", async () => {
    const { status, stdout, stderr } = await anneal([...name.split(" "), "--help"]);
    expect(stderr).toBe("");
    expect(status).toBe(0);
    expect(stdout).toContain(`Usage:\n  anneal ${name}`);
    expect(stdout).toMatch(/Options:\n/);
    expect(stdout).toMatch(new RegExp(`Examples:\\n(.*\\n)*.*anneal ${name}`));
    expect(stdout).toContain("--json");
    expect((await anneal(["help", ...name.split(" ")])).stdout).toBe(stdout);
  });

  it("an unknown option is wrong usage, with a suggestion, for people and for programs", async () => {
    const plain = await anneal([...name.split(" "), "--jsn"]);
    expect(plain).toMatchObject({
      status: 2,
      stdout: "",
      stderr: 'anneal: Unknown option "--jsn". Did you mean "--json"?\n',
    });
    const json = await anneal([...name.split(" "), "--json", "--frobnicate"]);
    expect(json.status).toBe(2);
    const { error } = JSON.parse(json.stdout);
    expect(error).toMatchObject({ code: "ERR_USAGE", details: { option: "--frobnicate" } });
    expect(json.stderr).toContain(error.message);
  });
});

describe("anneal doctor", () => {
  it("prints a report", async () => {
    const { status, stdout } = await anneal(["doctor"]);
    expect(status).toBe(0);
    expect(stdout).toMatch(/^anneal +\d/);
    expect(stdout).toContain("device cpu");
  });

  it("--json prints one line and nothing else on stdout", async () => {
    const { status, stdout } = await anneal(["doctor", "--json"]);
    expect(status).toBe(0);
    expect(stdout.trim().split("\n").length).toBe(1);
    expect(JSON.parse(stdout)).toMatchObject({ anneal: version, node: { version: process.versions.node } });
  });
});

describe("anneal build", () => {
  it("checks the number of jobs", async () => {
    expect(await anneal(["build", "--jobs", "0"])).toMatchObject({
      status: 2,
      stderr: "anneal: --jobs must be at least 1, got 0.\n",
    });
  });
});
