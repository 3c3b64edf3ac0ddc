/** Preference pairs: two answers to the same prompt, of which one is better. */
import {
  type Conversation,
  isRecord,
  kindOf,
  type Message,
  messagesOf,
  recordError,
  textOf,
  toolsOf,
} from "./conversation.js";

/** A pair of messages' continuations of one conversation. */
export interface ChatPreference {
  kind: "chat";
  /** The conversation up to the answers. */
  prompt: Message[];
  chosen: Message[];
  rejected: Message[];
  tools?: Conversation["tools"];
  source: string;
}

/** A pair of plain texts that go on from a plain text. */
export interface TextPreference {
  kind: "text";
  prompt: string;
  chosen: string;
  rejected: string;
  source: string;
}

export type PreferencePair = ChatPreference | TextPreference;

/** One turn of the dialogues of Anthropic's helpful-and-harmless data. */
const TURN = /\n\n(Human|Assistant): ?/g;

/**
 * The pair of a record: `prompt`, `chosen` and `rejected` as texts or lists of messages; without `prompt`, what both
 * answers begin with is the prompt. Texts of turns `\n\nHuman: … \n\nAssistant: …` become messages.
 * @param where file and line, for messages
 * @throws DataError naming the record.
 */
export function preferenceOf(record: unknown, where: string): PreferencePair {
  if (!isRecord(record)) throw recordError(where, `expected an object, got ${kindOf(record)}.`);
  const { prompt, chosen, rejected } = record;
  for (const [field, value] of Object.entries({ chosen, rejected })) {
    if (typeof value !== "string" && !Array.isArray(value)) {
      const fields = Object.keys(record);
      throw recordError(
        where,
        value === undefined
          ? `a preference pair needs the fields chosen and rejected; the record has ${fields.join(", ") || "none"}.`
          : `${field} must be a text or a list of messages, got ${kindOf(value)}.`,
        { field, fields },
      );
    }
  }
  if (typeof chosen !== typeof rejected) {
    throw recordError(where, "chosen and rejected must both be texts or both lists of messages.");
  }
  const tools = toolsOf(record.tools, where);
  const rest = { ...(tools !== undefined && { tools }), source: where };
  if (typeof chosen === "string" && typeof rejected === "string")
    return textPair(prompt, chosen, rejected, where, rest);
  const answers = {
    chosen: messagesOf(chosen, `${where}, chosen`),
    rejected: messagesOf(rejected, `${where}, rejected`),
  };
  if (prompt !== undefined && prompt !== null) {
    const messages =
      typeof prompt === "string" ? [userMessage(prompt)] : messagesOf(prompt, `${where}, prompt`);
    // Some data sets repeat the prompt before each answer.
    const repeated = (list: Message[]) =>
      list.length > messages.length && messages.every((message, i) => sameMessage(message, list[i]));
    const both = repeated(answers.chosen) && repeated(answers.rejected);
    const cut = both ? messages.length : 0;
    return {
      kind: "chat",
      prompt: messages,
      chosen: answers.chosen.slice(cut),
      rejected: answers.rejected.slice(cut),
      ...rest,
    };
  }
  return { kind: "chat", ...splitMessages(answers.chosen, answers.rejected, where), ...rest };
}

function textPair(
  prompt: unknown,
  chosen: string,
  rejected: string,
  where: string,
  rest: { tools?: Conversation["tools"]; source: string },
): PreferencePair {
  if (typeof prompt === "string") {
    return prompt.startsWith("\n\nHuman:")
      ? chatPair(turns(prompt), [assistantMessage(chosen)], [assistantMessage(rejected)], where, rest)
      : { kind: "text", prompt, chosen, rejected, source: where };
  }
  if (Array.isArray(prompt)) {
    return chatPair(
      messagesOf(prompt, `${where}, prompt`),
      [assistantMessage(chosen)],
      [assistantMessage(rejected)],
      where,
      rest,
    );
  }
  if (chosen.startsWith("\n\nHuman:") && rejected.startsWith("\n\nHuman:")) {
    return { kind: "chat", ...splitMessages(turns(chosen), turns(rejected), where), ...rest };
  }
  const length = commonPrefix(chosen, rejected);
  return {
    kind: "text",
    prompt: chosen.slice(0, length),
    chosen: chosen.slice(length),
    rejected: rejected.slice(length),
    source: where,
  };
}

function chatPair(
  prompt: Message[],
  chosen: Message[],
  rejected: Message[],
  where: string,
  rest: { tools?: Conversation["tools"]; source: string },
): ChatPreference {
  if (prompt.length === 0) throw recordError(where, "the prompt has no message.");
  return { kind: "chat", prompt, chosen, rejected, ...rest };
}

/** What two lists of messages begin with, and how each goes on. */
function splitMessages(
  chosen: Message[],
  rejected: Message[],
  where: string,
): Pick<ChatPreference, "prompt" | "chosen" | "rejected"> {
  let common = 0;
  while (common < chosen.length && common < rejected.length && sameMessage(chosen[common], rejected[common]))
    common++;
  // Equal answers are a pair all the same; the last message is the answer.
  common = Math.min(common, chosen.length - 1, rejected.length - 1);
  if (common < 1)
    throw recordError(
      where,
      "chosen and rejected do not begin with the same message, so there is no prompt.",
    );
  return { prompt: chosen.slice(0, common), chosen: chosen.slice(common), rejected: rejected.slice(common) };
}

/** Messages of a text with turns of Human and Assistant; an empty last turn is left out. */
function turns(text: string): Message[] {
  const messages: Message[] = [];
  const marks = [...text.matchAll(TURN)];
  marks.forEach((mark, i) => {
    const content = text.slice(mark.index + mark[0].length, marks[i + 1]?.index).trim();
    if (content === "" && i === marks.length - 1) return;
    messages.push({ role: mark[1] === "Human" ? "user" : "assistant", content });
  });
  return messages;
}

function commonPrefix(a: string, b: string): number {
  let at = 0;
  while (at < a.length && at < b.length && a[at] === b[at]) at++;
  // The answers keep the space before their first word, and surrogate pairs stay whole.
  if (at > 0 && a[at - 1] === " ") at--;
  const code = a.charCodeAt(at - 1);
  return code >= 0xd800 && code < 0xdc00 ? at - 1 : at;
}

const userMessage = (content: string): Message => ({ role: "user", content });
const assistantMessage = (content: string): Message => ({
  role: "assistant",
  content: content.replace(/^ /, ""),
});

function sameMessage(a: Message, b: Message): boolean {
  return (
    a.role === b.role &&
    textOf(a) === textOf(b) &&
    JSON.stringify(a.tool_calls) === JSON.stringify(b.tool_calls)
  );
}
