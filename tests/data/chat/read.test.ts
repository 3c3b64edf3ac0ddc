/** Conversations, pairs and prompts from files, in the forms in which they are published. */
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { BUILTIN_TEMPLATES } from "../../../lib/data/chat/builtin-templates.js";
import {
  encodeChat,
  readConversations,
  readPreferences,
  readVerifiablePrompts,
} from "../../../lib/data/chat/read.js";
import { ChatTemplate } from "../../../lib/data/chat/template.js";
import { DataError } from "../../../lib/errors.js";
import { ByteTokenizer } from "../../../lib/tokenizer/index.js";

let dir: string;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), "anneal-chat-"));
});
afterEach(() => rm(dir, { recursive: true, force: true }));

const lines = (records: readonly object[]) => records.map((record) => `${JSON.stringify(record)}\n`).join("");
async function all<T>(items: AsyncIterable<T>): Promise<T[]> {
  const list: T[] = [];
  for await (const item of items) list.push(item);
  return list;
}
const chat = (answer: string) => ({
  messages: [
    { role: "user", content: "q" },
    { role: "assistant", content: answer },
  ],
});

describe("reading", () => {
  it("takes JSON lines, packed or not, and CSV, and says where each record stands", async () => {
    const jsonl = join(dir, "a.jsonl.gz");
    const csv = join(dir, "b.csv");
    await writeFile(
      jsonl,
      gzipSync(lines([chat("one"), { instruction: "i", output: "o", metadata: { a: 1 } }])),
    );
    await writeFile(csv, 'prompt,completion\n"p, q",c\n');
    const found = await all(readConversations([jsonl, csv]));
    expect(found.map(({ source, messages }) => [source, messages.at(-1)?.content])).toEqual([
      [`${jsonl}:1`, "one"],
      [`${jsonl}:2`, "o"],
      [`${csv}:2`, "c"],
    ]);
  });

  it("names the broken record, or passes over it", async () => {
    const path = join(dir, "a.jsonl");
    await writeFile(path, lines([chat("one"), { text: "no conversation" }, chat("two")]));
    await expect(all(readConversations(path))).rejects.toThrow(
      `${path}:2: no conversation in the fields text`,
    );
    const skipped: string[] = [];
    const found = await all(
      readConversations(path, { onError: "skip", onSkip: ({ source }) => skipped.push(source) }),
    );
    expect(found.length).toBe(2);
    expect(skipped).toEqual([`${path}:2`]);
  });

  it("refuses files without records", async () => {
    const path = join(dir, "a.txt");
    await writeFile(path, "text");
    await expect(all(readConversations(path))).rejects.toThrow(/read as text, which has no records/);
    await writeFile(join(dir, "empty.jsonl"), "\n");
    await expect(all(readConversations(join(dir, "empty.jsonl")))).rejects.toThrow(DataError);
  });

  it("takes preference pairs and checkable prompts", async () => {
    const pairs = join(dir, "pairs.jsonl");
    const prompts = join(dir, "prompts.jsonl");
    await writeFile(pairs, lines([{ prompt: "p", chosen: "c", rejected: "r" }]));
    await writeFile(prompts, lines([{ question: "1 + 1?", answer: "#### 2" }]));
    expect(await all(readPreferences(pairs))).toMatchObject([
      { kind: "text", prompt: "p", source: `${pairs}:1` },
    ]);
    expect(await all(readVerifiablePrompts(prompts))).toMatchObject([
      { expected: { kind: "number", value: "2" } },
    ]);
  });

  it("encodes for training, and leaves out conversations without an answer", async () => {
    const path = join(dir, "a.jsonl");
    await writeFile(path, lines([chat("one"), { messages: [{ role: "user", content: "q" }] }]));
    const { tokens, withoutAnswer } = await encodeChat(readConversations(path), {
      tokenizer: new ByteTokenizer(),
      template: new ChatTemplate(BUILTIN_TEMPLATES.chatml.source),
    });
    expect(tokens.conversations).toBe(1);
    expect(tokens.learnt).toBe("one<|im_end|>".length);
    expect(withoutAnswer).toBe(1);
  });
});
