/** Writes documents as parts of a document folder. A part appears under its name only when it is whole and on the disk. */
import { createHash, type Hash } from "node:crypto";
import { join } from "node:path";
import { temporaryName } from "../../io/atomic.js";
import {
  type FileSystem,
  type FileSystemHandle,
  nodeFileSystem,
  removeQuietly,
  syncDirectory,
  writeFully,
} from "../../io/filesystem.js";
import { diskError } from "../disk-error.js";
import type { TextDocument } from "../sources.js";
import type { DocumentPart } from "./folder.js";

/** Bytes that are collected before they are written. */
const WRITE_BYTES = 1 << 20;

/** One line of a part: the document with its fields in a fixed order. */
export function documentLine({ text, source, id, url, metadata }: TextDocument): string {
  // Where a document went through several stages, the first place it came from is the one that counts.
  const { source: first, ...rest } = metadata ?? {};
  return `${JSON.stringify({ ...(id !== undefined && { id }), ...(url !== undefined && { url }), text, source: first ?? source, ...rest })}\n`;
}

/** Collects documents into the part under way; `finishPart` completes it. */
export class DocumentWriter {
  private file?: FileSystemHandle;
  private temporary = "";
  private hash: Hash = createHash("sha256");
  private lines: string[] = [];
  private linesLength = 0;
  private documents = 0;
  private textBytes = 0;
  private fileBytes = 0;

  /**
   * @param index number of the first part that is written
   * @param fs another file system, for tests
   */
  constructor(
    private readonly dir: string,
    private index: number,
    private readonly fs: FileSystem = nodeFileSystem,
  ) {}

  /** Bytes of text in the part under way. */
  get partBytes(): number {
    return this.textBytes;
  }

  /** @throws DataError when the disk refuses; the part under way is then removed. */
  async write(document: TextDocument): Promise<void> {
    const line = documentLine(document);
    this.lines.push(line);
    this.linesLength += line.length;
    this.documents++;
    this.textBytes += Buffer.byteLength(document.text);
    if (this.linesLength >= WRITE_BYTES) await this.guarded(() => this.flush());
  }

  /** Completes the part under way; undefined when it has no document. */
  async finishPart(): Promise<DocumentPart | undefined> {
    if (this.documents === 0) return undefined;
    return this.guarded(async () => {
      await this.flush();
      const file = this.file as FileSystemHandle;
      await file.sync();
      await file.close();
      this.file = undefined;
      const name = `part-${String(this.index++).padStart(5, "0")}.jsonl`;
      await this.fs.rename(this.temporary, join(this.dir, name));
      await syncDirectory(this.fs, this.dir);
      const { documents, textBytes, fileBytes } = this;
      const part = { name, documents, textBytes, fileBytes, sha256: this.hash.digest("hex") };
      this.hash = createHash("sha256");
      this.documents = 0;
      this.textBytes = 0;
      this.fileBytes = 0;
      return part;
    });
  }

  /** Removes the part under way. */
  async abort(): Promise<void> {
    const { file } = this;
    this.file = undefined;
    await file?.close().catch(() => undefined);
    if (file !== undefined) await removeQuietly(this.fs, this.temporary);
  }

  private async flush(): Promise<void> {
    if (this.lines.length === 0) return;
    const bytes = Buffer.from(this.lines.join(""));
    this.lines = [];
    this.linesLength = 0;
    if (this.file === undefined) {
      await this.fs.mkdir(this.dir, { recursive: true });
      this.temporary = temporaryName(join(this.dir, `part-${String(this.index).padStart(5, "0")}.jsonl`));
      this.file = await this.fs.open(this.temporary, "wx");
    }
    await writeFully(this.file, bytes, this.fileBytes, this.hash);
    this.fileBytes += bytes.length;
  }

  private async guarded<T>(work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      // Asked before the part is removed: what is free then says nothing about what went wrong.
      const failure = await diskError(error, "documents", this.dir);
      await this.abort();
      throw failure;
    }
  }
}
