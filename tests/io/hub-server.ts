/**
 * A server that speaks the Hugging Face Hub's protocol as far as downloads need it: revisions, listings in pages,
 * `resolve` with and without a redirect to a storage host, ranges and ETags; and faults to order.
 */

import { createHash } from "node:crypto";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { afterAll } from "vitest";

/** A file of the served repository. */
export interface ServedFile {
  contents: Uint8Array;
  /** Large files have a SHA-256 and come from the storage host. */
  large?: boolean;
}

/** What goes wrong with one request for contents. */
export interface Fault {
  /** Answer with this status. */
  status?: number;
  headers?: Record<string, string>;
  body?: string;
  /** Cut the connection after this many bytes of the body. */
  cutAfter?: number;
  /** Say the full length, send this many bytes, and end properly. */
  endAfter?: number;
  /** Send other bytes of the same length. */
  corrupt?: boolean;
  /** Stop sending after this many bytes, and hold the connection. */
  stallAfter?: number;
  /** Give the contents this ETag. */
  etag?: string;
  /** Answer ranges with the whole. */
  ignoreRange?: boolean;
  /** Answer a range from this many bytes later than asked. */
  shiftRange?: number;
  /** Send this many further bytes, with their length unsaid. */
  excess?: number;
  /** Destroy the connection before any answer. */
  reset?: boolean;
}

/** One request as the server saw it. */
export interface SeenRequest {
  host: "hub" | "storage";
  path: string;
  range?: string;
  ifRange?: string;
  authorization?: string;
}

export const COMMIT = "0123456789abcdef0123456789abcdef01234567";

export const gitSha1 = (bytes: Uint8Array) =>
  createHash("sha1").update(`blob ${bytes.length}\0`).update(bytes).digest("hex");
export const sha256 = (bytes: Uint8Array) => createHash("sha256").update(bytes).digest("hex");

const servers: Server[] = [];
afterAll(() => {
  for (const server of servers) {
    server.closeAllConnections();
    server.close();
  }
});

async function listen(handle: (request: IncomingMessage, response: ServerResponse) => void): Promise<string> {
  const server = createServer(handle);
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

export class HubServer {
  endpoint = "";
  storage = "";
  commit = COMMIT;
  /** Revisions besides the commit itself. */
  revisions = new Set(["main"]);
  /** Bytes of contents sent every 5 ms; undefined: all at once. */
  pace: number | undefined;
  /** Entries per page of a listing. */
  pageSize = 1000;
  /** A token without which everything is refused with `refusal`. */
  token: string | undefined;
  refusal: Fault = { status: 401, headers: { "x-error-code": "GatedRepo" } };
  readonly seen: SeenRequest[] = [];
  /** Faults for requests of contents, by path, in order; a request that finds none is served well. */
  readonly faults = new Map<string, Fault[]>();
  /** Faults of the API (revisions and listings), in order. */
  readonly apiFaults: Fault[] = [];
  /** Changes the listing before it is sent. */
  edit: (entries: Record<string, unknown>[]) => Record<string, unknown>[] = (entries) => entries;

  private constructor(
    readonly type: "datasets" | "models",
    readonly name: string,
    readonly files: Map<string, ServedFile>,
  ) {}

  static async start(
    files: Record<string, ServedFile>,
    { type = "datasets", name = "owner/name" }: { type?: "datasets" | "models"; name?: string } = {},
  ): Promise<HubServer> {
    const server = new HubServer(type, name, new Map(Object.entries(files)));
    server.endpoint = await listen((request, response) => server.hub(request, response));
    server.storage = await listen((request, response) => server.serveStorage(request, response));
    return server;
  }

  /** Requests for contents of a file, on either host. */
  requests(path: string): SeenRequest[] {
    return this.seen.filter((seen) => seen.path === path);
  }

  private note(host: "hub" | "storage", path: string, request: IncomingMessage): void {
    const { range, authorization } = request.headers;
    this.seen.push({
      host,
      path,
      range,
      ifRange: request.headers["if-range"] as string | undefined,
      authorization,
    });
  }

  private hub(request: IncomingMessage, response: ServerResponse): void {
    const url = new URL(request.url ?? "/", this.endpoint);
    const path = decodeURIComponent(url.pathname);
    const api = `/api/${this.type}/${this.name}`;
    const files = `/${this.type === "datasets" ? "datasets/" : ""}${this.name}/resolve/`;
    const isApi = path.startsWith("/api/");
    this.note("hub", isApi ? path : path.slice(files.length + 41), request);
    if (this.token !== undefined && request.headers.authorization !== `Bearer ${this.token}`) {
      return void this.fail(response, this.refusal);
    }
    const fault = isApi ? this.apiFaults.shift() : undefined;
    if (fault !== undefined) return void this.fail(response, fault);
    const known = (revision: string) => revision === this.commit || this.revisions.has(revision);
    if (path.startsWith(`${api}/revision/`)) {
      if (!known(path.slice(`${api}/revision/`.length)))
        return void this.missing(response, "RevisionNotFound");
      const facts = { _id: "1", id: this.name, sha: this.commit, private: false, gated: false };
      return void this.json(response, facts);
    }
    if (path === `${api}/tree/${this.commit}`) return void this.tree(url, response);
    if (path.startsWith(files)) {
      const name = path.slice(files.length + 41);
      const file = this.files.get(name);
      if (file === undefined) return void this.missing(response, "EntryNotFound");
      response.setHeader("x-repo-commit", this.commit);
      if (!file.large) return void this.contents(name, file, gitSha1(file.contents), request, response);
      response.setHeader("x-linked-etag", `"${sha256(file.contents)}"`);
      response.setHeader("x-linked-size", String(file.contents.length));
      const location = `${this.storage}/${encodeURIComponent(name)}?signature=1`;
      response.writeHead(302, { location }).end(`Found. Redirecting to ${location}`);
      return;
    }
    this.missing(response, "RepoNotFound", 401);
  }

  private serveStorage(request: IncomingMessage, response: ServerResponse): void {
    const url = new URL(request.url ?? "/", this.storage);
    const name = decodeURIComponent(url.pathname.slice(1));
    this.note("storage", name, request);
    const file = this.files.get(name);
    if (file === undefined || url.searchParams.get("signature") !== "1")
      return void this.missing(response, "");
    this.contents(name, file, `s3-${sha256(file.contents).slice(0, 8)}`, request, response);
  }

  private tree(url: URL, response: ServerResponse): void {
    const folders = new Set<string>();
    for (const path of this.files.keys()) {
      const parts = path.split("/");
      for (let i = 1; i < parts.length; i++) folders.add(parts.slice(0, i).join("/"));
    }
    const entries: Record<string, unknown>[] = [
      ...[...folders].map((path) => ({ type: "directory", path, size: 0, oid: "0".repeat(40) })),
      ...[...this.files].map(([path, { contents, large }]) => ({
        type: "file",
        path,
        size: contents.length,
        oid: gitSha1(contents),
        ...(large
          ? {
              lfs: { oid: sha256(contents), size: contents.length, pointerSize: 130 },
              xetHash: "ab".repeat(32),
            }
          : {}),
      })),
    ];
    const edited = this.edit(entries);
    const from = Number(url.searchParams.get("cursor") ?? 0);
    const to = from + this.pageSize;
    if (to < edited.length) {
      url.searchParams.set("cursor", String(to));
      response.setHeader("link", `<${url.href}>; rel="next"`);
    }
    this.json(response, edited.slice(from, to));
  }

  private json(response: ServerResponse, value: unknown): void {
    response.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify(value));
  }

  private missing(response: ServerResponse, code: string, status = 404): void {
    this.fail(response, { status, headers: code === "" ? {} : { "x-error-code": code } });
  }

  private fail(response: ServerResponse, fault: Fault): void {
    if (fault.reset) {
      response.socket?.destroy();
      return;
    }
    response
      .writeHead(fault.status ?? 200, fault.headers)
      .end(fault.body ?? JSON.stringify({ error: `made to fail with ${fault.status}` }));
  }

  private trickle(response: ServerResponse, body: Uint8Array, pace: number): void {
    let sent = 0;
    const timer = setInterval(() => {
      response.write(body.subarray(sent, sent + pace));
      sent += pace;
      if (sent < body.length) return;
      clearInterval(timer);
      response.end();
    }, 5);
    response.on("close", () => clearInterval(timer));
  }

  private contents(
    name: string,
    file: ServedFile,
    mark: string,
    request: IncomingMessage,
    response: ServerResponse,
  ): void {
    const fault = this.faults.get(name)?.shift() ?? {};
    if (fault.status !== undefined || fault.reset) return void this.fail(response, fault);
    const etag = fault.etag ?? `"${mark}"`;
    const whole = fault.corrupt ? file.contents.map((byte) => byte ^ 1) : file.contents;
    const range = /^bytes=(\d+)-$/.exec(request.headers.range ?? "");
    const ifRange = request.headers["if-range"];
    const partial = range !== null && !fault.ignoreRange && (ifRange === undefined || ifRange === etag);
    let from = partial ? Number(range[1]) : 0;
    if (partial && from >= whole.length) {
      response.writeHead(416, { "content-range": `bytes */${whole.length}` }).end();
      return;
    }
    if (partial) from += fault.shiftRange ?? 0;
    const body = whole.subarray(from);
    response.setHeader("etag", etag);
    if (fault.excess !== undefined) {
      response.writeHead(200);
      response.end(Buffer.concat([body, new Uint8Array(fault.excess)]));
      return;
    }
    response.setHeader("content-length", body.length);
    if (partial) response.setHeader("content-range", `bytes ${from}-${whole.length - 1}/${whole.length}`);
    response.writeHead(partial ? 206 : 200);
    const limit = fault.cutAfter ?? fault.stallAfter ?? fault.endAfter;
    if (limit === undefined) {
      if (this.pace === undefined) response.end(body);
      else this.trickle(response, body, this.pace);
      return;
    }
    response.write(body.subarray(0, limit), () => {
      // Bytes under way must arrive before the connection goes.
      if (fault.cutAfter !== undefined) setTimeout(() => response.socket?.resetAndDestroy(), 20);
      else if (fault.endAfter !== undefined) setTimeout(() => response.socket?.end(), 20);
    });
    if (limit === 0) response.flushHeaders();
  }
}

/** Bytes that differ everywhere and repeat nowhere nearby. */
export function someBytes(length: number, seed = 1): Uint8Array {
  const bytes = new Uint8Array(length);
  let state = seed >>> 0;
  for (let i = 0; i < length; i++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    bytes[i] = state >>> 24;
  }
  return bytes;
}
