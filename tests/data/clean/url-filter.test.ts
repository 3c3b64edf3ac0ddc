/** URL lists: hosts and what is below them, addresses, words, substrings, files. */
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { UrlFilter } from "../../../lib/data/clean/index.js";
import { ConfigError, DataError } from "../../../lib/errors.js";

describe("domains", () => {
  const filter = new UrlFilter({
    domains: ["bad.example", "b.c.example", "Bücher.example", "192.0.2.7", "com"],
  });

  it.each([
    ["http://bad.example", "bad.example"],
    ["https://WWW.Bad.Example:8443/x?y#z", "bad.example"],
    ["https://user:bad@bad.example./", "bad.example"],
    ["bad.example/page", "bad.example"],
    ["//deep.a.b.c.example/", "b.c.example"],
    ["http://xn--bcher-kva.example/", "xn--bcher-kva.example"],
    ["http://bücher.example/", "xn--bcher-kva.example"],
    ["http://192.0.2.7:80/", "192.0.2.7"],
    ["http://anything.com/", "com"],
    ["http://bad%zz.bad.example/ä", "bad.example"],
  ])("hold %s", (url, domain) => {
    expect(filter.check(url)).toMatchObject({ domain: 1, found: { domain } });
  });

  it.each([
    "http://notbad.example/",
    "http://bad.example.org/",
    "http://c.example/",
    "http://example/bad.example",
    "http://192.0.2.70/",
    "http://7/",
    "",
    "http://",
    "http://bad.example@good.example/",
  ])("do not hold %s", (url) => {
    expect(filter.check(url).domain).toBe(0);
  });
});

describe("addresses", () => {
  const filter = new UrlFilter({ addresses: ["site.example/bad/page", "http://www.other.example/?q=1"] });

  it("are compared without what does not matter", () => {
    for (const url of [
      "http://site.example/bad/page",
      "https://www.SITE.example:443/bad/page/#top",
      "ftp://me@site.example/bad/page/",
      "other.example?q=1",
    ]) {
      expect(filter.check(url).address, url).toBe(1);
    }
    for (const url of [
      "http://site.example/bad/Page",
      "http://site.example/bad",
      "http://other.example/?q=2",
    ]) {
      expect(filter.check(url).address, url).toBe(0);
    }
  });
});

describe("words", () => {
  const filter = new UrlFilter({
    bannedWords: ["casino-", "Foo"],
    softBannedWords: ["win", "free", "bonus"],
    bannedSubstrings: ["xyzzy", "ab", "q"],
  });

  it("are whole words of the URL, whatever their case", () => {
    expect(filter.check("http://a.example/CASINO/x")).toMatchObject({
      bannedWords: 1,
      found: { bannedWords: "casino" },
    });
    expect(filter.check("http://casinos.example/").bannedWords).toBe(0);
    expect(filter.check("http://free.example/free/win")).toMatchObject({ softBannedWords: 2 });
    expect(filter.check("http://free.example/free").softBannedWords).toBe(1);
  });

  it("are found inside of words as substrings, over marks", () => {
    expect(filter.check("http://x-Y.z/z_y").found.bannedSubstrings).toBe("xyzzy");
    expect(filter.check("http://crab.example/").found.bannedSubstrings).toBe("ab");
    expect(filter.check("http://fine.example/").bannedSubstrings).toBe(0);
  });
});

describe("files", () => {
  let dir: string;
  beforeAll(async () => {
    dir = await mkdtemp(join(tmpdir(), "anneal-url-"));
    await writeFile(join(dir, "domains"), "# a list\n\nbad.example\r\n  worse.example  \n");
    await writeFile(join(dir, "words"), "casino\n");
  });
  afterAll(() => rm(dir, { recursive: true, force: true }));

  it("are read line by line", async () => {
    const filter = await UrlFilter.load({ domains: [join(dir, "domains")], bannedWords: join(dir, "words") });
    expect(filter.describe()).toEqual({
      domains: 2,
      addresses: 0,
      bannedWords: 1,
      softBannedWords: 0,
      bannedSubstrings: 0,
    });
    expect(filter.check("http://worse.example/").domain).toBe(1);
  });

  it("that are missing are named", async () => {
    await expect(UrlFilter.load({ domains: join(dir, "none") })).rejects.toThrow(DataError);
    await expect(UrlFilter.load({ domains: join(dir, "none") })).rejects.toThrow(
      /none \(domains\) cannot be read/,
    );
  });

  it("belong to lists that exist", () => {
    expect(() => new UrlFilter({ domain: ["x"] } as never)).toThrow(ConfigError);
  });
});
