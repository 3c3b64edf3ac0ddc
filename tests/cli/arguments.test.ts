/** Reading a command line: types, defaults, and errors that name the fix. */
import { describe, expect, it } from "vitest";
import { parseArguments } from "../../lib/cli/arguments.js";
import { type Command, UsageError } from "../../lib/cli/command.js";
import { commandHelp, overview } from "../../lib/cli/help.js";

const command: Command = {
  name: "train",
  summary: "Train something.",
  usage: "train [options] PATH…",
  options: {
    "batch-size": { type: "integer", short: "b", default: 8, summary: "Rows per batch" },
    lr: { type: "number", default: 1e-3, summary: "Learning rate" },
    dtype: { type: "string", choices: ["f32", "bf16"], summary: "What to compute in" },
    data: { type: "string", multiple: true, placeholder: "PATH", summary: "Text" },
    resume: { type: "boolean", summary: "Go on" },
    shuffle: { type: "boolean", default: true, summary: "Mix" },
    model: { type: "string", required: true, placeholder: "DIR", summary: "The model" },
  },
  positionals: { name: "PATH", summary: "Files", many: true },
  examples: ["anneal train --model x a.txt"],
  run: async () => ({}),
};

const parse = (line: string) => parseArguments(command, line.split(" ").filter(Boolean));

describe("values", () => {
  it("converts, names in camel case, and fills in defaults", () => {
    expect(parse("--model m --batch-size 3 a b").options).toEqual({
      batchSize: 3,
      lr: 1e-3,
      dtype: undefined,
      data: [],
      resume: false,
      shuffle: true,
      model: "m",
    });
    expect(parse("--model m a b").positionals).toEqual(["a", "b"]);
  });

  it("takes short forms, =, repeats, negation, negative numbers, and stops at --", () => {
    const { options, positionals, json } = parse(
      "--model=m -b 4 --lr -2e-3 --data a --data b --no-shuffle --resume -- --json -x",
    );
    expect(options).toMatchObject({
      batchSize: 4,
      lr: -2e-3,
      data: ["a", "b"],
      shuffle: false,
      resume: true,
    });
    expect(positionals).toEqual(["--json", "-x"]);
    expect(json).toBe(false);
    expect(parse("--model=--odd").options.model).toBe("--odd");
    expect(parse("--model -").options.model).toBe("-");
    expect(parse("--model m --json").json).toBe(true);
  });

  it("asks for nothing when help or version is wanted", () => {
    expect(parse("--help")).toMatchObject({ help: true, version: false });
    expect(parse("-h")).toMatchObject({ help: true });
    expect(parse("--version")).toMatchObject({ help: false, version: true });
  });
});

describe("errors", () => {
  it.each([
    ["--model m --bach-size 3", 'Unknown option "--bach-size". Did you mean "--batch-size"?'],
    ["--model m --batchSize 3", 'Unknown option "--batchSize". Did you mean "--batch-size"?'],
    ["--model m --zzz", 'Unknown option "--zzz". See `anneal train --help`.'],
    ["--model m -z", 'Unknown option "-z". See `anneal train --help`.'],
    ["--model m --constructor", 'Unknown option "--constructor". See `anneal train --help`.'],
    ["--model m --no-lr", 'Unknown option "--no-lr". See `anneal train --help`.'],
    ["--model m --batch-size 2.5", '--batch-size needs an integer, got "2.5".'],
    ["--model m --batch-size x", '--batch-size needs an integer, got "x".'],
    ["--model m --lr=", '--lr needs a number, got "".'],
    ["--model m --lr Infinity", '--lr needs a number, got "Infinity".'],
    ["--model m --dtype bf17", '--dtype must be one of f32, bf16, got "bf17". Did you mean "bf16"?'],
    ["--model m --resume=yes", '--resume takes no value, got "yes".'],
    ["--model", "--model needs a value, for example `--model=DIR`."],
    [
      "--model --resume",
      '--model needs a value, but "--resume" follows. If that is the value, write `--model=--resume`.',
    ],
    ["", "--model DIR is missing (The model). See `anneal train --help`."],
  ])("%s", (line, message) => {
    let error: unknown;
    try {
      parse(line);
    } catch (thrown) {
      error = thrown;
    }
    expect(error).toBeInstanceOf(UsageError);
    expect((error as UsageError).message).toBe(message);
  });

  it("refuses arguments that no option takes", () => {
    const { positionals: _, ...plain } = command;
    expect(() => parseArguments(plain, ["--model", "m", "extra"])).toThrow('Unexpected argument "extra".');
    const single = { ...command, positionals: { name: "WHAT", summary: "One" } };
    expect(parseArguments(single, ["--model", "m", "a"]).positionals).toEqual(["a"]);
    expect(() => parseArguments(single, ["--model", "m", "a", "b"])).toThrow('Unexpected argument "b".');
  });
});

describe("help", () => {
  it("shows usage, options with defaults, and examples", () => {
    const help = commandHelp(command);
    for (const line of [
      "  anneal train [options] PATH…",
      "  -b, --batch-size N  Rows per batch (default 8)",
      "  --lr X              Learning rate (default 0.001)",
      "  --dtype f32|bf16    What to compute in",
      "  --data PATH         Text (may be repeated)",
      "  --model DIR         The model (required)",
      "  --shuffle           Mix (default true)",
      "  anneal train --model x a.txt",
    ]) {
      expect(help.split("\n")).toContain(line);
    }
  });

  it("lists the commands", () => {
    const text = overview([command], "1.2.3");
    expect(text).toContain("anneal 1.2.3");
    expect(text).toContain("  train  Train something.");
  });
});
