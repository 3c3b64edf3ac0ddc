/** Conversations and preference pairs as token ids, with a mask of the tokens that the model learns to write. */
import { ConfigError } from "../../errors.js";
import type { Tokenizer } from "../../tokenizer/tokenizer.js";
import type { Conversation, Message } from "./conversation.js";
import type { PreferencePair } from "./preference.js";
import type { ChatTemplate, Rendering } from "./template.js";

/** Which tokens are learnt: all that the assistant wrote, its last message only, or every token. */
export const CHAT_MASKS = ["assistant", "last", "all"] as const;
export type ChatMask = (typeof CHAT_MASKS)[number];

export interface EncodeChatOptions {
  tokenizer: Tokenizer;
  template: ChatTemplate;
  /** Default `assistant`. */
  mask?: ChatMask;
  /** Further variables of the template. */
  variables?: Readonly<Record<string, unknown>>;
}

/** One conversation's tokens. */
export interface EncodedConversation {
  ids: Int32Array;
  /** 1 for each token that is learnt, else 0. */
  mask: Uint8Array;
}

/**
 * Encodes a conversation. A token belongs to the assistant when any of its characters does, as in transformers.
 * @throws ConfigError when the template refuses the conversation; TokenizerError when the text cannot be expressed.
 */
export function encodeConversation(
  conversation: Conversation,
  options: EncodeChatOptions,
): EncodedConversation {
  const { tokenizer, template, mask = "assistant", variables } = options;
  const { messages, tools } = conversation;
  const settings = { tools, variables };
  let rendering: Rendering;
  if (mask === "all") {
    const text = template.render(messages, settings);
    rendering = { text, spans: [[0, text.length]] };
  } else if (mask === "last") {
    rendering = lastSpan(messages, template, settings);
  } else {
    rendering = template.renderWithSpans(messages, settings);
  }
  return encodeSpans(tokenizer, rendering);
}

/** The last message, which must be the assistant's, as the only part that is learnt. */
function lastSpan(
  messages: readonly Message[],
  template: ChatTemplate,
  settings: { tools?: Conversation["tools"]; variables?: Readonly<Record<string, unknown>> },
): Rendering {
  if (messages.at(-1)?.role !== "assistant") {
    throw new ConfigError(
      `The mask "last" needs conversations that end with the assistant, this one ends with ${messages.at(-1)?.role}.`,
      { role: messages.at(-1)?.role },
    );
  }
  if (template.marksGeneration) {
    const { text, spans } = template.renderWithSpans(messages, settings);
    return { text, spans: spans.slice(-1) };
  }
  const text = template.render(messages, settings);
  const before = template.render(messages.slice(0, -1), { ...settings, addGenerationPrompt: true });
  if (!text.startsWith(before)) {
    throw new ConfigError(
      `${template.name} writes a conversation differently when an answer follows, so the answer cannot be found in it. ` +
        "Add {% generation %} … {% endgeneration %} around the assistant's parts.",
      { template: template.name },
    );
  }
  return { text, spans: [[before.length, text.length]] };
}

function encodeSpans(tokenizer: Tokenizer, { text, spans }: Rendering): EncodedConversation {
  const { ids, offsets } = tokenizer.encodeWithOffsets(text);
  const mask = new Uint8Array(ids.length);
  let span = 0;
  for (let i = 0; i < ids.length; i++) {
    const start = offsets[2 * i];
    const end = offsets[2 * i + 1];
    while (span < spans.length && spans[span][1] <= start) span++;
    if (span < spans.length && end > spans[span][0] && end > start) mask[i] = 1;
  }
  return { ids, mask };
}

/** A preference pair's tokens: what comes before the answers, and each answer. */
export interface EncodedPreference {
  prompt: Int32Array;
  chosen: Int32Array;
  rejected: Int32Array;
}

/**
 * Encodes a preference pair. Each answer is encoded with its prompt, so that its ids are those the model would see; the
 * prompt's tokens are those that end before either answer begins. Plain texts need no template.
 * @throws ConfigError when messages come without a template or the template refuses them.
 */
export function encodePreference(
  pair: PreferencePair,
  options: Omit<EncodeChatOptions, "mask" | "template"> & { template?: ChatTemplate },
): EncodedPreference {
  const { tokenizer } = options;
  const texts: PairTexts = pair.kind === "text" ? pair : renderPair(pair, options);
  const chosen = encodeAnswer(tokenizer, texts.prompt, texts.chosen);
  const rejected = encodeAnswer(tokenizer, texts.prompt, texts.rejected);
  // A token across the border belongs to the answers.
  const cut = Math.min(chosen.cut, rejected.cut);
  return {
    prompt: chosen.ids.slice(0, cut),
    chosen: chosen.ids.slice(cut),
    rejected: rejected.ids.slice(cut),
  };
}

/** Prompt and answers as texts; the answers without the prompt. */
interface PairTexts {
  prompt: string;
  chosen: string;
  rejected: string;
}

function renderPair(
  pair: Extract<PreferencePair, { kind: "chat" }>,
  { template, variables }: { template?: ChatTemplate; variables?: Readonly<Record<string, unknown>> },
): PairTexts {
  if (template === undefined) {
    throw new ConfigError(
      `${pair.source}: messages need a chat template; give the option template, for example one of anneal's own.`,
      { source: pair.source },
    );
  }
  const settings = { tools: pair.tools, variables };
  const prompt = template.render(pair.prompt, { ...settings, addGenerationPrompt: true });
  const chosen = template.render([...pair.prompt, ...pair.chosen], settings);
  const rejected = template.render([...pair.prompt, ...pair.rejected], settings);
  // Where an answer changes the end of the prompt (an opened thinking block, say), the prompt ends before it.
  const end = Math.min(commonPrefix(prompt, chosen), commonPrefix(prompt, rejected));
  return { prompt: prompt.slice(0, end), chosen: chosen.slice(end), rejected: rejected.slice(end) };
}

function commonPrefix(a: string, b: string): number {
  let at = 0;
  while (at < a.length && at < b.length && a[at] === b[at]) at++;
  return at;
}

function encodeAnswer(
  tokenizer: Tokenizer,
  prompt: string,
  answer: string,
): { ids: Int32Array; cut: number } {
  const { ids, offsets } = tokenizer.encodeWithOffsets(prompt + answer);
  let cut = 0;
  while (cut < ids.length && offsets[2 * cut + 1] <= prompt.length) cut++;
  return { ids, cut };
}
