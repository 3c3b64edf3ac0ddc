/**
 * Chat templates: Jinja programs that come with a tokenizer and write a conversation as text. Rendering follows
 * transformers' `apply_chat_template`, with `{% generation %}` marks as spans of what the assistant wrote.
 */
import { readFile } from "node:fs/promises";
import { basename, join } from "node:path";
import { Template } from "@huggingface/jinja";
import { ConfigError, TokenizerError } from "../../errors.js";
import type { Message } from "./conversation.js";

export interface RenderOptions {
  /** JSON schemas of functions that may be called. */
  tools?: readonly Record<string, unknown>[];
  /** End with what introduces the assistant's next message. Default false. */
  addGenerationPrompt?: boolean;
  /** Further variables of the template, for example `enable_thinking`. */
  variables?: Readonly<Record<string, unknown>>;
}

/** A rendered conversation with the parts of it that the assistant wrote. */
export interface Rendering {
  text: string;
  /** Start and end of each part, in UTF-16 code units. */
  spans: [start: number, end: number][];
}

export interface ChatTemplateOptions {
  /** Special tokens by the names templates use (`bos_token`, `eos_token`, …). */
  specialTokens?: Readonly<Record<string, string>>;
  /** For messages. */
  name?: string;
}

/** Stand for the marks while a template runs; private-use characters that no tokenizer and no text has a use for. */
const OPEN = "\u{F5A01}";
const CLOSE = "\u{F5A02}";
const GENERATION = /\{%(-?)\s*(end)?generation\s*(-?)%\}/g;

export class ChatTemplate {
  readonly name: string;
  /** Whether the template says itself what the assistant writes. */
  readonly marksGeneration: boolean;
  private readonly template: Template;
  private readonly specialTokens: Readonly<Record<string, string>>;

  /** @throws TokenizerError when the source is not a Jinja template. */
  constructor(
    readonly source: string,
    options: ChatTemplateOptions = {},
  ) {
    this.name = options.name ?? "the chat template";
    this.specialTokens = options.specialTokens ?? {};
    this.marksGeneration = /\{%-?\s*generation\s*-?%\}/.test(source);
    // A statement in place of the mark keeps the white space around it as the mark itself would.
    const marked = source.replace(
      GENERATION,
      (_, before: string, end: string | undefined, after: string) =>
        `{%${before} if true %}${end === undefined ? OPEN : CLOSE}{% endif ${after}%}`,
    );
    try {
      this.template = new Template(marked);
    } catch (error) {
      throw new TokenizerError(
        `${this.name} is not a Jinja template: ${(error as Error).message}. Correct it, or use one that anneal has.`,
        { template: this.name },
        { cause: error },
      );
    }
  }

  /**
   * The template of a tokenizer folder: chat_template.jinja, or `chat_template` of tokenizer_config.json. Undefined when it has none.
   * @param which name of a template, where the folder has several; default `default`
   * @throws TokenizerError when a file is damaged; ConfigError for a name that is not there.
   */
  static async load(dir: string, which = "default"): Promise<ChatTemplate | undefined> {
    const configPath = join(dir, "tokenizer_config.json");
    const configText = await textOf(configPath);
    const file = await textOf(join(dir, "chat_template.jinja"));
    let config: Record<string, unknown> = {};
    try {
      config = configText === undefined ? {} : JSON.parse(configText);
    } catch (error) {
      throw new TokenizerError(`${configPath} is not valid JSON (${(error as Error).message}).`, {
        path: configPath,
      });
    }
    const specialTokens: Record<string, string> = {};
    for (const [name, value] of Object.entries(config)) {
      if (!name.endsWith("_token")) continue;
      const content = typeof value === "string" ? value : (value as { content?: unknown } | null)?.content;
      if (typeof content === "string") specialTokens[name] = content;
    }
    const options = { specialTokens, name: `the chat template of ${basename(dir)}` };
    const { chat_template: entry } = config;
    if (file !== undefined && which === "default") return new ChatTemplate(file, options);
    if (typeof entry === "string" && which === "default") return new ChatTemplate(entry, options);
    if (Array.isArray(entry)) {
      const found = entry.find((item) => item?.name === which)?.template;
      if (typeof found === "string") return new ChatTemplate(found, options);
      const names = entry.map((item) => String(item?.name));
      throw new ConfigError(`${dir} has no chat template "${which}"; it has ${names.join(", ")}.`, {
        which,
        names,
      });
    }
    if (which !== "default") throw new ConfigError(`${dir} has no chat template "${which}".`, { which });
    return undefined;
  }

  /** The conversation as text. @throws ConfigError when the template refuses it. */
  render(messages: readonly Message[], options: RenderOptions = {}): string {
    return unmarked(this.run(messages, options)).text;
  }

  /**
   * The conversation as text with the parts that the assistant wrote: as the template marks them, else from what each message adds.
   * @throws ConfigError when the template refuses the conversation, or has no marks and rewrites earlier messages.
   */
  renderWithSpans(messages: readonly Message[], options: RenderOptions = {}): Rendering {
    const marked = unmarked(this.run(messages, options));
    return this.marksGeneration
      ? marked
      : { text: marked.text, spans: this.addedSpans(messages, marked.text, options) };
  }

  private run(messages: readonly Message[], options: RenderOptions): string {
    const { tools, addGenerationPrompt = false, variables = {} } = options;
    for (const { content } of messages) {
      const texts = typeof content === "string" ? [content] : (content ?? []).map(({ text }) => text);
      if (texts.some((text) => text.includes(OPEN) || text.includes(CLOSE))) {
        throw new ConfigError(
          "A message contains the character U+F5A01 or U+F5A02, which marks the assistant's parts while a template runs. Remove it.",
        );
      }
    }
    try {
      return this.template.render({
        ...this.specialTokens,
        ...variables,
        messages,
        tools: tools ?? null,
        documents: null,
        add_generation_prompt: addGenerationPrompt,
      });
    } catch (error) {
      throw new ConfigError(
        `${this.name} refuses the conversation: ${(error as Error).message}. Roles: ${messages.map(({ role }) => role).join(", ")}.`,
        { template: this.name },
        { cause: error },
      );
    }
  }

  /** For each message of the assistant: what rendering up to it has more than rendering up to the one before with a generation prompt. */
  private addedSpans(messages: readonly Message[], text: string, options: RenderOptions): [number, number][] {
    const spans: [number, number][] = [];
    messages.forEach(({ role }, index) => {
      if (role !== "assistant") return;
      const before = this.render(messages.slice(0, index), { ...options, addGenerationPrompt: true });
      const last = index === messages.length - 1 && !options.addGenerationPrompt;
      const through = last
        ? text
        : this.render(messages.slice(0, index + 1), { ...options, addGenerationPrompt: false });
      if (!text.startsWith(before) || !text.startsWith(through) || through.length <= before.length) {
        throw new ConfigError(
          `${this.name} does not say which parts the assistant writes, and it writes message ${index + 1} differently when ` +
            "others follow, so they cannot be found. Add {% generation %} … {% endgeneration %} around the assistant's parts, " +
            'or train on last messages only (mask: "last").',
          { template: this.name, message: index },
        );
      }
      spans.push([before.length, through.length]);
    });
    return spans;
  }
}

/** Text and spans of a rendering with marks. */
function unmarked(marked: string): Rendering {
  const spans: [number, number][] = [];
  let text = "";
  let start = 0;
  let from = 0;
  for (let at = 0; at < marked.length; at++) {
    const code = marked.codePointAt(at);
    if (code !== 0xf5a01 && code !== 0xf5a02) continue;
    text += marked.slice(from, at);
    if (code === 0xf5a01) start = text.length;
    else if (text.length > start) spans.push([start, text.length]);
    from = at + 2;
    at++;
  }
  return { text: text + marked.slice(from), spans };
}

async function textOf(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, "utf8");
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "ENOENT" || code === "ENOTDIR") return undefined;
    throw new TokenizerError(`Cannot read ${path}: ${(error as Error).message}`, { path }, { cause: error });
  }
}
