/** Rendering of conversations equal to transformers' (tests/golden/make_chat.py), with the assistant's parts. */
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { BUILTIN_TEMPLATES } from "../../../lib/data/chat/builtin-templates.js";
import type { Message } from "../../../lib/data/chat/conversation.js";
import { ChatTemplate } from "../../../lib/data/chat/template.js";
import { ConfigError, TokenizerError } from "../../../lib/errors.js";

interface Row {
  template: string;
  conversation: string;
  addGenerationPrompt: boolean;
  text?: string;
  refused?: string;
  spans?: [number, number][];
}
interface Golden {
  special: Record<string, string>;
  templates: Record<string, string>;
  conversations: Record<string, { messages: Message[]; tools?: Record<string, unknown>[] }>;
  rows: Row[];
}

const golden: Golden = JSON.parse(
  await readFile(fileURLToPath(new URL("../../golden/chat.json", import.meta.url)), "utf8"),
);

/** Code points of Python's spans as UTF-16 code units. */
function codeUnits(text: string, spans: [number, number][]): [number, number][] {
  const points = [...text];
  const at = (index: number) => points.slice(0, index).join("").length;
  return spans.map(([start, end]) => [at(start), at(end)]);
}

describe.each(Object.keys(golden.templates))("template %s", (name) => {
  const template = new ChatTemplate(golden.templates[name], { specialTokens: golden.special, name });
  const rows = golden.rows.filter((row) => row.template === name);

  it.each(rows)("$conversation, generation prompt $addGenerationPrompt", (row) => {
    const { messages, tools } = golden.conversations[row.conversation];
    const options = { tools, addGenerationPrompt: row.addGenerationPrompt };
    if (row.refused !== undefined) {
      expect(() => template.render(messages, options)).toThrow(ConfigError);
      return;
    }
    const text = row.text as string;
    expect(template.render(messages, options)).toBe(text);
    if (row.spans !== undefined) {
      const expected = codeUnits(text, row.spans).filter(([start, end]) => end > start);
      expect(template.renderWithSpans(messages, options)).toEqual({ text, spans: expected });
    }
  });
});

describe("templates of this package", () => {
  it.each(Object.entries(BUILTIN_TEMPLATES))(
    "%s is the one the golden values were made with",
    (name, { source }) => {
      expect(golden.templates[name]).toBe(source);
    },
  );

  it.each(Object.entries(BUILTIN_TEMPLATES))(
    "%s marks every answer with the token that ends it",
    (_, entry) => {
      const template = new ChatTemplate(entry.source, {
        specialTokens: { bos_token: entry.bosToken ?? "", eos_token: entry.eosToken },
      });
      const { text, spans } = template.renderWithSpans([
        { role: "user", content: "one" },
        { role: "assistant", content: "two" },
        { role: "user", content: "three" },
        { role: "assistant", content: "four" },
      ]);
      expect(spans.map(([start, end]) => text.slice(start, end))).toEqual([
        `two${entry.eosToken}`,
        `four${entry.eosToken}`,
      ]);
    },
  );
});

describe("the assistant's parts without marks", () => {
  it("are what each message adds", () => {
    const template = new ChatTemplate(golden.templates.plain);
    const { text, spans } = template.renderWithSpans(golden.conversations["system, two turns"].messages);
    expect(spans.map(([start, end]) => text.slice(start, end))).toEqual([
      "Hallo.\n\nWas gibt es?\n",
      "Then good bye \n",
    ]);
  });

  it("are refused where earlier messages are written differently when others follow", () => {
    const template = new ChatTemplate(
      "{% for m in messages %}{{ m.role }}:{% if loop.last %}{{ m.content }}{% else %}…{% endif %};{% endfor %}",
    );
    expect(() => template.renderWithSpans(golden.conversations["system, two turns"].messages)).toThrow(
      /message 3 differently when others follow.*\{% generation %\}/,
    );
  });
});

describe("a template", () => {
  it("that is no Jinja is refused by name", () => {
    expect(() => new ChatTemplate("{% for %}", { name: "the chat template of x" })).toThrow(TokenizerError);
    expect(() => new ChatTemplate("{% for %}", { name: "the chat template of x" })).toThrow(
      /the chat template of x is not/,
    );
  });

  it("refuses messages with the marking characters", () => {
    const template = new ChatTemplate(golden.templates.plain);
    expect(() => template.render([{ role: "user", content: "a\u{F5A01}b" }])).toThrow(/U\+F5A01/);
  });

  it("comes from chat_template.jinja, from tokenizer_config.json, by name, or not at all", async () => {
    const dir = await mkdtemp(join(tmpdir(), "anneal-chat-"));
    const messages: Message[] = [{ role: "user", content: "x" }];
    try {
      expect(await ChatTemplate.load(dir)).toBeUndefined();
      const config = (value: object) => writeFile(join(dir, "tokenizer_config.json"), JSON.stringify(value));
      await config({
        bos_token: { content: "<b>" },
        eos_token: "<e>",
        chat_template: "{{ bos_token }}1{{ eos_token }}",
      });
      expect((await ChatTemplate.load(dir))?.render(messages)).toBe("<b>1<e>");
      await writeFile(join(dir, "chat_template.jinja"), "{{ bos_token }}2");
      expect((await ChatTemplate.load(dir))?.render(messages)).toBe("<b>2");
      await rm(join(dir, "chat_template.jinja"));
      await config({
        chat_template: [
          { name: "default", template: "d" },
          { name: "tool_use", template: "t" },
        ],
      });
      expect((await ChatTemplate.load(dir))?.render(messages)).toBe("d");
      expect((await ChatTemplate.load(dir, "tool_use"))?.render(messages)).toBe("t");
      await expect(ChatTemplate.load(dir, "rag")).rejects.toThrow(
        /no chat template "rag"; it has default, tool_use/,
      );
      await writeFile(join(dir, "tokenizer_config.json"), "{");
      await expect(ChatTemplate.load(dir)).rejects.toThrow(TokenizerError);
    } finally {
      await rm(dir, { recursive: true });
    }
  });
});
