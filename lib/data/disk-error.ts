/** Errors of the disk while data is written, as people need them. */
import { statfs } from "node:fs/promises";
import { AnnealError, DataError } from "../errors.js";
import { formatBytes } from "../io/filesystem.js";

const FIXES: Readonly<Record<string, string>> = {
  ENOSPC: "Free space on that disk, or choose a folder on another one.",
  EDQUOT: "The disk quota is used up: free space, or choose a folder on another disk.",
  EIO: "The disk reports a fault: check it, and choose a folder on another one.",
  EACCES: "Give this user write permission on the folder, or choose another one.",
  EPERM: "Give this user write permission on the folder, or choose another one.",
  EROFS: "The file system is mounted read-only: remount it, or choose another folder.",
  ENOTDIR: "A part of the path is a file: choose another folder.",
  EMFILE: "Too many files are open: raise the limit (ulimit -n) or close some.",
};

/**
 * A DataError for a system error met while writing; errors of other kinds come back unchanged.
 * @param what what was being written
 * @param dir a folder on the disk in question
 */
export async function diskError(error: unknown, what: string, dir: string): Promise<unknown> {
  if (error instanceof AnnealError || !(error instanceof Error)) return error;
  const { code, syscall } = error as NodeJS.ErrnoException;
  if (code === undefined || syscall === undefined) return error;
  const bytesFree = await statfs(dir).then(
    (info) => info.bavail * info.bsize,
    () => undefined,
  );
  const free =
    (code === "ENOSPC" || code === "EDQUOT") && bytesFree !== undefined
      ? ` ${formatBytes(bytesFree)} are free.`
      : "";
  return new DataError(
    `Could not write the ${what} in ${dir}: ${error.message}.${free} ${FIXES[code] ?? "Check the path and the disk."} ` +
      "What was finished before is kept: run the same command again to go on.",
    { errno: code, dir, bytesFree },
    { cause: error },
  );
}
