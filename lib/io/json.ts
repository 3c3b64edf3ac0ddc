/**
 * A strict JSON reader for files. Unlike `JSON.parse` it says file, line and column of an error, and it refuses
 * duplicate keys, which would otherwise silently drop a tensor or a setting.
 */

import { FormatError } from "../errors.js";
import { type FileSystem, nodeFileSystem, readWholeFile } from "./filesystem.js";

const MAX_DEPTH = 1000;
const NUMBER = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?/y;
const LITERALS: ReadonlyArray<readonly [string, unknown]> = [
  ["true", true],
  ["false", false],
  ["null", null],
];

/** Line and column, both from 1, of a character index. */
function position(text: string, index: number): { line: number; column: number } {
  let line = 1;
  let start = 0;
  for (let at = text.indexOf("\n"); at !== -1 && at < index; at = text.indexOf("\n", at + 1)) {
    line++;
    start = at + 1;
  }
  return { line, column: index - start + 1 };
}

/**
 * Parses JSON text.
 * @param path the file's name for error messages
 * @throws FormatError with line and column in message and details
 */
export function parseJson(text: string, path: string): unknown {
  let at = 0;
  let depth = 0;

  const fail = (problem: string, index = at): never => {
    const { line, column } = position(text, index);
    throw new FormatError(
      `${path}: invalid JSON at line ${line}, column ${column}: ${problem}. Correct the file or write it again.`,
      { path, line, column },
    );
  };
  const got = () =>
    at >= text.length
      ? "the end of the file"
      : JSON.stringify(String.fromCodePoint(text.codePointAt(at) ?? 0));

  const space = () => {
    for (;;) {
      const c = text.charCodeAt(at);
      if (c !== 32 && c !== 10 && c !== 13 && c !== 9) return;
      at++;
    }
  };

  const string = (): string => {
    const start = at++;
    let plain = true;
    for (;;) {
      const c = text.charCodeAt(at);
      if (c === 34) break;
      if (c === 92) {
        plain = false;
        at++;
      } else if (c < 32) fail("a control character inside a string; write it as an escape such as \\n");
      if (at >= text.length) fail("a string is not closed", start);
      at++;
    }
    at++;
    if (plain) return text.slice(start + 1, at - 1);
    try {
      return JSON.parse(text.slice(start, at)) as string;
    } catch {
      return fail("a string holds an invalid escape", start);
    }
  };

  const object = (): Record<string, unknown> => {
    const result: Record<string, unknown> = {};
    at++;
    space();
    if (text[at] === "}") {
      at++;
      return result;
    }
    for (;;) {
      space();
      const keyAt = at;
      if (text[at] !== '"') fail(`expected a key in double quotes, got ${got()}`);
      const key = string();
      if (Object.hasOwn(result, key))
        fail(`the key ${JSON.stringify(key)} occurs twice in one object`, keyAt);
      space();
      if (text[at] !== ":") fail(`expected ":" after the key ${JSON.stringify(key)}, got ${got()}`);
      at++;
      const item = value();
      // An assignment to __proto__ would set the prototype instead of a property.
      if (key === "__proto__")
        Object.defineProperty(result, key, {
          value: item,
          enumerable: true,
          writable: true,
          configurable: true,
        });
      else result[key] = item;
      space();
      if (text[at] === "}") {
        at++;
        return result;
      }
      if (text[at] !== ",") fail(`expected "," or "}", got ${got()}`);
      at++;
    }
  };

  const array = (): unknown[] => {
    const result: unknown[] = [];
    at++;
    space();
    if (text[at] === "]") {
      at++;
      return result;
    }
    for (;;) {
      result.push(value());
      space();
      if (text[at] === "]") {
        at++;
        return result;
      }
      if (text[at] !== ",") fail(`expected "," or "]", got ${got()}`);
      at++;
    }
  };

  const value = (): unknown => {
    space();
    const c = text[at];
    if (c === '"') return string();
    if (c === "{" || c === "[") {
      if (++depth > MAX_DEPTH) fail(`more than ${MAX_DEPTH} nested levels`);
      const result = c === "{" ? object() : array();
      depth--;
      return result;
    }
    NUMBER.lastIndex = at;
    const number = NUMBER.exec(text);
    if (number !== null) {
      at = NUMBER.lastIndex;
      return Number(number[0]);
    }
    for (const [word, meaning] of LITERALS) {
      if (text.startsWith(word, at)) {
        at += word.length;
        return meaning;
      }
    }
    return fail(`expected a value, got ${got()}`);
  };

  const result = value();
  space();
  if (at < text.length) fail(`expected the end of the file, got ${got()}`);
  return result;
}

/** Decodes UTF-8 strictly; a byte order mark stays in the text. */
export function decodeUtf8(bytes: Uint8Array, path: string): string {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch (cause) {
    throw new FormatError(
      `${path}: the text is not valid UTF-8. Save the file as UTF-8.`,
      { path },
      { cause },
    );
  }
}

/** Reads and parses a JSON file; a byte order mark is skipped. Throws FormatError for contents, the system's error for access. */
export async function readJson(path: string, fs: FileSystem = nodeFileSystem): Promise<unknown> {
  const text = decodeUtf8(await readWholeFile(fs, path), path);
  return parseJson(text.startsWith("\ufeff") ? text.slice(1) : text, path);
}

/** Reads a JSON file whose top level must be an object. */
export async function readJsonObject(
  path: string,
  fs: FileSystem = nodeFileSystem,
): Promise<Record<string, unknown>> {
  const value = await readJson(path, fs);
  if (!isObject(value)) {
    throw new FormatError(`${path}: expected a JSON object at the top level, got ${kindOf(value)}.`, {
      path,
    });
  }
  return value;
}

/** Whether a JSON value is an object (not an array, not null). */
export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** A JSON value's kind in words, for messages. */
export function kindOf(value: unknown): string {
  if (value === null) return "null";
  return Array.isArray(value) ? "an array" : `a ${typeof value}`;
}
