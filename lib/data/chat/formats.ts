/** Conversations from the record forms in use: messages, ShareGPT, Alpaca, and prompt with completion. */
import { didYouMean } from "../../errors.js";
import {
  type Conversation,
  isRecord,
  type JsonRecord,
  kindOf,
  type Message,
  messagesOf,
  recordError,
  toolsOf,
} from "./conversation.js";

/** The forms that are told apart by their fields. */
export const CHAT_FORMATS = ["messages", "sharegpt", "alpaca", "prompt-completion"] as const;
export type ChatFormat = (typeof CHAT_FORMATS)[number];

const FIELDS = ["messages", "conversations", "instruction", "prompt", "completion", "output"];

/** The form of a record; undefined when it has the fields of none. */
export function chatFormatOf(record: JsonRecord): ChatFormat | undefined {
  if (record.messages !== undefined) return "messages";
  if (record.conversations !== undefined || record.conversation !== undefined) return "sharegpt";
  if (record.instruction !== undefined && record.output !== undefined) return "alpaca";
  if (record.prompt !== undefined && record.completion !== undefined) return "prompt-completion";
  return undefined;
}

/**
 * The conversation of a record.
 * @param where file and line, for messages
 * @param format which form it has; default: told from its fields
 * @throws DataError naming the record, with the field that was probably meant.
 */
export function conversationOf(record: unknown, where: string, format?: ChatFormat): Conversation {
  if (!isRecord(record)) throw recordError(where, `expected an object, got ${kindOf(record)}.`);
  const form = format ?? chatFormatOf(record);
  if (form === undefined) {
    const fields = Object.keys(record);
    const hint = fields.map((field) => didYouMean(field, FIELDS)).find((text) => text !== "") ?? "";
    throw recordError(
      where,
      `no conversation in the fields ${fields.join(", ") || "(none)"}. Known forms: messages; conversations (ShareGPT); ` +
        `instruction, input and output (Alpaca); prompt and completion.${hint}`,
      { fields },
    );
  }
  const tools = toolsOf(record.tools, where);
  const id = record.id ?? record.conversation_id;
  return {
    messages: FORMS[form](record, where),
    ...(tools !== undefined && { tools }),
    ...((typeof id === "string" || typeof id === "number") && { id: String(id) }),
    source: where,
  };
}

const FORMS: Readonly<Record<ChatFormat, (record: JsonRecord, where: string) => Message[]>> = {
  messages: (record, where) => messagesOf(record.messages, where),
  sharegpt(record, where) {
    const messages = messagesOf(record.conversations ?? record.conversation, where);
    const { system } = record;
    return typeof system === "string" && system !== "" && messages[0].role !== "system"
      ? [{ role: "system", content: system }, ...messages]
      : messages;
  },
  alpaca(record, where) {
    const instruction = text(record, "instruction", where);
    const input = record.input === undefined || record.input === null ? "" : text(record, "input", where);
    const messages: Message[] = [];
    if (typeof record.system === "string" && record.system !== "") {
      messages.push({ role: "system", content: record.system });
    }
    for (const turn of history(record.history, where)) {
      messages.push({ role: "user", content: turn[0] }, { role: "assistant", content: turn[1] });
    }
    messages.push(
      { role: "user", content: input === "" ? instruction : `${instruction}\n${input}` },
      { role: "assistant", content: text(record, "output", where) },
    );
    return messages;
  },
  "prompt-completion"(record, where) {
    const { prompt, completion } = record;
    return [
      ...(typeof prompt === "string"
        ? [{ role: "user", content: prompt }]
        : messagesOf(prompt, `${where}, prompt`)),
      ...(typeof completion === "string"
        ? [{ role: "assistant", content: completion }]
        : messagesOf(completion, `${where}, completion`)),
    ];
  },
};

function text(record: JsonRecord, field: string, where: string): string {
  const value = record[field];
  if (typeof value !== "string")
    throw recordError(where, `${field} must be a string, got ${kindOf(value)}.`, { field });
  return value;
}

/** Earlier turns of an Alpaca record: pairs of instruction and answer. */
function history(value: unknown, where: string): [string, string][] {
  if (value === undefined || value === null) return [];
  const pairs = Array.isArray(value) ? value : [value];
  return pairs.map((pair) => {
    if (Array.isArray(pair) && pair.length === 2 && pair.every((item) => typeof item === "string")) {
      return pair as unknown as [string, string];
    }
    throw recordError(where, "history must be a list of pairs of instruction and answer.");
  });
}
