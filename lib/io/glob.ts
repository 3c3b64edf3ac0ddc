/**
 * File patterns with `/` between folders: `*` and `?` stay inside one folder, `**` crosses folders, `[a-z]`, `[!a-z]`
 * and `{a,b}` choose. A pattern without `/` names files in any folder, one with a `/` (at its beginning, too) counts
 * from the root; a pattern that names a folder takes everything in it.
 */

import { ConfigError } from "../errors.js";

/** Whether a path uses any of the signs that make it a pattern. */
export function isGlob(path: string): boolean {
  return /[*?[{]/.test(path);
}

/** The part of a pattern before the first folder that holds a sign, without a `/` at its end: where to start looking. */
export function globBase(pattern: string): string {
  const folders = pattern.split("/");
  const first = folders.findIndex(isGlob);
  return folders.slice(0, first === -1 ? folders.length - 1 : first).join("/");
}

const literal = (text: string) => text.replace(/[\\^$.*+?()[\]{}|]/g, "\\$&");

/** The regular expression (as source) of a pattern; `at` moves over it. Ends before `,` or `}` inside braces. */
function translate(pattern: string, state: { at: number }, depth: number): string {
  const fail = (problem: string) =>
    new ConfigError(
      `The file pattern ${JSON.stringify(pattern)} ${problem}. Write a literal sign as [${pattern[state.at] ?? "["}].`,
      {
        pattern,
      },
    );
  let source = "";
  while (state.at < pattern.length) {
    const sign = pattern[state.at];
    if (depth > 0 && (sign === "," || sign === "}")) return source;
    state.at++;
    if (sign === "*") {
      if (pattern[state.at] !== "*") {
        source += "[^/]*";
        continue;
      }
      state.at++;
      if (pattern[state.at] === "/") {
        // `**/` also stands for no folder at all.
        state.at++;
        source += "(?:[^/]+/)*";
      } else source += ".*";
    } else if (sign === "?") source += "[^/]";
    else if (sign === "[") {
      // A `]` that comes first belongs to the set.
      const from = state.at + (pattern[state.at] === "!" || pattern[state.at] === "^" ? 1 : 0);
      const end = pattern.indexOf("]", from + 1);
      if (end === -1) {
        state.at--;
        throw fail("opens [ without ]");
      }
      const set = pattern.slice(from, end).replace(/[\\^[\]]/g, "\\$&");
      source += `(?!/)[${from > state.at ? "^" : ""}${set}]`;
      state.at = end + 1;
    } else if (sign === "{") {
      const start = state.at - 1;
      const choices: string[] = [];
      do choices.push(translate(pattern, state, depth + 1));
      while (pattern[state.at] === "," && ++state.at);
      if (pattern[state.at] !== "}") {
        state.at = start;
        throw fail("opens { without }");
      }
      state.at++;
      source += `(?:${choices.join("|")})`;
    } else source += literal(sign);
  }
  return source;
}

/**
 * Compiles a pattern.
 * @returns whether a path (relative, with `/`) fits it
 * @throws ConfigError when a bracket or brace is not closed
 */
export function globPattern(pattern: string): (path: string) => boolean {
  const trimmed = pattern.replace(/^(?:\.?\/)+/, "").replace(/\/+$/, "");
  const anywhere = trimmed.includes("/") || pattern.startsWith("/") ? "" : "(?:[^/]+/)*";
  const source = translate(trimmed, { at: 0 }, 0);
  let expression: RegExp;
  try {
    expression = new RegExp(`^${anywhere}(?:${source})(?:/.*)?$`, "su");
  } catch (cause) {
    throw new ConfigError(
      `The file pattern ${JSON.stringify(pattern)} holds a set [ ] that is not valid. Check its ranges.`,
      { pattern },
      { cause },
    );
  }
  return (path) => expression.test(path);
}

/**
 * Whether a path is chosen: it fits one of `include` (all do when there are none) and none of `exclude`.
 * @throws ConfigError for a pattern that does not parse
 */
export function globFilter(
  include: string | readonly string[] = [],
  exclude: string | readonly string[] = [],
): (path: string) => boolean {
  const compile = (patterns: string | readonly string[]) =>
    (typeof patterns === "string" ? [patterns] : patterns).map(globPattern);
  const wanted = compile(include);
  const unwanted = compile(exclude);
  return (path) =>
    (wanted.length === 0 || wanted.some((fits) => fits(path))) && !unwanted.some((fits) => fits(path));
}
