/** JSON lines: documents or an error of this package, whatever the bytes are and in whatever pieces they come. */
import { readerTarget } from "./reader.mjs";

export const files = [
  "data/readers/jsonl.js",
  "data/readers/record.js",
  "data/readers/reader.js",
  "data/readers/text.js",
  "data/utf8.js",
];
export const prepare = (load) => readerTarget(load, "data/readers/jsonl.js", "readJsonl");
