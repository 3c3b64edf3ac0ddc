import { mkdir, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { snapshotDataset } from "../../lib/io/hub.js";
import { HubCache } from "../../lib/io/hub-cache.js";
import { downloadBlob } from "../../lib/io/hub-download.js";
import { backoff, HubClient, retryAfter } from "../../lib/io/hub-http.js";
import { acquireLock, type FileSystem, nodeFileSystem } from "../../lib/io/index.js";
import { faultyFileSystem } from "./faults.js";
import { COMMIT, type Fault, gitSha1, HubServer, type ServedFile, sha256, someBytes } from "./hub-server.js";
import { rejection, temporaryFolder } from "./temporary.js";

const SIZE = 3_000_000;
const NAME = "data/big.bin";
const contents = someBytes(SIZE);

/** A server with one large file, and a download of it. */
async function scene(
  faults: Fault[] = [],
  files: Record<string, ServedFile> = { [NAME]: { contents, large: true } },
) {
  const server = await HubServer.start(files);
  server.faults.set(NAME, faults);
  const cacheDir = await temporaryFolder();
  const root = join(cacheDir, "datasets--owner--name");
  const partial = join(root, "blobs", `${sha256(contents)}.anneal.incomplete`);
  const fetchIt = (options: Parameters<typeof snapshotDataset>[1] = {}) =>
    snapshotDataset("owner/name", {
      token: false,
      retryDelay: 1,
      timeout: 2000,
      endpoint: server.endpoint,
      cacheDir,
      ...options,
    });
  const check = async () => {
    const snapshot = await fetchIt();
    expect(Buffer.compare(await readFile(join(snapshot.folder, NAME)), contents)).toBe(0);
    expect(await readdir(join(root, "blobs"))).toEqual([sha256(contents)]);
  };
  const asked = () => server.requests(NAME).filter(({ host }) => host === "storage");
  return { server, cacheDir, root, partial, fetchIt, check, asked };
}

describe("lost connections", () => {
  it("goes on at the byte where it ended, wherever that is", async () => {
    for (const endAfter of [0, 1, 65_536, 1_048_575, 1_048_576, 1_048_577, 2_999_999]) {
      const { check, asked } = await scene([{ endAfter }]);
      await check();
      const [first, second] = asked();
      expect(first.range).toBe(undefined);
      expect(second.range).toBe(endAfter === 0 ? undefined : `bytes=${endAfter}-`);
      if (endAfter > 0) expect(second.ifRange).toMatch(/^"s3-/);
      expect(asked().length).toBe(2);
    }
  });

  it("goes on after a reset, with all that arrived before it", async () => {
    for (const cutAfter of [0, 1, 65_536, 1_048_577, 2_999_999]) {
      const { check, asked } = await scene([{ cutAfter }]);
      await check();
      // A reset throws away what the system had not handed over yet.
      const from = Number(/\d+/.exec(asked()[1].range ?? "0"));
      expect(from).toBeLessThanOrEqual(cutAfter);
      expect(asked().length).toBe(2);
    }
  });

  it("survives many cuts in one download as long as each brings something", async () => {
    const { check, asked } = await scene(Array.from({ length: 12 }, () => ({ cutAfter: 200_000 })));
    await check();
    expect(asked().length).toBe(13);
  });

  it("notices a body that ends early although its length was said", async () => {
    const { check, asked } = await scene([{ endAfter: 1_500_000 }]);
    await check();
    expect(asked()[1].range).toBe("bytes=1500000-");
  });

  it("leaves a connection on which nothing comes", async () => {
    const { fetchIt, check, asked } = await scene([{ stallAfter: 700_000 }]);
    await fetchIt({ timeout: 200 });
    expect(asked()[1].range).toBe("bytes=700000-");
    await check();
  });

  it("gives up with a clear error, keeps what it has, and continues in the next run", async () => {
    const faults = [{ endAfter: 1_000_000 }, ...Array.from({ length: 3 }, () => ({ reset: true }))];
    const { fetchIt, check, asked, partial } = await scene(faults);
    const error = await rejection(fetchIt({ retries: 2 }));
    expect(error.code).toBe("ERR_HUB");
    expect(error.message).toMatch(
      /dataset owner\/name could not be fetched: the connection .* was lost: .*3 attempts in a row failed.*run the same command again/,
    );
    expect((await stat(partial)).size).toBe(1_000_000);
    await check();
    expect(asked().at(-1)?.range).toBe("bytes=1000000-");
  });

  it("says so when no server is there at all", async () => {
    const { fetchIt } = await scene();
    const error = await rejection(fetchIt({ endpoint: "http://127.0.0.1:9", retries: 1 }));
    expect(error.message).toMatch(/ECONNREFUSED|bad port/);
    expect(error.message).toContain("HF_HUB_OFFLINE=1");
  });

  it("retries lost metadata requests", async () => {
    const { server, check } = await scene();
    server.apiFaults.push({ reset: true }, { status: 503 }, { status: 500 });
    await check();
  });
});

describe("busy servers", () => {
  it("tries again after 429 and 5xx", async () => {
    for (const status of [408, 429, 500, 502, 503, 504]) {
      const { check, asked } = await scene([{ status }, { status }]);
      await check();
      expect(asked().length).toBe(3);
    }
  });

  it("waits as long as the server asks, and no longer than makes sense", async () => {
    const { fetchIt, server } = await scene([{ status: 429, headers: { "retry-after": "1" } }]);
    const start = Date.now();
    await fetchIt();
    expect(Date.now() - start).toBeGreaterThan(950);
    server.apiFaults.push({ status: 503, headers: { "retry-after": "86400" } });
    const error = await rejection(fetchIt());
    expect(error.message).toMatch(/answered 503.*asks to wait 1440 minutes/);
  });

  it("reads Retry-After and RateLimit headers", () => {
    const of = (headers: Record<string, string>) => retryAfter(new Headers(headers), 1_700_000_000_000);
    expect(of({ "retry-after": "7" })).toBe(7000);
    expect(of({ "retry-after": new Date(1_700_000_005_000).toUTCString() })).toBe(5000);
    expect(of({ "retry-after": new Date(1_600_000_000_000).toUTCString() })).toBe(0);
    expect(of({ "retry-after": "soon" })).toBe(undefined);
    expect(of({ ratelimit: '"api";r=0;t=55' })).toBe(55_000);
    expect(of({})).toBe(undefined);
  });

  it("pauses twice as long each time, up to a minute", () => {
    expect([1, 2, 3, 4].map((n) => backoff(n, 1000, 1))).toEqual([1000, 2000, 4000, 8000]);
    expect(backoff(30, 1000, 1)).toBe(60_000);
    expect(backoff(1, 1000, 0)).toBe(500);
  });
});

describe("wrong bytes", () => {
  it("fetches a file anew when its checksum is wrong, and gives up when it stays wrong", async () => {
    const { check, asked } = await scene([{ corrupt: true }]);
    await check();
    expect(asked().length).toBe(2);

    const bad = await scene(Array.from({ length: 9 }, () => ({ corrupt: true })));
    const error = await rejection(bad.fetchIt());
    expect(error.message).toContain(`expected SHA-256 ${sha256(contents)}, got`);
    expect(error.message).toContain("Nothing of it was kept");
    expect(bad.asked().length).toBe(2);
    expect(await readdir(join(bad.root, "snapshots")).catch(() => [])).toEqual([]);
    expect((await stat(bad.partial)).size).toBe(0);
  });

  it("checks small files by git's checksum", async () => {
    const small = new TextEncoder().encode("a,b\n1,2\n");
    const server = await HubServer.start({ "a.csv": { contents: small } });
    server.faults.set("a.csv", [{ corrupt: true }, { corrupt: true }]);
    const options = {
      token: false as const,
      retryDelay: 1,
      endpoint: server.endpoint,
      cacheDir: await temporaryFolder(),
    };
    expect((await rejection(snapshotDataset("owner/name", options))).message).toContain(
      `git SHA-1 ${gitSha1(small)}`,
    );
    expect((await snapshotDataset("owner/name", options)).files).toEqual(["a.csv"]);
  });

  it("starts over when a partial file of an earlier run turns out to be damaged", async () => {
    const { check, asked, partial, root } = await scene();
    await mkdir(join(root, "blobs"), { recursive: true });
    await writeFile(partial, someBytes(1_234_567, 99));
    await check();
    expect(asked().map(({ range }) => range)).toEqual(["bytes=1234567-", undefined]);
  });

  it("handles partial files that are whole, too long, or empty", async () => {
    for (const left of [
      contents,
      new Uint8Array(SIZE).fill(7),
      new Uint8Array(SIZE + 5),
      new Uint8Array(0),
    ]) {
      const { check, partial, root, asked } = await scene();
      await mkdir(join(root, "blobs"), { recursive: true });
      await writeFile(partial, left);
      await check();
      expect(asked().length).toBe(left === contents ? 0 : 1);
    }
  });

  it("replaces a blob of the wrong length", async () => {
    const { check, root } = await scene();
    await mkdir(join(root, "blobs"), { recursive: true });
    await writeFile(join(root, "blobs", sha256(contents)), contents.subarray(0, 1000));
    await check();
  });

  it("starts over when the ETag changes between resumes", async () => {
    // The server honours If-Range and sends the whole.
    const honest = await scene([{ endAfter: 1_000_000, etag: '"old"' }]);
    await honest.check();
    expect(honest.asked()[1]).toMatchObject({ range: "bytes=1000000-", ifRange: '"old"' });
    expect(honest.asked().length).toBe(2);
    // A weak ETag cannot guard a range, so the client itself compares.
    const weak = await scene([{ endAfter: 1_000_000, etag: 'W/"old"' }]);
    await weak.check();
    expect(weak.asked().map(({ range, ifRange }) => [range, ifRange])).toEqual([
      [undefined, undefined],
      ["bytes=1000000-", undefined],
      [undefined, undefined],
    ]);
  });

  it("copes with servers that do not serve ranges, or others than asked", async () => {
    const whole = await scene([{ endAfter: 1_000_000 }, { ignoreRange: true }]);
    await whole.check();
    expect(whole.asked().length).toBe(2);
    const shifted = await scene([{ endAfter: 1_000_000 }, { shiftRange: 100 }]);
    await shifted.check();
    expect(shifted.asked().length).toBe(3);
    const excess = await scene([{ excess: 10 }]);
    await excess.check();
  });

  it("restarts on 416", async () => {
    const { check, asked } = await scene([{ endAfter: 1_000_000 }, { status: 416 }]);
    await check();
    expect(asked().map(({ range }) => range)).toEqual([undefined, "bytes=1000000-", undefined]);
  });

  it("refuses a file whose length is not that of the listing", async () => {
    const { server, fetchIt } = await scene();
    server.edit = (entries) =>
      entries.map((entry) => ({ ...entry, lfs: { oid: sha256(contents), size: 17, pointerSize: 1 } }));
    const error = await rejection(fetchIt());
    expect(error.message).toContain(`has ${SIZE} bytes at ${server.endpoint}, but its listing says 17`);
  });

  it("reports a file that the listing names but the Hub does not have", async () => {
    const { server, fetchIt } = await scene();
    server.edit = (entries) => [
      ...entries,
      { type: "file", path: "gone.bin", size: 3, oid: "ab".repeat(20) },
    ];
    expect((await rejection(fetchIt())).message).toMatch(
      /dataset owner\/name has no file gone\.bin at revision main/,
    );
  });
});

describe("stopping", () => {
  it("ends at once on an abort, and continues later", async () => {
    const { fetchIt, check, asked, partial } = await scene([{ stallAfter: 1_200_000 }]);
    const controller = new AbortController();
    const reason = new Error("enough");
    const start = Date.now();
    const error = await rejection(
      fetchIt({
        timeout: 60_000,
        signal: controller.signal,
        onProgress: ({ bytesDone }) => {
          if (bytesDone > 1_000_000) controller.abort(reason);
        },
      }),
    );
    expect(error).toBe(reason);
    expect(Date.now() - start).toBeLessThan(20_000);
    const kept = (await stat(partial)).size;
    expect(kept).toBeGreaterThan(1_000_000);
    await check();
    expect(asked().at(-1)?.range).toBe(`bytes=${kept}-`);
  });

  it("does not begin with a signal that is aborted, and stops while it waits", async () => {
    const { fetchIt, server } = await scene([{ status: 503, headers: { "retry-after": "60" } }]);
    expect(await rejection(fetchIt({ signal: AbortSignal.abort(new Error("no")) }))).toMatchObject({
      message: "no",
    });
    expect(server.seen).toEqual([]);
    const start = Date.now();
    await rejection(fetchIt({ signal: AbortSignal.timeout(300) }));
    expect(Date.now() - start).toBeLessThan(20_000);
  });

  it("stops the other files when one fails for good", async () => {
    const other = someBytes(SIZE, 5);
    const { server, fetchIt, check } = await scene([{ status: 403 }], {
      [NAME]: { contents, large: true },
      "data/slow.bin": { contents: other, large: true },
    });
    server.faults.set("data/slow.bin", [{ stallAfter: 100 }]);
    const start = Date.now();
    const error = await rejection(fetchIt({ timeout: 60_000 }));
    expect(error.message).toContain("may not be read");
    expect(Date.now() - start).toBeLessThan(20_000);
    await fetchIt();
    await check().catch(() => undefined);
  });
});

describe("full and failing disks", () => {
  it("keeps what is there when any write fails, and ends well afterwards", async () => {
    const clean = await scene();
    const counted = faultyFileSystem();
    await clean.fetchIt({ fs: counted.fs });
    const operations = counted.trace.length;
    expect(operations).toBeGreaterThan(15);
    for (const mode of ["once", "crash"] as const) {
      for (let at = 0; at < operations; at++) {
        const { fetchIt, check, cacheDir } = await scene([{ endAfter: 1_100_000 }]);
        const faults = faultyFileSystem({ at, mode, errno: "ENOSPC" });
        const error = await fetchIt({ fs: faults.fs }).then(
          () => undefined,
          (thrown: unknown) => thrown as Error & { code: string },
        );
        if (error !== undefined) {
          expect(error.code, faults.trace[at]).toBe("ERR_HUB");
          expect(error.message).toMatch(/HF_HUB_CACHE/);
        }
        // A lock that could not be removed belongs to a living process here, to a dead one otherwise.
        await rm(join(cacheDir, ".locks"), { recursive: true, force: true });
        await check();
      }
    }
  });

  it("names space needed and free when the disk is full in the middle", async () => {
    const { cacheDir, fetchIt, partial, check, asked } = await scene();
    let written = 0;
    const fs: FileSystem = {
      ...nodeFileSystem,
      open: async (path, flags) => {
        const handle = await nodeFileSystem.open(path, flags);
        if (!path.includes("incomplete")) return handle;
        return {
          read: (...args) => handle.read(...args),
          truncate: (length) => handle.truncate(length),
          sync: () => handle.sync(),
          stat: () => handle.stat(),
          close: () => handle.close(),
          write: async (...args) => {
            if (written > 1_500_000) {
              throw Object.assign(new Error("ENOSPC: no space left on device, write"), {
                code: "ENOSPC",
                syscall: "write",
              });
            }
            const result = await handle.write(...args);
            written += result.bytesWritten;
            return result;
          },
        };
      },
    };
    const error = await rejection(fetchIt({ fs }));
    expect(error.message).toMatch(
      /Could not write data\/big\.bin of owner\/name to .*no space left.* The file has 3\.00 MB; .* are free\. Free space.*run the same command again/,
    );
    expect(error.message).toContain(cacheDir);
    expect(error.details).toMatchObject({ errno: "ENOSPC", bytes: SIZE });
    const kept = (await stat(partial)).size;
    expect(kept).toBeGreaterThan(1_500_000);
    await check();
    expect(asked().at(-1)?.range).toBe(`bytes=${kept}-`);
  });

  it("does not begin what cannot fit", async () => {
    const { fetchIt, asked } = await scene();
    const fs = { ...nodeFileSystem, statfs: async () => ({ bavail: 1, bsize: 1_000_000 }) };
    const error = await rejection(fetchIt({ fs }));
    expect(error.message).toMatch(/dataset owner\/name needs 3\.00 MB more in .*, where 1\.00 MB are free/);
    expect(asked()).toEqual([]);
  });
});

describe("several processes", () => {
  it("shares one download between two calls", async () => {
    const { fetchIt, check, asked } = await scene();
    await Promise.all([fetchIt(), fetchIt(), fetchIt()]);
    expect(asked().length).toBe(1);
    await check();
  });

  it("goes its own way when another download is stuck", async () => {
    const { server, cacheDir, root, partial, check } = await scene();
    const repository = { type: "dataset", name: "owner/name" } as const;
    const cache = new HubCache(nodeFileSystem, cacheDir, repository);
    await mkdir(join(root, "blobs"), { recursive: true });
    await mkdir(cache.locks, { recursive: true });
    await writeFile(partial, contents.subarray(0, 500));
    const lock = await acquireLock(join(cache.locks, `${sha256(contents)}.anneal.lock`));
    const client = new HubClient(repository, "main", {
      endpoint: server.endpoint,
      retries: 1,
      retryDelay: 1,
      timeout: 1000,
    });
    const file = { path: NAME, size: SIZE, blobId: "ab".repeat(20), sha256: sha256(contents) };
    let bytes = 0;
    const onBytes = (more: number) => {
      bytes += more;
    };
    await downloadBlob({ client, cache, commit: COMMIT, file, onBytes, stuckAfter: 300 });
    expect(bytes).toBe(SIZE);
    expect((await stat(cache.blob(file))).size).toBe(SIZE);
    // The other's partial file is left to the other.
    expect((await stat(partial)).size).toBe(500);
    expect((await readdir(join(root, "blobs"))).length).toBe(2);
    await lock.release();
    await rm(partial);
    await check();
  });
});
