/** Ids and masks equal to transformers' (tests/golden/make_chat.py), preference pairs, and packed batches of conversations. */
import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { beforeAll, describe, expect, it } from "vitest";
import { BUILTIN_TEMPLATES } from "../../../lib/data/chat/builtin-templates.js";
import type { Conversation } from "../../../lib/data/chat/conversation.js";
import { encodeConversation, encodePreference } from "../../../lib/data/chat/encode.js";
import { preferenceOf } from "../../../lib/data/chat/preference.js";
import { ChatBatches, ChatTokens } from "../../../lib/data/chat/rows.js";
import { ChatTemplate } from "../../../lib/data/chat/template.js";
import { ConfigError, DataError } from "../../../lib/errors.js";
import { ByteTokenizer, loadTokenizer, type Tokenizer } from "../../../lib/tokenizer/index.js";

const folder = new URL("../../golden/", import.meta.url);
const golden = JSON.parse(await readFile(fileURLToPath(new URL("chat.json", folder)), "utf8"));
interface Row {
  template: string;
  conversation: string;
  addGenerationPrompt: boolean;
  ids: number[];
  mask: number[];
}
const rows: Row[] = golden.rows.filter((row: Row) => row.ids !== undefined && !row.addGenerationPrompt);
const chatml = new ChatTemplate(BUILTIN_TEMPLATES.chatml.source);
const bytes = new ByteTokenizer();
let gpt2: Tokenizer;
beforeAll(async () => {
  gpt2 = await loadTokenizer(fileURLToPath(new URL("tokenizers/gpt2", folder)));
});

describe("encodeConversation", () => {
  it.each(rows)("$template, $conversation", (row) => {
    const template = new ChatTemplate(golden.templates[row.template], { specialTokens: golden.special });
    const conversation = { ...golden.conversations[row.conversation], source: "x" };
    const { ids, mask } = encodeConversation(conversation, { tokenizer: gpt2, template });
    expect([...ids]).toEqual(row.ids);
    expect([...mask]).toEqual(row.mask);
  });

  const conversation: Conversation = {
    source: "x",
    messages: [
      { role: "user", content: "a" },
      { role: "assistant", content: "bé" },
      { role: "user", content: "c" },
      { role: "assistant", content: "d" },
    ],
  };
  const learnt = (mask: "assistant" | "last" | "all", template = chatml) => {
    const encoded = encodeConversation(conversation, { tokenizer: bytes, template, mask });
    return bytes.decode(encoded.ids.filter((_, i) => encoded.mask[i] === 1));
  };

  it("learns all answers, the last one, or everything", () => {
    expect(learnt("assistant")).toBe("bé<|im_end|>d<|im_end|>");
    expect(learnt("last")).toBe("d<|im_end|>");
    expect(learnt("all")).toBe(chatml.render(conversation.messages));
  });

  it("finds the last answer without marks, also where earlier ones are rewritten", () => {
    const rewriting = new ChatTemplate(
      "{% for m in messages %}{{ m.role }}:{% if m.role == 'user' or loop.last %}{{ m.content }}{% endif %};{% endfor %}" +
        "{% if add_generation_prompt %}assistant:{% endif %}",
    );
    expect(learnt("last", rewriting)).toBe("d;");
    expect(() => learnt("assistant", rewriting)).toThrow(ConfigError);
  });

  it("refuses the mask last where the user speaks last", () => {
    const open = { source: "x", messages: conversation.messages.slice(0, 3) };
    expect(() => encodeConversation(open, { tokenizer: bytes, template: chatml, mask: "last" })).toThrow(
      /ends with user/,
    );
  });
});

describe("encodePreference", () => {
  it("gives the prompt with the opened turn, and each answer with its end", () => {
    const pair = preferenceOf(
      {
        prompt: [{ role: "user", content: "q" }],
        chosen: [{ role: "assistant", content: "good" }],
        rejected: [{ role: "assistant", content: "bad" }],
      },
      "x:1",
    );
    const { prompt, chosen, rejected } = encodePreference(pair, { tokenizer: bytes, template: chatml });
    expect(bytes.decode(prompt)).toBe("<|im_start|>user\nq<|im_end|>\n<|im_start|>assistant\n");
    expect(bytes.decode(chosen)).toBe("good<|im_end|>\n");
    expect(bytes.decode(rejected)).toBe("bad<|im_end|>\n");
    expect(() => encodePreference(pair, { tokenizer: bytes })).toThrow(/messages need a chat template/);
  });

  it("gives a token across the border to the answers", () => {
    const pair = preferenceOf({ prompt: "the c", chosen: "at sat", rejected: "ow sat" }, "x:1");
    const { prompt, chosen, rejected } = encodePreference(pair, { tokenizer: gpt2 });
    expect([...prompt, ...chosen]).toEqual([...gpt2.encode("the cat sat")]);
    expect(gpt2.decode([...prompt, ...rejected])).toBe("the cow sat");
    expect("the c".startsWith(gpt2.decode(prompt))).toBe(true);
  });
});

describe("ChatBatches", () => {
  const lengths = [3, 9, 1, 4, 12, 2, 7, 5, 5, 30];
  const filled = () => {
    const tokens = new ChatTokens();
    let next = 1;
    for (const length of lengths) {
      const ids = Int32Array.from({ length }, () => next++);
      // Every third token is not learnt, and of the shortest conversation none is.
      tokens.add({ ids, mask: Uint8Array.from(ids, (id) => (length > 1 && id % 3 !== 0 ? 1 : 0)) });
    }
    return tokens;
  };

  it.each(["best-fit", "none"] as const)(
    "%s: every learnt token is a target once in a pass, after its own input",
    async (packing) => {
      const tokens = filled();
      expect(tokens.conversations).toBe(lengths.length - 1);
      const T = 12;
      const batches = await ChatBatches.create({ tokens, sequenceLength: T, batchSize: 1, packing, seed: 3 });
      const { rows: count, truncated } = batches.report;
      expect(truncated).toBe(1);
      const seen: number[] = [];
      for (let step = 0; step < count; step++) {
        const { inputs, targets, cuSeqlens, maxSeqlen } = await batches.batchAt(step);
        const ends = [...(cuSeqlens as Int32Array)];
        expect(ends[0]).toBe(0);
        expect(ends.at(-1)).toBe(T);
        expect(maxSeqlen).toBe(Math.max(...ends.slice(1).map((end, i) => end - ends[i])));
        targets.forEach((target, i) => {
          if (target === -100) return;
          expect(target).toBe(inputs[i] + 1);
          // A target's own input, where it is one, lies in the same sequence.
          if (i + 1 < T && inputs[i + 1] === target) expect(ends).not.toContain(i + 1);
          seen.push(target);
        });
      }
      const expected: number[] = [];
      const { bounds } = tokens;
      for (let c = 0; c < tokens.conversations; c++) {
        for (let i = bounds[c] + 1; i < Math.min(bounds[c + 1], bounds[c] + T + 1); i++) {
          if (tokens.isLearnt(i)) expected.push(tokens.token(i));
        }
      }
      expect(seen.sort((a, b) => a - b)).toEqual(expected);
    },
  );

  it("packs into fewer rows, and gives ranks their shares of the same batches", async () => {
    const tokens = filled();
    const packed = await ChatBatches.create({ tokens, sequenceLength: 12, batchSize: 2 });
    const single = await ChatBatches.create({ tokens, sequenceLength: 12, batchSize: 2, packing: "none" });
    expect(packed.report.rows).toBeLessThan(single.report.rows);
    expect(packed.report.padding).toBeLessThan(single.report.padding);
    expect(packed.fingerprint).not.toBe(single.fingerprint);
    for (let step = 0; step < 5; step++) {
      const whole = await packed.batchAt(step);
      for (const rank of [0, 1]) {
        const share = await ChatBatches.create({
          tokens,
          sequenceLength: 12,
          batchSize: 1,
          rank,
          worldSize: 2,
        });
        expect((await share.batchAt(step)).inputs).toEqual(whole.inputs.subarray(rank * 12, (rank + 1) * 12));
      }
    }
  });

  it("refuses nothing to learn and unknown options", async () => {
    const empty = { tokens: new ChatTokens(), sequenceLength: 8, batchSize: 1 };
    await expect(ChatBatches.create(empty)).rejects.toThrow(DataError);
    await expect(
      ChatBatches.create({ ...empty, tokens: filled(), packing: "best" as never }),
    ).rejects.toThrow(/packing must be one of best-fit, none, got "best"/);
    await expect(ChatBatches.create({ ...empty, pack: 1 } as never)).rejects.toThrow(ConfigError);
  });
});
