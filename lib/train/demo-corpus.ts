/** The text of the first training: documentation and type declarations that every `npm ci` puts into node_modules. */
import { isUtf8 } from "node:buffer";
import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { listSources } from "../data/index.js";
import { DataError } from "../errors.js";

/** A choice of files. */
export interface DemoCorpus {
  /** Paths in the order in which they are read. */
  files: string[];
  /** Bytes in all of them. */
  bytes: number;
}

/** Options of `demoCorpus`. */
export interface DemoCorpusOptions {
  /** Stop before this many bytes would be exceeded. Default 8 MiB. */
  maxBytes?: number;
  /** Leave out larger files: generated declarations that repeat one pattern for megabytes. Default 256 KiB. */
  maxFileBytes?: number;
}

const ENDINGS = [".md", ".d.ts"];
/** Shorter files are mostly lines that re-export another one. */
const MIN_FILE_BYTES = 256;

/**
 * Files ending in `.md` and `.d.ts` below a folder, without copies of the same content. The choice depends on nothing but names and contents:
 * files are taken in the order of a hash of their content, so that a cut at `maxBytes` keeps some of every package.
 * @throws DataError when there are none
 */
export async function demoCorpus(dir: string, options: DemoCorpusOptions = {}): Promise<DemoCorpus> {
  const { maxBytes = 8 * 2 ** 20, maxFileBytes = 256 * 2 ** 10 } = options;
  const found = await listSources(dir, { extensions: ENDINGS });
  const byHash = new Map<string, { path: string; size: number }>();
  for (const { path, size } of found) {
    if (size < MIN_FILE_BYTES || size > maxFileBytes) continue;
    const content = await readFile(path);
    // A demonstration must not fail because some package ships a file in another encoding.
    if (content.includes(0) || !isUtf8(content)) continue;
    const hash = createHash("sha256").update(content).digest("hex");
    if (!byHash.has(hash)) byHash.set(hash, { path, size });
  }
  const files: string[] = [];
  let bytes = 0;
  for (const hash of [...byHash.keys()].sort()) {
    const { path, size } = byHash.get(hash) as { path: string; size: number };
    if (bytes + size > maxBytes) continue;
    files.push(path);
    bytes += size;
  }
  if (files.length === 0) {
    throw new DataError(
      `There is no documentation in ${dir}. Run \`npm ci\`, or name a text of your own: \`npm start -- --data PATH\`.`,
      { dir, endings: ENDINGS },
    );
  }
  return { files: files.sort(), bytes };
}
