/** Prompts whose answers a program can check: numbers, mathematical expressions, choices, texts, and code with tests. */
import { isRecord, type JsonRecord, kindOf, type Message, messagesOf, recordError } from "./conversation.js";

/** What a right answer is. */
export type ExpectedAnswer =
  /** A number, as written without thousands separators, units and currency signs. */
  | { kind: "number"; value: string }
  /** A LaTeX expression. */
  | { kind: "math"; value: string }
  /** One of several options. */
  | { kind: "choice"; value: string; choices: string[] }
  /** The text itself. */
  | { kind: "text"; value: string }
  /** A Python function `entryPoint` that passes `tests`; `prompt` is what the answer completes. */
  | { kind: "python"; entryPoint: string; tests: string; prompt: string };

export interface VerifiablePrompt {
  prompt: Message[];
  expected: ExpectedAnswer;
  /** A worked answer, where the data set has one. */
  reference?: string;
  id?: string;
  source: string;
}

/**
 * The prompt of a record: GSM8K (`question`, `answer` with `#### n`), MATH (`problem`, `solution` with a box), HumanEval
 * (`prompt`, `test`, `entry_point`), choices (`question`, `choices`, `answer`), or any `prompt`, `question` or `problem`
 * (a text or messages) with an `answer`.
 * @param where file and line, for messages
 * @throws DataError naming the record and what its answer lacks.
 */
export function verifiablePromptOf(record: unknown, where: string): VerifiablePrompt {
  if (!isRecord(record)) throw recordError(where, `expected an object, got ${kindOf(record)}.`);
  const id = record.id ?? record.task_id ?? record.unique_id;
  const rest = {
    ...((typeof id === "string" || typeof id === "number") && { id: String(id) }),
    source: where,
  };
  const asked = record.prompt ?? record.question ?? record.problem;
  if (asked === undefined) {
    const fields = Object.keys(record);
    throw recordError(
      where,
      `no prompt, question or problem among the fields ${fields.join(", ") || "(none)"}.`,
      { fields },
    );
  }
  const prompt: Message[] =
    typeof asked === "string" ? [{ role: "user", content: asked }] : messagesOf(asked, `${where}, prompt`);
  if (typeof record.test === "string" && typeof record.entry_point === "string") {
    if (typeof asked !== "string")
      throw recordError(where, "the prompt of a programming problem must be a text.");
    const expected = {
      kind: "python" as const,
      entryPoint: record.entry_point,
      tests: record.test,
      prompt: asked,
    };
    const { canonical_solution: solution } = record;
    return { prompt, expected, ...(typeof solution === "string" && { reference: solution }), ...rest };
  }
  return { prompt, ...answerOf(record, where), ...rest };
}

function answerOf(record: JsonRecord, where: string): { expected: ExpectedAnswer; reference?: string } {
  const { answer, solution } = record;
  if (Array.isArray(record.choices)) {
    const choices = record.choices.map(String);
    const index = typeof answer === "number" ? answer : choices.indexOf(String(answer));
    const letter = typeof answer === "string" && /^[A-Z]$/.test(answer) ? answer.charCodeAt(0) - 65 : -1;
    const value = choices[index] ?? choices[letter];
    if (value === undefined) {
      throw recordError(
        where,
        `the answer ${JSON.stringify(answer)} is none of the ${choices.length} choices.`,
        { answer },
      );
    }
    return { expected: { kind: "choice", value, choices } };
  }
  if (typeof answer === "number" && Number.isFinite(answer))
    return { expected: { kind: "number", value: String(answer) } };
  if (typeof answer === "string" && answer.includes("####")) {
    const value = plainNumber(answer.slice(answer.lastIndexOf("####") + 4));
    if (value === undefined)
      throw recordError(where, 'no number stands behind "####" in the answer.', { answer });
    return { expected: { kind: "number", value }, reference: answer };
  }
  if (typeof answer === "string" && answer.trim() !== "") {
    const value = plainNumber(answer);
    const expected: ExpectedAnswer =
      value !== undefined
        ? { kind: "number", value }
        : /[\\^_{}]|\d\s*[+*/=-]\s*\d/.test(answer)
          ? { kind: "math", value: answer.trim() }
          : { kind: "text", value: answer.trim() };
    return { expected, ...(typeof solution === "string" && { reference: solution }) };
  }
  if (typeof solution === "string") {
    const value = boxed(solution);
    if (value === undefined) throw recordError(where, "the solution has no \\boxed{…} answer.", { solution });
    const number = plainNumber(value);
    return {
      expected: number === undefined ? { kind: "math", value } : { kind: "number", value: number },
      reference: solution,
    };
  }
  throw recordError(
    where,
    `the record has no answer that can be checked; its fields are ${Object.keys(record).join(", ")}.`,
  );
}

/** A number without separators, currency sign and closing full stop; undefined when the text is anything else. */
export function plainNumber(text: string): string | undefined {
  const plain = text
    .trim()
    .replace(/^\$|\.$|%$/g, "")
    .replace(/(\d),(?=\d{3}(\D|$))/g, "$1");
  return /^[-+]?(\d+\.?\d*|\.\d+)$/.test(plain) ? plain.replace(/^\+/, "") : undefined;
}

/** The content of the last `\boxed{…}` (or `\fbox`) of a LaTeX text, with nested braces; undefined when there is none. */
export function boxed(text: string): string | undefined {
  const start = Math.max(text.lastIndexOf("\\boxed{"), text.lastIndexOf("\\fbox{"));
  if (start < 0) return undefined;
  const open = text.indexOf("{", start);
  let depth = 0;
  for (let at = open; at < text.length; at++) {
    if (text[at] === "{") depth++;
    else if (text[at] === "}" && --depth === 0) return text.slice(open + 1, at).trim();
  }
  return undefined;
}
