/** Conversations, preference pairs and prompts with checkable answers from files. */
import { DataError } from "../../errors.js";
import { records, type SourceOptions } from "../sources.js";
import type { Conversation } from "./conversation.js";
import { type EncodeChatOptions, encodeConversation } from "./encode.js";
import { type ChatFormat, conversationOf } from "./formats.js";
import { type PreferencePair, preferenceOf } from "./preference.js";
import { ChatTokens } from "./rows.js";
import { type VerifiablePrompt, verifiablePromptOf } from "./verifiable.js";

export interface ReadRecordsOptions extends Pick<SourceOptions, "extensions" | "format" | "onError" | "hub"> {
  /** Called for each record that is passed over with `onError: "skip"`. */
  onSkip?: (record: { source: string; reason: string }) => void;
  signal?: AbortSignal;
}

/** What each record stands for; a record that stands for nothing is an error, or is passed over. */
async function* read<T>(
  paths: string | readonly string[],
  options: ReadRecordsOptions,
  convert: (record: unknown, source: string) => T,
): AsyncGenerator<T> {
  const { signal, ...source } = options;
  for await (const { record, source: where } of records(paths, source)) {
    signal?.throwIfAborted();
    let converted: T;
    try {
      converted = convert(record, where);
    } catch (error) {
      if (options.onError !== "skip" || !(error instanceof DataError)) throw error;
      options.onSkip?.({ source: where, reason: error.message });
      continue;
    }
    yield converted;
  }
}

/**
 * The conversations of JSON-lines, CSV or parquet files; see `conversationOf` for their forms.
 * @throws DataError naming file and line
 */
export function readConversations(
  paths: string | readonly string[],
  options: ReadRecordsOptions & { chatFormat?: ChatFormat } = {},
): AsyncGenerator<Conversation> {
  const { chatFormat, ...rest } = options;
  return read(paths, rest, (record, where) => conversationOf(record, where, chatFormat));
}

/**
 * The preference pairs of files; see `preferenceOf`.
 * @throws DataError naming file and line
 */
export function readPreferences(
  paths: string | readonly string[],
  options: ReadRecordsOptions = {},
): AsyncGenerator<PreferencePair> {
  return read(paths, options, preferenceOf);
}

/**
 * The prompts with checkable answers of files; see `verifiablePromptOf`.
 * @throws DataError naming file and line
 */
export function readVerifiablePrompts(
  paths: string | readonly string[],
  options: ReadRecordsOptions = {},
): AsyncGenerator<VerifiablePrompt> {
  return read(paths, options, verifiablePromptOf);
}

/** What became of a data set of conversations. */
export interface EncodedChat {
  tokens: ChatTokens;
  /** Conversations of which no token is learnt; they are left out. */
  withoutAnswer: number;
}

/**
 * Encodes conversations for training; `ChatBatches` makes batches of them.
 * @throws as reading and `encodeConversation`
 */
export async function encodeChat(
  conversations: AsyncIterable<Conversation> | Iterable<Conversation>,
  options: EncodeChatOptions & { signal?: AbortSignal },
): Promise<EncodedChat> {
  const tokens = new ChatTokens();
  let withoutAnswer = 0;
  for await (const conversation of conversations) {
    options.signal?.throwIfAborted();
    if (!tokens.add(encodeConversation(conversation, options))) withoutAnswer++;
  }
  return { tokens, withoutAnswer };
}
