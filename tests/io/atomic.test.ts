import { readdir, readFile, utimes, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { CheckpointError } from "../../lib/errors.js";
import { cleanTemporaryFiles, writeFileAtomic } from "../../lib/io/index.js";
import { faultyFileSystem } from "./faults.js";
import { rejection, temporaryFolder } from "./temporary.js";

describe("writeFileAtomic", () => {
  it("creates and replaces", async () => {
    const path = join(await temporaryFolder(), "a.json");
    await writeFileAtomic(path, "one");
    expect(await writeFileAtomic(path, "zwölf")).toMatchObject({ bytes: 6 });
    expect(await readFile(path, "utf8")).toBe("zwölf");
    expect(await readdir(join(path, ".."))).toEqual(["a.json"]);
  });

  it("keeps the old contents or has the new at every failing operation", async () => {
    const dir = await temporaryFolder();
    const path = join(dir, "a.json");
    for (const mode of ["once", "crash"] as const) {
      for (let at = 0, struck = true; struck; at++) {
        await writeFile(path, "old contents");
        const { fs, trace } = faultyFileSystem({ at, mode });
        const error = await writeFileAtomic(path, "new", { fs }).catch((e) => e);
        struck = trace.length > at;
        if (error instanceof Error) expect(error).toBeInstanceOf(CheckpointError);
        expect(["old contents", "new"]).toContain(await readFile(path, "utf8"));
      }
    }
  });

  it("reports a missing folder", async () => {
    const error = await rejection(writeFileAtomic(join(await temporaryFolder(), "no", "a"), "x"));
    expect(error.details).toMatchObject({ errno: "ENOENT" });
  });
});

describe("cleanTemporaryFiles", () => {
  it("removes what dead processes left and nothing else", async () => {
    const dir = await temporaryFolder();
    const dead = `.a.json.tmp-${2 ** 22 - 3}-0123abcd`;
    const alive = `.a.json.tmp-${process.ppid}-0123abcd`;
    const mine = `.b.json.tmp-${process.pid}-0123abcd`;
    const others = [".hidden", "a.json", ".a.json.tmp-x-0123abcd", "a.tmp-1-0123abcd"];
    for (const name of [dead, alive, mine, ...others]) await writeFile(join(dir, name), "");
    expect(await cleanTemporaryFiles(dir, { name: "b.json" })).toEqual([]);
    expect(await cleanTemporaryFiles(dir)).toEqual([dead]);
    await utimes(join(dir, mine), 1, 1);
    expect(await cleanTemporaryFiles(dir, { exclusive: true })).toEqual([alive, mine].sort());
    expect((await readdir(dir)).sort()).toEqual([...others].sort());
    expect(await cleanTemporaryFiles(join(dir, "absent"))).toEqual([]);
  });
});
