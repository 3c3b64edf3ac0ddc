/**
 * Word counts on disk, so that a training need not read its texts again. The file: a head of 64 KiB (the magic, then JSON
 * padded with spaces), then the tables one after the other. The head is written last.
 */
import { createHash } from "node:crypto";
import { basename, dirname } from "node:path";
import { CheckpointError, FormatError } from "../errors.js";
import { atomically } from "../io/atomic.js";
import {
  errnoOf,
  type FileSystem,
  nodeFileSystem,
  readFully,
  saveError,
  writeFully,
} from "../io/filesystem.js";
import { WordCounts, type WordParts, type WordStatistics } from "../native/text/train.js";

const MAGIC = "anneal word counts 1\n";
const HEAD_BYTES = 65536;

/** What saved counts are of. */
export interface CountsRecord {
  /** The caller's name of the texts. */
  key: string;
  kind: "bpe" | "wordpiece";
  parts: WordParts;
  /** Words seen fewer times were forgotten on the way; 0: none were. */
  pruneBelow: number;
  /** Texts and bytes that were counted. */
  texts: number;
  bytes: number;
  statistics: WordStatistics;
}

/** What counts must be of to be taken. */
type Expected = Pick<CountsRecord, "key" | "kind" | "parts" | "pruneBelow">;

interface Head extends CountsRecord {
  /** Bytes of each table. */
  tables: number[];
  /** SHA-256 of all tables. */
  sha256: string;
}

/**
 * Writes settled counts, whole or not at all.
 * @throws CheckpointError when the disk refuses.
 */
export async function saveCounts(
  path: string,
  counts: WordCounts,
  record: CountsRecord,
  fs: FileSystem = nodeFileSystem,
): Promise<void> {
  let written = 0;
  try {
    await atomically(fs, path, async (temporary) => {
      const hash = createHash("sha256");
      const tables: number[] = [];
      const handle = await fs.open(temporary, "wx");
      try {
        for (let table = 0; table < WordCounts.TABLES; table++) {
          const bytes = await counts.save(table);
          await writeFully(handle, bytes, HEAD_BYTES + written, hash);
          tables.push(bytes.length);
          written += bytes.length;
        }
        const head: Head = { ...record, tables, sha256: hash.digest("hex") };
        const text = Buffer.from(MAGIC + JSON.stringify(head));
        if (text.length > HEAD_BYTES) {
          throw new FormatError(
            `The settings of the tokenizer take ${text.length} bytes; word counts have room for ${HEAD_BYTES}.`,
            {
              bytes: text.length,
            },
          );
        }
        await writeFully(handle, Buffer.concat([text, Buffer.alloc(HEAD_BYTES - text.length, " ")]), 0);
        await handle.sync();
      } finally {
        await handle.close();
      }
    });
  } catch (error) {
    throw await saveError(fs, error, `word counts ${basename(path)}`, dirname(path), HEAD_BYTES + written);
  }
}

/**
 * Reads saved counts into fresh ones.
 * @param expected what they must be of
 * @returns their record, or undefined where there is no file
 * @throws CheckpointError when they are of other texts or another way to cut them; FormatError when the file is damaged.
 */
export async function loadCounts(
  path: string,
  counts: WordCounts,
  expected: Expected,
  fs: FileSystem = nodeFileSystem,
): Promise<CountsRecord | undefined> {
  let handle: Awaited<ReturnType<FileSystem["open"]>>;
  try {
    handle = await fs.open(path, "r");
  } catch (error) {
    if (errnoOf(error) === "ENOENT") return undefined;
    throw new CheckpointError(
      `Cannot read the word counts ${path}: ${(error as Error).message}`,
      { path },
      { cause: error },
    );
  }
  try {
    const { size } = await handle.stat();
    const head = parseHead(await read(handle, 0, Math.min(HEAD_BYTES, size)), path);
    const total = head.tables.reduce((sum, bytes) => sum + bytes, HEAD_BYTES);
    if (size !== total) {
      throw new FormatError(
        `${path} has ${size} bytes, expected ${total}: it was cut. Delete it and count again.`,
        {
          path,
          size,
          expected: total,
        },
      );
    }
    checkRecord(head, expected, path);
    const hash = createHash("sha256");
    let position = HEAD_BYTES;
    for (const length of head.tables) {
      const bytes = await read(handle, position, length);
      hash.update(bytes);
      await counts.load(bytes);
      position += length;
    }
    if (hash.digest("hex") !== head.sha256) {
      throw new FormatError(`${path} is damaged: its checksum is wrong. Delete it and count again.`, {
        path,
      });
    }
    return head;
  } finally {
    await handle.close();
  }
}

async function read(
  handle: Awaited<ReturnType<FileSystem["open"]>>,
  position: number,
  length: number,
): Promise<Uint8Array> {
  const bytes = new Uint8Array(length);
  return bytes.subarray(0, await readFully(handle, bytes, position));
}

function parseHead(bytes: Uint8Array, path: string): Head {
  const text = Buffer.from(bytes).toString("utf8");
  let head: Partial<Head> | undefined;
  try {
    if (bytes.length === HEAD_BYTES && text.startsWith(MAGIC)) head = JSON.parse(text.slice(MAGIC.length));
  } catch {
    head = undefined;
  }
  const { tables, sha256, statistics } = head ?? {};
  const sound =
    Array.isArray(tables) &&
    tables.length === WordCounts.TABLES &&
    tables.every((length) => Number.isSafeInteger(length) && length >= 0) &&
    typeof sha256 === "string" &&
    typeof statistics === "object";
  if (!sound) {
    throw new FormatError(`${path} does not hold word counts of this version. Delete it and count again.`, {
      path,
    });
  }
  return head as Head;
}

function checkRecord(found: CountsRecord, expected: Expected, path: string): void {
  const differs = (["key", "kind", "parts", "pruneBelow"] as const).find(
    (name) => JSON.stringify(found[name]) !== JSON.stringify(expected[name]),
  );
  if (differs === undefined) return;
  const what = {
    key: "other texts",
    kind: "another kind of tokenizer",
    parts: "another way to cut texts",
    pruneBelow: "another pruneBelow",
  }[differs];
  throw new CheckpointError(
    `The word counts ${path} are of ${what}: expected ${JSON.stringify(expected[differs])}, got ` +
      `${JSON.stringify(found[differs])}. Name another countsFile, or delete this one.`,
    { path, expected: expected[differs], found: found[differs] },
  );
}
