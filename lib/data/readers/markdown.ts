/** Markdown: text as it is, or without its markup; front matter goes to the metadata. */
import type { ReaderInput, TextDocument } from "./reader.js";
import { textPieces } from "./text.js";

/** Reads Markdown. */
export async function* readMarkdown(input: ReaderInput): AsyncGenerator<TextDocument[]> {
  let first = true;
  for await (const piece of textPieces(input)) {
    const { text, metadata } = first
      ? splitFrontMatter(piece.text)
      : { text: piece.text, metadata: undefined };
    first = false;
    const document: TextDocument = {
      text: input.settings.markdown === "strip" ? stripMarkdown(text) : text,
      source: piece.source,
    };
    if (metadata !== undefined && input.settings.metadata) document.metadata = metadata;
    yield [document];
  }
}

/**
 * Takes YAML front matter (between two lines `---` at the very beginning) off a text. Plain `key: value` lines and lists
 * become metadata fields; everything else of it is kept, as it stands, in the field `frontMatter`.
 */
export function splitFrontMatter(text: string): { text: string; metadata?: Record<string, unknown> } {
  const match = /^---[ \t]*\r?\n([\s\S]*?)(?:^|\n)(?:---|\.\.\.)[ \t]*(?:\r?\n|$)/.exec(text);
  // A rule above ordinary text is no front matter: at least one line must look like a key.
  if (match === null || !/^[\w-]+:(?:\s|$)/m.test(match[1])) return { text };
  const metadata: Record<string, unknown> = {};
  const left: string[] = [];
  const lines = match[1].split(/\r?\n/);
  for (let i = 0; i < lines.length; i++) {
    const line = lines[i];
    if (line.trim() === "" || line.startsWith("#")) continue;
    const pair = /^([\w-]+):(?:[ \t]+(.*))?$/.exec(line);
    const value = pair?.[2]?.trim() ?? "";
    const items: string[] = [];
    if (pair !== null && value === "") {
      while (/^\s*- /.test(lines[i + 1] ?? "")) items.push(lines[++i].replace(/^\s*- /, "").trim());
    }
    const parsed =
      pair === null ? undefined : value === "" && items.length > 0 ? items.map(scalar) : yamlValue(value);
    if (pair === null || parsed === undefined || pair[1] === "__proto__") left.push(line);
    else metadata[pair[1]] = parsed;
  }
  if (left.length > 0) metadata.frontMatter = match[1].replace(/\r$/, "");
  return { text: text.slice(match[0].length).replace(/^(?:[ \t]*\r?\n)+/, ""), metadata };
}

/** A YAML scalar or one-line list; undefined for anything that needs a real YAML reader. */
function yamlValue(value: string): unknown {
  const list = /^\[([^[\]{}]*)\]$/.exec(value);
  if (list !== null)
    return list[1].trim() === "" ? [] : list[1].split(",").map((item) => scalar(item.trim()));
  return /^[[{|>&*!]/.test(value) ? undefined : scalar(value);
}

/** A scalar: quotes removed, true, false, null and numbers as such. */
function scalar(value: string): unknown {
  const quoted = /^(["'])(.*)\1$/.exec(value);
  if (quoted !== null) return quoted[2];
  const plain = value.replace(/\s+#.*$/, "");
  if (plain === "true" || plain === "false") return plain === "true";
  if (plain === "" || plain === "null" || plain === "~") return null;
  return /^-?(?:0|[1-9]\d*)(?:\.\d+)?$/.test(plain) ? Number(plain) : plain;
}

/**
 * Plain text of Markdown: marks of headings, emphasis, quotes, links and images go, their words stay; code keeps its lines
 * without the fences; list marks stay, since they read well as text. HTML tags and comments go.
 */
export function stripMarkdown(text: string): string {
  const lines: string[] = [];
  let fence: string | undefined;
  for (const line of text.split(/\r?\n/)) {
    const mark = /^ {0,3}(`{3,}|~{3,})/.exec(line)?.[1];
    if (fence !== undefined) {
      if (mark?.startsWith(fence) && line.trim() === mark) fence = undefined;
      else lines.push(line);
    } else if (mark !== undefined) {
      fence = mark;
    } else {
      lines.push(stripLine(line));
    }
  }
  return lines
    .join("\n")
    .replace(/\n{3,}/g, "\n\n")
    .trim();
}

function stripLine(line: string): string {
  if (/^\s{0,3}(?:=+|-{2,}|(?:[*_-]\s*){3,})\s*$/.test(line)) return "";
  if (/^\s{0,3}\[[^\]]+\]:\s/.test(line)) return "";
  if (/^\s*\|?(?:\s*:?-+:?\s*\|)+(?:\s*:?-+:?\s*)?$/.test(line)) return "";
  // Code and escaped marks are put aside behind a character that text does not have.
  const aside: string[] = [];
  const put = (text: string) => `\uffff${aside.push(text) - 1}\uffff`;
  return line
    .replace(/(`+)(.+?)\1(?!`)/g, (_, __, inner: string) => put(inner.trim()))
    .replace(/\\([\\`*_{}[\]()#+\-.!|<>~])/g, (_, mark: string) => put(mark))
    .replace(/<(https?:[^<>\s]+)>/g, "$1")
    .replace(/<!--.*?-->|<\/?[A-Za-z][^<>]*>/g, "")
    .replace(/^\s{0,3}#{1,6}\s+(.*?)\s*#*\s*$/, "$1")
    .replace(/^(?:\s{0,3}>\s?)+/, "")
    .replace(/!?\[([^\]]*)\](?:\([^()\s]*(?:\([^()]*\))?[^()]*\)|\[[^\]]*\])/g, "$1")
    .replace(/(\*\*\*|\*\*|\*|~~)(?=\S)([^*~]+?)(?<=\S)\1/g, "$2")
    .replace(/(?<![\p{L}\p{N}])(__|_)(?=\S)([^_]+?)(?<=\S)\1(?![\p{L}\p{N}])/gu, "$2")
    .replace(/\uffff(\d+)\uffff/g, (_, index: string) => aside[Number(index)] ?? "");
}
