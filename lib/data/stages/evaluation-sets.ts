/** Evaluation sets as texts, for decontamination. */
import { basename } from "node:path";
import { isRecord, type JsonRecord } from "../chat/conversation.js";
import { type DecontaminateOptions, Decontaminator } from "../dedup/index.js";
import { records } from "../sources.js";

/** Fields that hold what is asked, in published evaluation sets; all that a record has count. */
const ASKED = [
  "text",
  "question",
  "prompt",
  "problem",
  "query",
  "instruction",
  "input",
  "content",
  "context",
];

/** The text of an evaluation item: what is asked, else all texts of the record. */
function textOf(record: JsonRecord): string {
  const strings = Object.entries(record).filter(
    (entry): entry is [string, string] => typeof entry[1] === "string",
  );
  const asked = strings.filter(([name]) => ASKED.includes(name));
  return (asked.length > 0 ? asked : strings).map(([, text]) => text).join("\n");
}

/**
 * A decontaminator with the evaluation sets of files, each a set of its own.
 * @throws DataError as for reading records
 */
export async function loadDecontaminator(
  paths: readonly string[],
  options: DecontaminateOptions = {},
): Promise<Decontaminator> {
  const decontaminator = new Decontaminator(options);
  for (const path of paths) {
    const texts: string[] = [];
    for await (const { record } of records(path)) if (isRecord(record)) texts.push(textOf(record));
    await decontaminator.addTexts(basename(path), texts);
  }
  return decontaminator;
}
