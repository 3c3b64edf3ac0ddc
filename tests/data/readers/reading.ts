/** What the readers' tests share: files in a temporary folder, all documents of a file, and the error that reading ends in. */
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterAll, beforeAll, expect } from "vitest";
import { documents, type SourceOptions, type TextDocument } from "../../../lib/data/index.js";
import { DataError } from "../../../lib/errors.js";

/** Folder with the golden files. */
export const GOLDEN = join(import.meta.dirname, "../../golden/readers");

let dir = "";

/** Makes a temporary folder for a test file; call at its top. */
export function temporaryFiles(): void {
  beforeAll(async () => {
    dir = await mkdtemp(join(tmpdir(), "anneal-readers-"));
  });
  afterAll(() => rm(dir, { recursive: true, force: true }));
}

/** A path in the temporary folder. */
export const inFolder = (...names: string[]) => join(dir, ...names);

/** Writes a file into the temporary folder and gives its path. */
export async function put(name: string, content: string | Uint8Array): Promise<string> {
  const path = inFolder(name);
  await mkdir(dirname(path), { recursive: true });
  await writeFile(path, content);
  return path;
}

/** All documents of some paths. */
export async function read(
  paths: string | readonly string[],
  options?: SourceOptions,
): Promise<TextDocument[]> {
  const found: TextDocument[] = [];
  for await (const document of documents(paths, options)) found.push(document);
  return found;
}

/** The texts alone. */
export const texts = async (paths: string | readonly string[], options?: SourceOptions) =>
  (await read(paths, options)).map((document) => document.text);

/** The typed error in which reading ends; the test fails when it does not. */
export async function failure(
  paths: string | readonly string[],
  options?: SourceOptions,
): Promise<DataError & { details: Record<string, unknown> }> {
  try {
    await read(paths, options);
  } catch (error) {
    expect(error, String(error)).toBeInstanceOf(DataError);
    return error as DataError;
  }
  throw new Error("expected a failure");
}

/** Bytes with some of them changed. */
export function changed(bytes: Uint8Array, changes: Readonly<Record<number, number>>): Buffer {
  const copy = Buffer.from(bytes);
  for (const [at, value] of Object.entries(changes)) copy[Number(at)] = value;
  return copy;
}
