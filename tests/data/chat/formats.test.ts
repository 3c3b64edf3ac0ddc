/** Conversations, preference pairs and checkable prompts from the record forms in use, and errors that name the record. */
import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { conversationOf } from "../../../lib/data/chat/formats.js";
import { preferenceOf } from "../../../lib/data/chat/preference.js";
import { boxed, plainNumber, verifiablePromptOf } from "../../../lib/data/chat/verifiable.js";
import { DataError } from "../../../lib/errors.js";

const user = (content: string) => ({ role: "user", content });
const assistant = (content: string) => ({ role: "assistant", content });

describe("conversationOf", () => {
  it.each<[string, object, object]>([
    ["messages", { messages: [user("a"), assistant("b")] }, [user("a"), assistant("b")]],
    [
      "ShareGPT",
      {
        system: "s",
        conversations: [
          { from: "human", value: "a" },
          { from: "gpt", value: "b" },
        ],
      },
      [{ role: "system", content: "s" }, user("a"), assistant("b")],
    ],
    ["Alpaca", { instruction: "i", input: "", output: "o" }, [user("i"), assistant("o")]],
    [
      "Alpaca with input, system and history",
      { instruction: "i", input: "n", output: "o", system: "s", history: [["a", "b"]] },
      [{ role: "system", content: "s" }, user("a"), assistant("b"), user("i\nn"), assistant("o")],
    ],
    ["prompt and completion", { prompt: "p", completion: "c" }, [user("p"), assistant("c")]],
    [
      "prompt and completion of messages",
      { prompt: [user("p")], completion: [assistant("c")] },
      [user("p"), assistant("c")],
    ],
    [
      "content in parts",
      { messages: [{ role: "user", content: [{ type: "text", text: "a" }] }, assistant("b")] },
      [{ role: "user", content: [{ type: "text", text: "a" }] }, assistant("b")],
    ],
  ])("reads %s", (_, record, messages) => {
    expect(conversationOf(record, "x.jsonl:1")).toEqual({ messages, source: "x.jsonl:1" });
  });

  it("reads tool calls with arguments as objects or as JSON text, and tools as JSON text", () => {
    const tools = [{ type: "function", function: { name: "f" } }];
    const call = (given: unknown) => ({
      id: "1",
      type: "function",
      function: { name: "f", arguments: given },
    });
    const { messages, tools: read } = conversationOf(
      {
        tools: JSON.stringify(tools),
        messages: [
          user("a"),
          { role: "assistant", content: null, tool_calls: [call('{"x": 1}'), call({ x: 2 })] },
          { role: "tool", content: "7", tool_call_id: "1", name: "f" },
        ],
      },
      "x:1",
    );
    expect(read).toEqual(tools);
    expect(messages[1].tool_calls).toEqual([call({ x: 1 }), call({ x: 2 })]);
    expect(messages[2]).toEqual({ role: "tool", content: "7", tool_call_id: "1", name: "f" });
  });

  it("reads ShareGPT's function calls and observations", () => {
    const { messages } = conversationOf(
      {
        conversations: [
          { from: "human", value: "a" },
          { from: "function_call", value: '{"name": "f", "arguments": {"x": 1}}' },
          { from: "observation", value: "7" },
          { from: "gpt", value: "b" },
        ],
      },
      "x:1",
    );
    expect(messages[1]).toEqual({
      role: "assistant",
      content: null,
      tool_calls: [{ type: "function", function: { name: "f", arguments: { x: 1 } } }],
    });
    expect(messages.map(({ role }) => role)).toEqual(["user", "assistant", "tool", "assistant"]);
  });

  it("keeps what templates read besides the content", () => {
    const message = { role: "assistant", content: "b", reasoning_content: "because" };
    expect(conversationOf({ messages: [user("a"), message], id: 7 }, "x:1")).toEqual({
      messages: [user("a"), message],
      id: "7",
      source: "x:1",
    });
  });

  it.each<[unknown, RegExp]>([
    [7, /^x:1: expected an object, got number/],
    [{ mesages: [] }, /no conversation in the fields mesages.*Did you mean "messages"\?/s],
    [{ messages: [] }, /expected a list of messages, got an empty one/],
    [{ messages: "hi" }, /expected a list of messages, got string/],
    [{ messages: [{ content: "a" }] }, /message 1: it has no role; its fields are content/],
    [
      { messages: [{ role: "asistant", content: "a" }] },
      /unknown role "asistant". Did you mean "assistant"\?/,
    ],
    [{ messages: [{ role: "user", content: 3 }] }, /content must be a string, got number/],
    [{ messages: [{ role: "user" }] }, /neither content nor tool calls/],
    [{ messages: [{ role: "user", content: [{ type: "image" }] }] }, /a part of the content is "image"/],
    [{ messages: [{ role: "assistant", tool_calls: [{ function: {} }] }] }, /names no function/],
    [
      { messages: [{ role: "assistant", tool_calls: [{ function: { name: "f", arguments: "{" } }] }] },
      /tool call is not valid JSON/,
    ],
    [
      { messages: [{ role: "assistant", tool_calls: [{ function: { name: "f", arguments: [1] } }] }] },
      /arguments of the call of f must be an object, got a list/,
    ],
    [{ messages: [user("a")], tools: "no" }, /tools: a tool call is not valid JSON|tools/],
    [{ messages: [user("a")], tools: [3] }, /tools must be a list of function schemas/],
    [{ instruction: 1, output: "o" }, /instruction must be a string, got number/],
    [{ instruction: "i", output: "o", history: [["a"]] }, /history must be a list of pairs/],
  ])("refuses %j", (record, message) => {
    expect(() => conversationOf(record, "x:1")).toThrow(DataError);
    expect(() => conversationOf(record, "x:1")).toThrow(message);
  });
});

describe("preferenceOf", () => {
  it("finds the prompt that TRL finds", async () => {
    const golden = JSON.parse(
      await readFile(fileURLToPath(new URL("../../golden/chat.json", import.meta.url)), "utf8"),
    );
    for (const { record, expected } of golden.pairs) {
      const { prompt, chosen, rejected } = preferenceOf(record, "x:1");
      expect({ prompt, chosen, rejected }).toEqual(expected);
    }
  });

  it("takes texts and messages with a prompt, which answers may repeat", () => {
    expect(preferenceOf({ prompt: "p", chosen: " c", rejected: " r" }, "x:1")).toEqual({
      kind: "text",
      prompt: "p",
      chosen: " c",
      rejected: " r",
      source: "x:1",
    });
    const expected = { prompt: [user("p")], chosen: [assistant("c")], rejected: [assistant("r")] };
    for (const before of [[], [user("p")]]) {
      const record = {
        prompt: "p",
        chosen: [...before, assistant("c")],
        rejected: [...before, assistant("r")],
      };
      expect(preferenceOf(record, "x:1")).toMatchObject(expected);
    }
    expect(preferenceOf({ prompt: [user("p")], chosen: "c", rejected: "r" }, "x:1")).toMatchObject(expected);
  });

  it("turns dialogues of Human and Assistant into messages", () => {
    const record = {
      chosen: "\n\nHuman: hi\n\nAssistant: hello\n\nHuman: how?\n\nAssistant: well",
      rejected: "\n\nHuman: hi\n\nAssistant: hello\n\nHuman: how?\n\nAssistant: badly",
    };
    expect(preferenceOf(record, "x:1")).toMatchObject({
      kind: "chat",
      prompt: [user("hi"), assistant("hello"), user("how?")],
      chosen: [assistant("well")],
      rejected: [assistant("badly")],
    });
    const asked = { prompt: "\n\nHuman: hi\n\nAssistant:", chosen: " yes", rejected: " no" };
    expect(preferenceOf(asked, "x:1")).toMatchObject({
      prompt: [user("hi")],
      chosen: [assistant("yes")],
      rejected: [assistant("no")],
    });
  });

  it("keeps equal answers a pair, and surrogate pairs whole", () => {
    const same = [user("q"), assistant("a")];
    expect(preferenceOf({ chosen: same, rejected: same }, "x:1")).toMatchObject({
      prompt: [user("q")],
      chosen: [assistant("a")],
      rejected: [assistant("a")],
    });
    expect(preferenceOf({ chosen: "x😀", rejected: "x😁" }, "x:1")).toMatchObject({
      prompt: "x",
      chosen: "😀",
    });
  });

  it.each<[unknown, RegExp]>([
    [null, /expected an object, got null/],
    [{ prompt: "p", chosen: "c" }, /needs the fields chosen and rejected; the record has prompt, chosen/],
    [{ chosen: 1, rejected: "r" }, /chosen must be a text or a list of messages, got number/],
    [{ chosen: "c", rejected: [user("r")] }, /must both be texts or both lists/],
    [{ chosen: [assistant("a")], rejected: [assistant("b")] }, /do not begin with the same message/],
    [{ prompt: "\n\nHuman:", chosen: "c", rejected: "r" }, /the prompt has no message/],
  ])("refuses %j", (record, message) => {
    expect(() => preferenceOf(record, "x:1")).toThrow(DataError);
    expect(() => preferenceOf(record, "x:1")).toThrow(message);
  });
});

describe("verifiablePromptOf", () => {
  it.each<[string, object, object]>([
    [
      "GSM8K",
      { question: "q", answer: "2 * 600 = 1200\n#### 1,200" },
      { expected: { kind: "number", value: "1200" }, reference: "2 * 600 = 1200\n#### 1,200" },
    ],
    [
      "MATH",
      { problem: "q", solution: "so \\boxed{1} or rather \\boxed{\\frac{1}{2}}" },
      { expected: { kind: "math", value: "\\frac{1}{2}" } },
    ],
    [
      "MATH with a number",
      { problem: "q", solution: "\\boxed{-3.5}" },
      { expected: { kind: "number", value: "-3.5" } },
    ],
    [
      "HumanEval",
      { task_id: "H/0", prompt: "def f():", test: "assert", entry_point: "f", canonical_solution: " pass" },
      {
        id: "H/0",
        expected: { kind: "python", entryPoint: "f", tests: "assert", prompt: "def f():" },
        reference: " pass",
      },
    ],
    [
      "choices by index",
      { question: "q", choices: ["x", "y"], answer: 1 },
      { expected: { kind: "choice", value: "y", choices: ["x", "y"] } },
    ],
    [
      "choices by letter",
      { question: "q", choices: ["x", "y"], answer: "A" },
      { expected: { kind: "choice", value: "x" } },
    ],
    ["a text", { prompt: "q", answer: " Paris " }, { expected: { kind: "text", value: "Paris" } }],
    ["an expression", { prompt: "q", answer: "x^2 + 1" }, { expected: { kind: "math", value: "x^2 + 1" } }],
    ["a number", { prompt: "q", answer: 4 }, { expected: { kind: "number", value: "4" } }],
  ])("reads %s", (_, record, expected) => {
    expect(verifiablePromptOf(record, "x:1")).toMatchObject({ ...expected, source: "x:1" });
  });

  it("takes messages as the prompt", () => {
    expect(verifiablePromptOf({ prompt: [user("q")], answer: "4" }, "x:1").prompt).toEqual([user("q")]);
  });

  it.each<[unknown, RegExp]>([
    ["x", /expected an object, got string/],
    [{ ask: "q", answer: "4" }, /no prompt, question or problem among the fields ask, answer/],
    [{ prompt: "q" }, /no answer that can be checked; its fields are prompt/],
    [{ question: "q", answer: "so ####" }, /no number stands behind "####"/],
    [{ question: "q", choices: ["x"], answer: "B" }, /the answer "B" is none of the 1 choices/],
    [{ problem: "q", solution: "none" }, /has no \\boxed/],
  ])("refuses %j", (record, message) => {
    expect(() => verifiablePromptOf(record, "x:1")).toThrow(DataError);
    expect(() => verifiablePromptOf(record, "x:1")).toThrow(message);
  });
});

describe("answers", () => {
  it.each<[string, string | undefined]>([
    [" 1,234.50 ", "1234.50"],
    ["$5", "5"],
    ["20%", "20"],
    ["-.5", "-.5"],
    ["7.", "7"],
    ["+3", "3"],
    ["1,23", undefined],
    ["12 apples", undefined],
    ["", undefined],
  ])("the number in %j is %j", (text, value) => expect(plainNumber(text)).toBe(value));

  it.each<[string, string | undefined]>([
    ["a \\boxed{ {x} } b", "{x}"],
    ["\\fbox{1}", "1"],
    ["\\boxed{1", undefined],
    ["none", undefined],
  ])("the box of %j holds %j", (text, value) => expect(boxed(text)).toBe(value));
});
