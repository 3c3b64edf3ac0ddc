/**
 * Room chat: conversations, preference pairs and prompts with checkable answers, from the JSON forms in which they are
 * published to token ids with a mask of what the model is to learn. Field names inside messages are those that chat
 * templates read.
 */
import { DataError, didYouMean } from "../../errors.js";

/** A call of a tool that the assistant asks for. */
export interface ToolCall {
  id?: string;
  type: "function";
  /** Arguments by name; a JSON text is parsed when the record is read. */
  function: { name: string; arguments: Record<string, unknown> };
}

/** A part of a message's content; only text is understood here. */
export interface TextPart {
  type: "text";
  text: string;
}

/** One message, as chat templates take it. */
export interface Message {
  role: string;
  content: string | TextPart[] | null;
  /** The thinking before the answer, where a data set keeps it apart. */
  reasoning_content?: string;
  tool_calls?: ToolCall[];
  /** Which call a `tool` message answers. */
  tool_call_id?: string;
  name?: string;
}

/** A conversation with what templates need besides. */
export interface Conversation {
  messages: Message[];
  /** JSON schemas of the functions that the assistant may call. */
  tools?: Record<string, unknown>[];
  id?: string;
  /** Where it comes from: file and line. */
  source: string;
}

/** A record of a data set: one parsed JSON line, or a row of a table. */
export type JsonRecord = Readonly<Record<string, unknown>>;

/** The roles that chat templates know. */
export const ROLES = ["system", "developer", "user", "assistant", "tool"] as const;

/** Role names of ShareGPT and its descendants. */
const ROLE_NAMES: Readonly<Record<string, string>> = {
  human: "user",
  prompter: "user",
  gpt: "assistant",
  chatgpt: "assistant",
  bing: "assistant",
  bard: "assistant",
  model: "assistant",
  function: "tool",
  ipython: "tool",
  observation: "tool",
  tool_response: "tool",
};

/** An error that names the record. */
export function recordError(where: string, problem: string, details: object = {}): DataError {
  return new DataError(`${where}: ${problem}`, { source: where, ...details });
}

/** What a value is, for messages. */
export function kindOf(value: unknown): string {
  return value === null ? "null" : Array.isArray(value) ? "a list" : typeof value;
}

/** Whether a value is a JSON object. */
export function isRecord(value: unknown): value is JsonRecord {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/**
 * Messages from a list in the OpenAI form (`role`, `content`) or ShareGPT's (`from`, `value`).
 * @throws DataError naming record and message when a role, a content or a tool call is not as it must be.
 */
export function messagesOf(list: unknown, where: string): Message[] {
  if (!Array.isArray(list) || list.length === 0) {
    throw recordError(
      where,
      `expected a list of messages, got ${Array.isArray(list) ? "an empty one" : kindOf(list)}.`,
    );
  }
  return list.map((item, index) => messageOf(item, `${where}, message ${index + 1}`));
}

function messageOf(item: unknown, where: string): Message {
  if (!isRecord(item))
    throw recordError(where, `expected an object with role and content, got ${kindOf(item)}.`);
  const named = item.role ?? item.from;
  if (typeof named !== "string") {
    throw recordError(where, `it has no role; its fields are ${Object.keys(item).join(", ") || "none"}.`);
  }
  const call = named === "function_call" || named === "tool_call";
  const role = call ? "assistant" : (ROLE_NAMES[named.toLowerCase()] ?? named.toLowerCase());
  if (!ROLES.includes(role as never)) {
    throw recordError(
      where,
      `unknown role "${named}".${didYouMean(role, ROLES)} Roles are ${ROLES.join(", ")}.`,
      { role: named },
    );
  }
  const value = item.content !== undefined ? item.content : item.value;
  const message: Message = { role, content: call ? null : contentOf(value, where) };
  const calls = call ? parseJson(value, where) : item.tool_calls;
  if (calls !== undefined && calls !== null) message.tool_calls = toolCallsOf(calls, where);
  const optional = ["reasoning_content", "tool_call_id", "name"] as const;
  for (const field of optional) {
    const text = item[field];
    if (text === undefined || text === null) continue;
    if (typeof text !== "string") throw recordError(where, `${field} must be a string, got ${kindOf(text)}.`);
    message[field] = text;
  }
  if (message.content === null && message.tool_calls === undefined) {
    throw recordError(where, `the ${role}'s message has neither content nor tool calls.`);
  }
  return message;
}

function contentOf(value: unknown, where: string): Message["content"] {
  if (value === undefined || value === null) return null;
  if (typeof value === "string") return value;
  if (!Array.isArray(value)) throw recordError(where, `content must be a string, got ${kindOf(value)}.`);
  return value.map((part) => {
    if (isRecord(part) && part.type === "text" && typeof part.text === "string")
      return { type: "text", text: part.text };
    const type = isRecord(part) ? String(part.type) : kindOf(part);
    throw recordError(where, `a part of the content is "${type}"; only text can be trained on.`, { type });
  });
}

/** The text of a message's content. */
export function textOf({ content }: Message): string {
  if (content === null) return "";
  return typeof content === "string" ? content : content.map(({ text }) => text).join("");
}

function parseJson(value: unknown, where: string): unknown {
  if (typeof value !== "string") return value;
  try {
    return JSON.parse(value);
  } catch (error) {
    throw recordError(where, `a tool call is not valid JSON (${(error as Error).message}).`);
  }
}

function toolCallsOf(value: unknown, where: string): ToolCall[] {
  const list = Array.isArray(value) ? value : [value];
  return list.map((item) => {
    if (!isRecord(item)) throw recordError(where, `a tool call must be an object, got ${kindOf(item)}.`);
    const call = isRecord(item.function) ? item.function : item;
    if (typeof call.name !== "string") throw recordError(where, "a tool call names no function.");
    const given = parseJson(call.arguments ?? {}, where);
    if (!isRecord(given)) {
      throw recordError(
        where,
        `the arguments of the call of ${call.name} must be an object, got ${kindOf(given)}.`,
      );
    }
    const id = typeof item.id === "string" ? { id: item.id } : {};
    return { ...id, type: "function", function: { name: call.name, arguments: { ...given } } };
  });
}

/**
 * The functions offered to the assistant: a list of JSON schemas, or its JSON text.
 * @throws DataError naming the record.
 */
export function toolsOf(value: unknown, where: string): Record<string, unknown>[] | undefined {
  if (value === undefined || value === null || value === "") return undefined;
  const list = parseJson(value, `${where}, tools`);
  if (!Array.isArray(list) || !list.every(isRecord)) {
    throw recordError(where, "tools must be a list of function schemas, or its JSON text.");
  }
  return list.length === 0 ? undefined : list.map((tool) => ({ ...tool }));
}
