/**
 * A file system that fails on purpose. Every operation, those on open files included, has an index; at one index it
 * fails (once, or for good as after a crash), with writes and recursive deletions done by half.
 */

import * as node from "node:fs/promises";
import { join } from "node:path";
import { type FileSystem, type FileSystemHandle, nodeFileSystem } from "../../lib/io/index.js";

export interface Faults {
  readonly fs: FileSystem;
  /** Operations so far, as "name path". */
  readonly trace: string[];
}

export interface FaultOptions {
  /** Index of the operation that fails; none by default. */
  at?: number;
  /** `once`: only that operation fails. `crash`: it and all after it fail, as for a process that is gone. */
  mode?: "once" | "crash";
  /** System error name. */
  errno?: string;
}

/** The system's error object for `errno`. */
export function systemError(errno: string, syscall: string, path: string): Error {
  return Object.assign(new Error(`${errno}: made to fail, ${syscall} '${path}'`), {
    code: errno,
    errno: -1,
    syscall,
    path,
  });
}

export function faultyFileSystem(options: FaultOptions = {}): Faults {
  const { at = -1, mode = "once", errno = "EIO" } = options;
  const trace: string[] = [];

  /** Whether this operation must fail. */
  const strikes = (name: string, path: string): boolean => {
    const index = trace.push(`${name} ${path}`) - 1;
    return index === at || (mode === "crash" && at >= 0 && index > at);
  };

  const wrapHandle = (handle: FileSystemHandle, path: string): FileSystemHandle => {
    const guard =
      <A extends unknown[], R>(name: string, run: (...args: A) => Promise<R>) =>
      async (...args: A): Promise<R> => {
        if (strikes(name, path)) throw systemError(errno, name, path);
        return run(...args);
      };
    return {
      read: guard("read", (...args) => handle.read(...args)),
      truncate: guard("truncate", (length) => handle.truncate(length)),
      sync: guard("sync", () => handle.sync()),
      stat: guard("fstat", () => handle.stat()),
      write: async (buffer, offset, length, position) => {
        if (strikes("write", path)) {
          await handle.write(buffer, offset, length >> 1, position);
          throw systemError(errno, "write", path);
        }
        return handle.write(buffer, offset, length, position);
      },
      close: async () => {
        const failing = strikes("close", path);
        await handle.close();
        if (failing) throw systemError(errno, "close", path);
      },
    };
  };

  const guard =
    <A extends unknown[], R>(name: string, run: (path: string, ...rest: A) => Promise<R>) =>
    async (path: string, ...rest: A): Promise<R> => {
      if (strikes(name, path)) throw systemError(errno, name, path);
      return run(path, ...rest);
    };

  const fs: FileSystem = {
    open: guard("open", async (path, flags) => wrapHandle(await nodeFileSystem.open(path, flags), path)),
    mkdir: guard("mkdir", nodeFileSystem.mkdir),
    rename: guard("rename", nodeFileSystem.rename),
    link: guard("link", nodeFileSystem.link),
    copyFile: guard("copyFile", nodeFileSystem.copyFile),
    rm: async (path, rmOptions) => {
      if (strikes("rm", path)) {
        const first = (await node.readdir(path).catch(() => []))[0];
        if (first !== undefined) await node.rm(join(path, first), rmOptions);
        throw systemError(errno, "rm", path);
      }
      return nodeFileSystem.rm(path, rmOptions);
    },
    readdir: guard("readdir", nodeFileSystem.readdir),
    stat: guard("stat", nodeFileSystem.stat),
    realpath: guard("realpath", nodeFileSystem.realpath),
    statfs: guard("statfs", nodeFileSystem.statfs),
  };
  return { fs, trace };
}
