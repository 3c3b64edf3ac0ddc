/** CSV: documents or an error of this package. */
import { readerTarget } from "./reader.mjs";

export const files = [
  "data/readers/csv.js",
  "data/readers/record.js",
  "data/readers/reader.js",
  "data/readers/text.js",
];
export const prepare = (load) => readerTarget(load, "data/readers/csv.js", "readCsv", false);
