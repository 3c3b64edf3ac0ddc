/** WARC and WET files, written here: records of every kind, encodings of pages, and files that are damaged. */
import { brotliCompressSync, deflateRawSync, deflateSync, gzipSync } from "node:zlib";
import { describe, expect, it } from "vitest";
import type { SkippedRecord } from "../../../lib/data/index.js";
import { prose } from "./pages.js";
import { changed, failure, put, read, temporaryFiles, texts } from "./reading.js";

temporaryFiles();

/** One record. */
function record(
  type: string,
  fields: Record<string, string>,
  block: string | Uint8Array,
  version = "1.0",
): Buffer {
  const body = Buffer.from(block);
  const head = [
    `WARC/${version}`,
    `WARC-Type: ${type}`,
    ...Object.entries(fields).map(([name, value]) => `${name}: ${value}`),
    `Content-Length: ${body.length}`,
  ].join("\r\n");
  return Buffer.concat([Buffer.from(`${head}\r\n\r\n`), body, Buffer.from("\r\n\r\n")]);
}

/** A stored response. */
function response(
  body: string | Uint8Array,
  headers: Record<string, string> = {},
  status = "200 OK",
): Buffer {
  const fields = { "Content-Type": "text/html; charset=utf-8", ...headers };
  const head = Object.entries(fields)
    .map(([name, value]) => `${name}: ${value}\r\n`)
    .join("");
  return Buffer.concat([Buffer.from(`HTTP/1.1 ${status}\r\n${head}\r\n`), Buffer.from(body)]);
}

const ids = (n: number) => `<urn:uuid:00000000-0000-4000-8000-${String(n).padStart(12, "0")}>`;
const about = (n: number, more: Record<string, string> = {}) => ({
  "WARC-Record-ID": ids(n),
  "WARC-Target-URI": `https://example.org/${n}`,
  "WARC-Date": "2024-05-01T12:00:00Z",
  ...more,
});
const http = { "Content-Type": "application/http; msgtype=response" };
const page = (text: string) =>
  `<html lang="en"><head><title>Page</title></head><body><nav><a href="/">Home</a></nav><p>${text}</p></body></html>`;
const info = record(
  "warcinfo",
  { "WARC-Record-ID": ids(0), "Content-Type": "application/warc-fields" },
  "software: test\r\n",
);

/** A crawl with a record of every kind. */
const crawl = [
  info,
  record(
    "request",
    { ...about(1), "Content-Type": "application/http; msgtype=request" },
    "GET / HTTP/1.1\r\n\r\n",
  ),
  record("response", about(2, http), response(page(prose(1)))),
  record("metadata", about(3), "fetchTimeMs: 12\r\n"),
  record("response", about(4, http), response("not found", {}, "404 Not Found")),
  record(
    "response",
    about(5, http),
    response(Buffer.from([0xff, 0xd8, 0xff]), { "Content-Type": "image/jpeg" }),
  ),
  record("response", about(6, http), response("plain text\n", { "Content-Type": "text/plain" })),
  record("revisit", about(7), "HTTP/1.1 200 OK\r\n\r\n"),
  record("resource", { ...about(8), "Content-Type": "text/html" }, page(prose(2)), "1.1"),
  record("response", { ...about(9), "Content-Type": "text/dns" }, "example.org. 300 IN A 1.2.3.4"),
];

describe("WARC", () => {
  it("takes the text of pages with id, address and date", async () => {
    const path = await put("crawl.warc", Buffer.concat(crawl));
    const metadata = { title: "Page", language: "en", date: "2024-05-01T12:00:00Z" };
    const id = (n: number) => ids(n).slice(1, -1);
    expect(await read(path)).toEqual([
      { text: prose(1), source: `${path}:3`, id: id(2), url: "https://example.org/2", metadata },
      {
        text: "plain text\n",
        source: `${path}:7`,
        id: id(6),
        url: "https://example.org/6",
        metadata: { date: metadata.date },
      },
      { text: prose(2), source: `${path}:9`, id: id(8), url: "https://example.org/8", metadata },
    ]);
    expect((await read(path, { metadata: false }))[0].metadata).toBeUndefined();
  });

  it("reads one gzip member a record, as Common Crawl writes it", async () => {
    const path = await put("crawl.warc.gz", Buffer.concat(crawl.map((bytes) => gzipSync(bytes))));
    expect(await texts(path)).toEqual([prose(1), "plain text\n", prose(2)]);
  });

  it("reads WET files", async () => {
    const fields = (n: number) =>
      about(n, { "Content-Type": "text/plain", "WARC-Identified-Content-Language": "eng,deu" });
    const path = await put(
      "CC-MAIN-00000.warc.wet.gz",
      Buffer.concat(
        [info, record("conversion", fields(1), "Füße\nand more"), record("conversion", fields(2), "two")].map(
          (r) => gzipSync(r),
        ),
      ),
    );
    expect(await read(path)).toMatchObject([
      { text: "Füße\nand more", url: "https://example.org/1", metadata: { languages: "eng,deu" } },
      { text: "two", source: `${path}:3` },
    ]);
  });

  it.each([
    ["gzip", response(gzipSync(page(prose(3))), { "Content-Encoding": "gzip" })],
    ["deflate with a head", response(deflateSync(page(prose(3))), { "content-encoding": "deflate" })],
    ["deflate without", response(deflateRawSync(page(prose(3))), { "Content-Encoding": "deflate" })],
    ["brotli", response(brotliCompressSync(page(prose(3))), { "Content-Encoding": "br" })],
    [
      "encodings that were undone already",
      response(page(prose(3)), { "Content-Encoding": "gzip", "Transfer-Encoding": "chunked" }),
    ],
    ["brotli that was undone already", response(page(prose(3)), { "Content-Encoding": "br" })],
    ["a content type in another case", response(page(prose(3)), { "Content-Type": "TEXT/HTML" })],
    ["chunks", response(chunked(Buffer.from(page(prose(3)))), { "Transfer-Encoding": "chunked" })],
    [
      "gzip in chunks",
      response(chunked(gzipSync(page(prose(3)))), {
        "Transfer-Encoding": "Chunked",
        "Content-Encoding": "x-gzip",
      }),
    ],
    ["bare line ends", Buffer.from(`HTTP/1.0 200\nContent-Type: text/html\n\n${page(prose(3))}`)],
    [
      "no content type",
      Buffer.from(`HTTP/1.1 200 OK\r\nServer: x\r\n\r\n<!-- x -->\n<!DOCTYPE html>${page(prose(3))}`),
    ],
    [
      "a folded header",
      Buffer.from(`HTTP/1.1 200 OK\r\nContent-Type: text/html;\r\n  charset=utf-8\r\n\r\n${page(prose(3))}`),
    ],
  ])("undoes %s", async (_, block) => {
    expect(await texts(await put("coded.warc", record("response", about(1, http), block)))).toEqual([
      prose(3),
    ]);
  });

  it("decodes by the header's charset", async () => {
    const block = response(Buffer.from(page(`${prose(3)} Füße.`), "latin1"), {
      "Content-Type": "text/html; charset=latin1",
    });
    expect(await texts(await put("latin.warc", record("response", about(1, http), block)))).toEqual([
      `${prose(3)} Füße.`,
    ]);
  });

  it("notes that a page was cut off by the crawler", async () => {
    const path = await put(
      "cut.warc",
      record("response", about(1, { ...http, "WARC-Truncated": "length" }), response(page(prose(1)))),
    );
    expect(await read(path)).toMatchObject([{ metadata: { truncated: "length" } }]);
  });

  it("reads records across the borders of its buffer", async () => {
    const long = `${prose(1)}\n`.repeat(8000);
    const records = Array.from({ length: 5 }, (_, n) => record("conversion", about(n), `${n} ${long}`));
    const found = await texts(await put("long.wet", Buffer.concat(records)));
    expect(found.map((text) => text.length)).toEqual(Array(5).fill(long.length + 2));
    expect(found.every((text, n) => text === `${n} ${long}`)).toBe(true);
  });
});

function chunked(body: Buffer): Buffer {
  const parts: Buffer[] = [];
  for (let at = 0; at < body.length; at += 100) {
    const piece = body.subarray(at, at + 100);
    parts.push(Buffer.from(`${piece.length.toString(16)};note=1\r\n`), piece, Buffer.from("\r\n"));
  }
  return Buffer.concat([...parts, Buffer.from("0\r\n\r\n")]);
}

describe("WARC that cannot be read", () => {
  it("names what the file is not", async () => {
    const error = await failure(await put("no.warc", "<html>no</html>"));
    expect(error.message).toMatch(
      /no\.warc, record 1: the file is not WARC: it begins with "<html>no<\/html>", at byte 0/,
    );
    expect((await failure(await put("empty.warc", ""))).message).toMatch(/The data is empty/);
    expect((await failure(await put("nul.warc", Buffer.alloc(300_000)))).message).toMatch(
      /more than 65536 bytes/,
    );
  });

  it("names record and byte where a file ends", async () => {
    const bytes = Buffer.concat(crawl.slice(0, 3));
    const first = info.length;
    for (let length = 1; length < bytes.length - 4; length += 13) {
      const path = await put("short.warc", bytes.subarray(0, length));
      const error = await failure(path);
      if (/The data is empty/.test(error.message)) continue;
      expect(error.message).toMatch(
        /short\.warc, record [123]: .*at byte \d+|short\.warc, record [123]: the file ends at byte/,
      );
      if (length > first + 40) expect(error.message).toMatch(/record [23]/);
    }
  });

  it("names records whose heads are wrong", async () => {
    const broken = (head: string) => put("head.warc", Buffer.concat([info, Buffer.from(head)]));
    expect((await failure(await broken("WARC/1.0\r\nWARC-Type: response\r\n\r\n"))).message).toMatch(
      /record 2: its Content-Length is missing, at byte \d+/,
    );
    expect((await failure(await broken("WARC/1.0\r\nContent-Length: -5\r\n\r\n"))).message).toMatch(
      /is "-5"/,
    );
    expect((await failure(await broken("\r\n".repeat(30)))).message).toMatch(/only empty lines/);
    expect((await failure(await broken(`WARC/1.0\r\n${"a: b\r\n".repeat(200_000)}`))).message).toMatch(
      /head has more than/,
    );
    expect((await failure(await broken("garbage\r\n"))).message).toMatch(
      /expected "WARC\/1.0", got "garbage"/,
    );
  });

  it("passes over records that are damaged", async () => {
    const bad = gzipSync(page(prose(5)));
    const path = await put(
      "skip.warc",
      Buffer.concat([
        record("response", about(1, http), response(page(prose(1)))),
        record(
          "response",
          about(2, http),
          response(bad.subarray(0, bad.length - 20), { "Content-Encoding": "gzip" }),
        ),
        record("conversion", about(3), Buffer.from([0x41, 0xff])),
        record("conversion", about(4), "x".repeat(5000)),
        record("conversion", about(5), "the end"),
      ]),
    );
    expect((await failure(path)).message).toMatch(/skip\.warc, record 2: its page cannot be unpacked/);
    const skipped: SkippedRecord[] = [];
    const found = await texts(path, {
      onError: "skip",
      maxRecordBytes: 4000,
      onSkip: (r) => skipped.push(r),
    });
    expect(found).toEqual([prose(1), "the end"]);
    expect(skipped.map(({ source, skipped }) => [source, skipped])).toEqual([
      [`${path}:2`, 1],
      [`${path}:3`, 2],
      [`${path}:4`, 3],
    ]);
    expect(skipped[1].reason).toMatch(/not valid UTF-8: byte 0xFF/);
    expect(skipped[2].reason).toMatch(/record 4: its block has 5000 bytes, more than 4000/);
  });

  it("gives what was whole some way before a damaged member, the same each time", async () => {
    const noise = (n: number) =>
      Buffer.from(
        Uint8Array.from({ length: 3000 }, (_, i) => 97 + ((Math.imul(i + n, 2654435761) >>> 27) % 26)),
      );
    const members = Array.from({ length: 60 }, (_, n) =>
      gzipSync(record("conversion", about(n), noise(n)), { level: 0 }),
    );
    const whole = Buffer.concat(members);
    const place = members.slice(0, 50).reduce((sum, bytes) => sum + bytes.length, 0);
    const path = await put("member.warc.gz", changed(whole, { [place]: 0, [place + 1]: 1 }));
    expect((await failure(path)).message).toMatch(/gzip stream is damaged .*between bytes \d+ and \d+/);
    const counts = new Set<number>();
    for (let i = 0; i < 3; i++) {
      const skipped: SkippedRecord[] = [];
      const found = await texts(path, { onError: "skip", onSkip: (r) => skipped.push(r) });
      expect(found.every((text, n) => text === noise(n).toString())).toBe(true);
      expect(skipped).toMatchObject([
        { source: path, reason: expect.stringMatching(/gzip stream is damaged/) },
      ]);
      expect(skipped[0].offset).toBeLessThanOrEqual(place);
      expect(skipped[0].offset).toBeGreaterThan(place - 2 ** 15);
      counts.add(found.length);
    }
    expect([...counts]).toEqual([expect.any(Number)]);
    expect([...counts][0]).toBeGreaterThan(50 - 12);
  });

  it("refuses a page that unpacks to more than the limit", async () => {
    const bomb = gzipSync(Buffer.alloc(3_000_000, 32));
    const path = await put(
      "bomb.warc",
      record("response", about(1, http), response(bomb, { "Content-Encoding": "gzip" })),
    );
    expect((await failure(path, { maxRecordBytes: 2 ** 20 })).message).toMatch(
      /record 1: its page cannot be unpacked/,
    );
  });
});
