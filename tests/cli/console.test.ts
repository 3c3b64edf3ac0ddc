/** Where output, messages and progress go, and that they do not spoil each other. */
import { describe, expect, it } from "vitest";
import { Console } from "../../lib/cli/console.js";

/** A terminal or a pipe that both streams write to, in order: standard output in upper case. */
function setup(options: { json?: boolean; terminal?: boolean }) {
  const written: string[] = [];
  let now = 0;
  const isTTY = options.terminal === true;
  const out = new Console({
    json: options.json === true,
    stdout: { write: (text) => written.push(`OUT ${text}`), isTTY },
    stderr: { write: (text) => written.push(text), isTTY, columns: 20 },
    now: () => now,
  });
  return { out, written, wait: (ms: number) => (now += ms) };
}

describe("Console", () => {
  it("writes output to stdout, or to stderr when stdout belongs to the JSON line", () => {
    const plain = setup({});
    plain.out.out("a");
    plain.out.info("b");
    expect(plain.written).toEqual(["OUT a\n", "b\n"]);
    const json = setup({ json: true });
    json.out.out("a");
    json.out.info("b");
    expect(json.written).toEqual(["a\n", "b\n"]);
  });

  it("rewrites progress in place on a terminal, out of the way of other lines", () => {
    const { out, written, wait } = setup({ terminal: true });
    out.progress("step 1");
    out.progress("step 2");
    wait(100);
    out.progress("a line that is longer than the terminal");
    out.info("note");
    out.progress("step 4");
    out.close();
    expect(written).toEqual([
      "\r\x1b[2Kstep 1",
      "\r\x1b[2Ka line that is lon…",
      "\r\x1b[2K",
      "note\n",
      "\r\x1b[2Kstep 4",
      "\n",
    ]);
  });

  it("does not show a state at the end that is older than the output", () => {
    const { out, written } = setup({});
    out.progress("1");
    out.progress("2");
    out.out("done");
    out.close();
    expect(written).toEqual(["1\n", "OUT done\n"]);
  });

  it("writes progress now and then elsewhere, and the last state at the end", () => {
    const { out, written, wait } = setup({});
    out.progress("1");
    out.progress("2");
    wait(4999);
    out.progress("3");
    wait(1);
    out.progress("4");
    out.progress("5");
    out.close();
    out.close();
    expect(written).toEqual(["1\n", "4\n", "5\n"]);
  });

  it("ends an open line of output before a message on a terminal only", () => {
    const terminal = setup({ terminal: true });
    terminal.out.write("text");
    terminal.out.info("note");
    expect(terminal.written).toEqual(["OUT text", "OUT \n", "note\n"]);
    const pipe = setup({});
    pipe.out.write("text");
    pipe.out.info("note");
    expect(pipe.written).toEqual(["OUT text", "note\n"]);
  });
});
