import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { CheckpointError, DisposedError } from "../../lib/errors.js";
import { JsonlWriter } from "../../lib/io/index.js";
import { faultyFileSystem } from "./faults.js";
import { rejection, temporaryFolder } from "./temporary.js";

const text = (path: string) => readFile(path, "utf8");
const log = async (contents?: string) => {
  const path = join(await temporaryFolder(), "metrics.jsonl");
  if (contents !== undefined) await writeFile(path, contents);
  return path;
};

describe("JsonlWriter", () => {
  it("appends records in the order of the calls", async () => {
    const path = await log();
    const writer = await JsonlWriter.open(path);
    await Promise.all(Array.from({ length: 50 }, (_, step) => writer.append({ step, text: "é\n" })));
    await writer.sync();
    await writer.close();
    const again = await JsonlWriter.open(path);
    await again.append({ step: 50 });
    await again.close();
    await again.close();
    const lines = (await text(path)).trimEnd().split("\n");
    expect(lines.map((line) => JSON.parse(line).step)).toEqual(Array.from({ length: 51 }, (_, i) => i));
    expect(await rejection(again.append({}))).toBeInstanceOf(DisposedError);
  });

  it.each([
    ["a torn last line", '{"step":1}\n{"step":2,"lo', '{"step":1}\n'],
    ["only a torn line", '{"st', ""],
    ["zero bytes after a power cut", '{"step":1}\n\0\0\0\0', '{"step":1}\n'],
    ["a line of zero bytes", '{"step":1}\n\0\0\n', '{"step":1}\n'],
  ])("cuts off %s", async (_, before, after) => {
    const path = await log(before);
    const writer = await JsonlWriter.open(path);
    expect(await text(path)).toBe(after);
    await writer.append({ step: 9 });
    await writer.close();
    expect(await text(path)).toBe(`${after}{"step":9}\n`);
  });

  it("keeps a whole last record without newline", async () => {
    const path = await log('{"step":1}\n{"step":2}');
    const writer = await JsonlWriter.open(path);
    await writer.append({ step: 3 });
    await writer.close();
    expect(await text(path)).toBe('{"step":1}\n{"step":2}\n{"step":3}\n');
  });

  it("keeps an old torn line in the middle", async () => {
    const contents = '{"step":1}\n{"ste\n{"step":2}\n';
    const path = await log(contents);
    await (await JsonlWriter.open(path)).close();
    expect(await text(path)).toBe(contents);
  });

  it("drops records after a step, then goes on", async () => {
    const path = await log(
      '{"event":"start"}\n{"step":1}\nnot json\n{"step":2}\n{"step":3}\n{"event":"eval"}\n{"step":4}\n',
    );
    const writer = await JsonlWriter.open(path);
    expect(await writer.truncateAfter((record) => (record.step as number) > 9)).toBe(0);
    expect(await writer.truncateAfter((record) => (record.step as number) > 2)).toBe(3);
    await writer.append({ step: 3, again: true });
    await writer.close();
    expect(await text(path)).toBe(
      '{"event":"start"}\n{"step":1}\nnot json\n{"step":2}\n{"step":3,"again":true}\n',
    );
  });

  it("handles files and lines beyond one chunk", async () => {
    const long = JSON.stringify({ step: 2, text: "x".repeat(5 * 2 ** 20) });
    const path = await log(`{"step":1}\n${long}\n{"step":3}\n{"st`);
    const writer = await JsonlWriter.open(path);
    expect(await writer.truncateAfter((record) => record.step === 3)).toBe(1);
    await writer.close();
    expect(await text(path)).toBe(`{"step":1}\n${long}\n`);
  });

  it("recovers from a full disk without a torn line in the middle", async () => {
    const path = await log('{"step":1}\n');
    const { trace } = await opened(path, -1);
    const { writer } = await opened(path, trace.length);
    const error = await rejection(
      writer.append({ step: 2, loss: 3.25, text: "long enough to leave a trace" }),
    );
    expect(error).toBeInstanceOf(CheckpointError);
    expect(error.details).toMatchObject({ errno: "ENOSPC" });
    await writer.append({ step: 3 });
    await writer.close();
    expect(await text(path)).toBe('{"step":1}\n{"step":3}\n');
  });

  it("reports a folder that is not there", async () => {
    const error = await rejection(JsonlWriter.open(join(await log(), "no", "metrics.jsonl")));
    expect(error).toBeInstanceOf(CheckpointError);
    expect(error.message).toContain("log metrics.jsonl");
  });

  /** A writer whose operation number `at` fails once. */
  async function opened(path: string, at: number) {
    const { fs, trace } = faultyFileSystem({ at, errno: "ENOSPC" });
    const writer = await JsonlWriter.open(path, { fs });
    return { writer, trace };
  }
});
