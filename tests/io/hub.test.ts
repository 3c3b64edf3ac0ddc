import { mkdir, readdir, readFile, readlink, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { type HubProgress, snapshotDataset, snapshotHubPath, snapshotModel } from "../../lib/io/hub.js";
import { hubCacheFolder, hubEndpoint, hubOffline, hubToken } from "../../lib/io/hub-cache.js";
import { nodeFileSystem } from "../../lib/io/index.js";
import { COMMIT, gitSha1, HubServer, sha256, someBytes } from "./hub-server.js";
import { rejection, temporaryFolder } from "./temporary.js";

const text = (value: string) => ({ contents: new TextEncoder().encode(value) });
const files = () => ({
  "README.md": text("# A dataset\n"),
  "empty.txt": text(""),
  "data/train-00000.parquet": { contents: someBytes(300_000), large: true },
  "data/train-00001.parquet": { contents: someBytes(200_000, 2), large: true },
  "data/größe & more #1.txt": text("odd names work"),
  "copy/README.md": text("# A dataset\n"),
});
const quick = { token: false as const, retryDelay: 1, timeout: 2000 };

describe("snapshots", () => {
  it("fetches a whole dataset, in huggingface_hub's layout", async () => {
    const server = await HubServer.start(files());
    const cacheDir = await temporaryFolder();
    const progress: HubProgress[] = [];
    const snapshot = await snapshotDataset("owner/name", {
      ...quick,
      endpoint: server.endpoint,
      cacheDir,
      onProgress: (p) => progress.push(p),
    });
    expect(snapshot.revision).toBe(COMMIT);
    expect(snapshot.files).toEqual([...server.files.keys()].sort());
    for (const [path, { contents }] of server.files) {
      expect(new Uint8Array(await readFile(join(snapshot.folder, path)))).toEqual(contents);
    }
    const root = join(cacheDir, "datasets--owner--name");
    expect(snapshot.folder).toBe(join(root, "snapshots", COMMIT));
    expect(await readFile(join(root, "refs", "main"), "utf8")).toBe(COMMIT);
    expect(await readlink(join(snapshot.folder, "README.md"))).toBe(
      `../../blobs/${gitSha1(server.files.get("README.md")!.contents)}`,
    );
    const parquet = server.files.get("data/train-00000.parquet")!.contents;
    expect(await readlink(join(snapshot.folder, "data/train-00000.parquet"))).toBe(
      `../../../blobs/${sha256(parquet)}`,
    );
    const tree = JSON.parse(await readFile(join(root, "trees", `${COMMIT}.json`), "utf8"));
    expect(tree.format_version).toBe(1);
    expect(tree.files["data/train-00000.parquet"]).toEqual({
      size: 300_000,
      blob_id: gitSha1(parquet),
      lfs_sha256: sha256(parquet),
      lfs_size: 300_000,
      xet_hash: "ab".repeat(32),
    });
    // Equal contents are kept once, and nothing else is left.
    expect((await readdir(join(root, "blobs"))).length).toBe(5);
    expect(await readdir(join(cacheDir, ".locks", "datasets--owner--name"))).toEqual([]);
    const total = [...server.files.values()].reduce((sum, { contents }) => sum + contents.length, 0);
    expect(progress.at(-1)).toEqual({ bytesDone: total, bytes: total, filesDone: 6, files: 6 });
  });

  it("asks for nothing that it has", async () => {
    const server = await HubServer.start(files());
    const options = { ...quick, endpoint: server.endpoint, cacheDir: await temporaryFolder() };
    await snapshotDataset("owner/name", options);
    server.seen.length = 0;
    await snapshotDataset("owner/name", options);
    expect(server.seen.map(({ path }) => path)).toEqual(["/api/datasets/owner/name/revision/main"]);
    server.seen.length = 0;
    await snapshotDataset("owner/name", { ...options, revision: COMMIT });
    expect(server.seen).toEqual([]);
  });

  it("fetches models, old names, revisions and chosen files", async () => {
    const server = await HubServer.start(files(), { type: "models", name: "gpt" });
    server.revisions.add("refs/pr/3");
    const cacheDir = await temporaryFolder();
    const options = { ...quick, endpoint: server.endpoint, cacheDir };
    const snapshot = await snapshotModel("gpt", {
      ...options,
      revision: "refs/pr/3",
      include: ["*.md", "data/**"],
      exclude: "*.parquet",
    });
    expect(snapshot.files).toEqual(["README.md", "copy/README.md", "data/größe & more #1.txt"]);
    expect(await readFile(join(cacheDir, "models--gpt/refs/refs/pr/3"), "utf8")).toBe(COMMIT);
    expect(server.requests("data/train-00000.parquet")).toEqual([]);

    const byPath = await snapshotHubPath("hf://gpt@refs/pr/3/data/train-*.parquet", options);
    expect(byPath.files).toEqual(["data/train-00000.parquet", "data/train-00001.parquet"]);
    expect((await snapshotHubPath("hf://gpt@main/README.md", options)).files).toEqual(["README.md"]);
  });

  it("reads listings of many pages", async () => {
    const many = Object.fromEntries(
      Array.from({ length: 25 }, (_, i) => [`part-${String(i).padStart(2, "0")}.txt`, text(`part ${i}`)]),
    );
    const server = await HubServer.start(many);
    server.pageSize = 4;
    const cacheDir = await temporaryFolder();
    const snapshot = await snapshotDataset("owner/name", { ...quick, endpoint: server.endpoint, cacheDir });
    expect(snapshot.files.length).toBe(25);
    expect(server.seen.filter(({ path }) => path.includes("/tree/")).length).toBe(7);
  });

  it("sends the token to the Hub and to nobody else", async () => {
    const server = await HubServer.start(files());
    server.token = "hf_secret";
    const cacheDir = await temporaryFolder();
    await snapshotDataset("owner/name", {
      ...quick,
      token: "hf_secret",
      endpoint: server.endpoint,
      cacheDir,
    });
    for (const seen of server.seen) {
      expect(seen.authorization).toBe(seen.host === "hub" ? "Bearer hf_secret" : undefined);
    }
    expect(server.seen.some(({ host }) => host === "storage")).toBe(true);
  });
});

describe("refusals", () => {
  const refused = async (server: HubServer, options = {}) =>
    rejection(
      snapshotDataset("owner/name", {
        ...quick,
        endpoint: server.endpoint,
        cacheDir: await temporaryFolder(),
        ...options,
      }),
    );

  it("says what to do about gated, private and missing repositories", async () => {
    const server = await HubServer.start(files());
    server.token = "hf_right";
    const gated = await refused(server);
    expect(gated.code).toBe("ERR_HUB");
    expect(gated.message).toContain("dataset owner/name is gated: accept its terms at");
    expect(gated.message).toContain(`${server.endpoint}/datasets/owner/name`);
    expect(gated.message).toContain("set HF_TOKEN");
    expect((await refused(server, { token: "hf_other" })).message).toContain(
      "token of the account that accepted",
    );

    server.refusal = { status: 401, headers: { "x-error-code": "RepoNotFound" } };
    expect((await refused(server)).message).toMatch(
      /owner\/name does not exist at .* or is private.*HF_TOKEN/,
    );
    server.refusal = { status: 404, headers: { "x-error-code": "RepoNotFound" } };
    expect((await refused(server, { token: "hf_other" })).message).toMatch(/does not exist .*token in use/);
    server.refusal = { status: 403 };
    const forbidden = await refused(server, { token: "hf_other" });
    expect(forbidden.message).toContain("give it read access");
    expect(forbidden.details).toMatchObject({ status: 403, repository: "owner/name" });
    // None of these is tried again.
    expect(server.seen.length).toBe(5);
  });

  it("names an unknown revision", async () => {
    const server = await HubServer.start(files());
    const error = await refused(server, { revision: "v2" });
    expect(error.message).toContain('dataset owner/name has no revision "v2"');
  });

  it("refuses names, revisions and patterns that cannot be", async () => {
    const server = await HubServer.start(files());
    const options = { ...quick, endpoint: server.endpoint, cacheDir: await temporaryFolder() };
    for (const name of ["", "a/b/c", "../x", "a--b", "-a/b", "a/b.git", "a b/c", `a/${"x".repeat(96)}`]) {
      expect((await rejection(snapshotDataset(name, options))).code).toBe("ERR_CONFIG");
    }
    for (const revision of ["", "../../x", "/main", "a..b", ".hidden", "a b", "a\nb", "a//b"]) {
      expect((await rejection(snapshotDataset("owner/name", { ...options, revision }))).code).toBe(
        "ERR_CONFIG",
      );
    }
    expect(
      (await rejection(snapshotDataset("owner/name", { ...options, include: "a{b" }))).message,
    ).toContain("opens { without }");
    expect((await rejection(snapshotDataset("owner/name", { ...options, concurrency: 0 }))).code).toBe(
      "ERR_CONFIG",
    );
    expect(server.seen).toEqual([]);
    const none = await rejection(snapshotDataset("owner/name", { ...options, include: "*.zip" }));
    expect(none.message).toMatch(/No file of the dataset owner\/name fits include "\*\.zip".*README\.md/);
  });

  it("does not write outside its folder, whatever the listing says", async () => {
    const bad: [Record<string, unknown>, RegExp][] = [
      [{ path: "../evil" }, /leaves the folder/],
      [{ path: "/etc/evil" }, /leaves the folder/],
      [{ path: "a//b" }, /leaves the folder/],
      [{ path: "a\0b" }, /not a name/],
      [{ size: -1 }, /with the length -1/],
      [{ size: 1.5 }, /with the length 1.5/],
      [{ oid: "../../x" }, /without a git checksum/],
      [{ lfs: { oid: "../x", size: 3, pointerSize: 1 } }, /broken SHA-256/],
    ];
    for (const [change, message] of bad) {
      const server = await HubServer.start({ "a.txt": text("abc") });
      server.edit = (entries) => entries.map((entry) => ({ ...entry, ...change }));
      const error = await refused(server);
      expect(error.message).toMatch(message);
      expect(error.code).toBe("ERR_FORMAT");
    }
    const server = await HubServer.start({ "a.txt": text("abc") });
    server.edit = (entries) => [...entries, ...entries];
    expect((await refused(server)).message).toContain("names a.txt twice");
  });

  it("recognises a server that is no Hub", async () => {
    const server = await HubServer.start(files());
    server.apiFaults.push({ status: 200, body: "<html>Please log in</html>" });
    const page = await refused(server);
    expect(page.message).toContain("is not JSON");
    expect(page.message).toContain("<html>Please log in");
    server.apiFaults.push({ status: 200, body: '{"id":"owner/name"}' });
    expect((await refused(server)).message).toContain("does not say which commit");
    server.apiFaults.push({ status: 302, headers: { location: `${server.endpoint}/api/x` } });
    for (let i = 0; i < 20; i++) {
      server.apiFaults.push({ status: 302, headers: { location: "/api/again" } });
    }
    expect((await refused(server)).message).toContain("redirects");
  });
});

describe("without a network", () => {
  it("serves what is in the cache, and says what is missing", async () => {
    const server = await HubServer.start(files());
    const cacheDir = await temporaryFolder();
    const online = { ...quick, endpoint: server.endpoint, cacheDir };
    const offline = { ...online, offline: true, endpoint: "http://127.0.0.1:9" };
    expect((await rejection(snapshotDataset("owner/name", offline))).message).toContain(
      "Run once without HF_HUB_OFFLINE",
    );
    const first = await snapshotDataset("owner/name", { ...online, include: "*.md" });
    expect(await snapshotDataset("owner/name", { ...offline, include: "*.md" })).toEqual(first);
    const partial = await rejection(snapshotDataset("owner/name", offline));
    expect(partial.message).toMatch(/4 of 6 files of the dataset owner\/name are not in/);
    expect(partial.details.missing).toContain("data/train-00000.parquet");
    await snapshotDataset("owner/name", online);
    expect((await snapshotDataset("owner/name", { ...offline, revision: COMMIT })).files.length).toBe(6);
  });

  it("serves a cache that another program wrote without a listing", async () => {
    const cacheDir = await temporaryFolder();
    const root = join(cacheDir, "datasets--owner--name");
    const snapshot = join(root, "snapshots", COMMIT, "data");
    await mkdir(snapshot, { recursive: true });
    await mkdir(join(root, "refs"));
    await mkdir(join(root, "blobs"));
    await writeFile(join(root, "refs", "main"), COMMIT);
    await writeFile(join(root, "blobs", "abc"), "hello");
    await symlink("../../../blobs/abc", join(snapshot, "a.txt"));
    await symlink("../../../blobs/gone", join(snapshot, "b.txt"));
    const found = await snapshotDataset("owner/name", { cacheDir, offline: true });
    expect(found.files).toEqual(["data/a.txt"]);
    const none = await rejection(snapshotDataset("owner/name", { cacheDir, offline: true, include: "*.md" }));
    expect(none.message).toContain("No file of the dataset owner/name fits");
  });

  it("fetches a listing again when the kept one is damaged", async () => {
    const server = await HubServer.start(files());
    const cacheDir = await temporaryFolder();
    const options = { ...quick, endpoint: server.endpoint, cacheDir };
    await snapshotDataset("owner/name", options);
    const path = join(cacheDir, "datasets--owner--name", "trees", `${COMMIT}.json`);
    const whole = await readFile(path, "utf8");
    for (const damaged of ["", whole.slice(0, 100), "[]", '{"format_version":2,"files":{}}']) {
      await writeFile(path, damaged);
      expect((await snapshotDataset("owner/name", options)).files.length).toBe(6);
      expect(await readFile(path, "utf8")).toBe(whole);
    }
  });
});

describe("environment", () => {
  it("finds cache, endpoint and offline mode as huggingface_hub does", async () => {
    expect(hubCacheFolder({ HF_HUB_CACHE: "/a/b" })).toBe("/a/b");
    expect(hubCacheFolder({ HF_HOME: "/h", HF_HUB_CACHE: "" })).toBe("/h/hub");
    expect(hubCacheFolder({ XDG_CACHE_HOME: "/x" })).toBe("/x/huggingface/hub");
    expect(hubCacheFolder({ HF_HOME: "$BASE/h", BASE: "/b" })).toBe("/b/h/hub");
    expect(hubCacheFolder({ HUGGINGFACE_HUB_CACHE: "/old" })).toBe("/old");
    expect(hubCacheFolder({ HF_HOME: "~/h" })).toMatch(/^\/.*[^~]\/h\/hub$/);
    expect(hubEndpoint({})).toBe("https://huggingface.co");
    expect(hubEndpoint({ HF_ENDPOINT: "https://mirror.example/" })).toBe("https://mirror.example");
    expect(hubOffline({})).toBe(false);
    for (const value of ["1", "true", "YES", "On"]) expect(hubOffline({ HF_HUB_OFFLINE: value })).toBe(true);
    expect(hubOffline({ HF_HUB_OFFLINE: "0" })).toBe(false);
  });

  it("finds the token", async () => {
    const folder = await temporaryFolder();
    const token = (env: Record<string, string>) => hubToken(nodeFileSystem, { HF_HOME: folder, ...env });
    expect(await token({})).toBe(undefined);
    await writeFile(join(folder, "token"), "hf_file\n");
    expect(await token({})).toBe("hf_file");
    expect(await token({ HF_TOKEN: " hf_env " })).toBe("hf_env");
    expect(await token({ HF_HUB_DISABLE_IMPLICIT_TOKEN: "1" })).toBe(undefined);
  });
});
