/** Web pages: a document, whatever the markup is. */
import { readerTarget } from "./reader.mjs";

export const files = [
  "data/readers/html.js",
  "data/readers/html-blocks.js",
  "data/readers/html-regions.js",
  "data/readers/main-text.js",
  "data/readers/charset.js",
];
export const prepare = (load) => readerTarget(load, "data/readers/html.js", "readHtml");
