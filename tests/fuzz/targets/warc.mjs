/** WARC files: documents or an error of this package. */
import { readerTarget } from "./reader.mjs";

export const files = [
  "data/readers/warc.js",
  "data/readers/http-message.js",
  "data/readers/charset.js",
  "data/readers/reader.js",
  "data/readers/bytes.js",
];
export const prepare = (load) => readerTarget(load, "data/readers/warc.js", "readWarc", false);
