/**
 * Requests to the Hugging Face Hub: tokens go to the Hub alone, redirects are followed by hand, what may pass by itself
 * (lost connections, 429, 5xx) is tried again after growing pauses, and everything else becomes a HubError that names
 * the repository and the way out.
 */

import { AnnealError, HubError } from "../errors.js";
import { describeRepository, type HubRepository, repositoryPage } from "./hub-path.js";

/** How a client behaves. */
export interface HubClientOptions {
  /** Address of the Hub, without `/` at its end. */
  endpoint: string;
  token?: string;
  signal?: AbortSignal;
  /** Further attempts after a failure; attempts that moved bytes do not count. */
  retries: number;
  /** Milliseconds before the first further attempt; doubled each time, up to a minute. */
  retryDelay: number;
  /** Milliseconds without a byte after which a connection counts as lost. */
  timeout: number;
}

/** A failure that may pass by itself. */
export class Transient extends Error {
  /** @param retryAfter milliseconds that the server asks to wait */
  constructor(
    message: string,
    readonly retryAfter?: number,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}

/** A response whose body is still to be read. */
export interface HubResponse {
  readonly response: Response;
  /** The body; throws Transient when the connection is lost or nothing comes for the client's timeout. */
  read(): AsyncGenerator<Uint8Array>;
  /** Lets go of the connection; to be called in every case. */
  close(): void;
}

const MAX_DELAY = 60_000;
/** A server that asks for a longer pause is believed, but not waited for. */
const MAX_RETRY_AFTER = 15 * 60_000;
const MAX_REDIRECTS = 8;

/** Milliseconds asked for by `Retry-After` (seconds or a date) or by the `t=` of the Hub's `RateLimit`. */
export function retryAfter(headers: Headers, now = Date.now()): number | undefined {
  const value = headers.get("retry-after");
  if (value !== null) {
    const milliseconds = /^\s*\d+(\.\d+)?\s*$/.test(value) ? Number(value) * 1000 : Date.parse(value) - now;
    if (Number.isFinite(milliseconds)) return Math.max(0, milliseconds);
  }
  const limit = /(?:^|;)\s*t=(\d+)/.exec(headers.get("ratelimit") ?? "");
  return limit === null ? undefined : Number(limit[1]) * 1000;
}

/** The pause before attempt `attempt` (from 1): exponential, between half and all of it by chance. */
export function backoff(attempt: number, base: number, random = Math.random()): number {
  return Math.min(MAX_DELAY, base * 2 ** (attempt - 1)) * (0.5 + random / 2);
}

function sleep(milliseconds: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const stop = () => {
      clearTimeout(timer);
      reject(signal?.reason);
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener("abort", stop);
      resolve();
    }, milliseconds);
    if (signal?.aborted) stop();
    else signal?.addEventListener("abort", stop, { once: true });
  });
}

/** The innermost reason of a failed request, where the useful text is. */
function reasonOf(error: unknown): string {
  let inner = error;
  while (inner instanceof Error && inner.cause instanceof Error) inner = inner.cause;
  if (!(inner instanceof Error)) return String(inner);
  const { code } = inner as NodeJS.ErrnoException;
  const text = inner.message === "" ? inner.name : inner.message;
  return code === undefined || text.includes(code) ? text : `${text} (${code})`;
}

/** Talks to one Hub about one repository. */
export class HubClient {
  constructor(
    readonly repository: HubRepository,
    readonly revision: string,
    readonly options: HubClientOptions,
  ) {}

  /** A `fetch` for metadata: with token, attempts and typed errors; the body is read before it returns. */
  readonly fetch: typeof fetch = async (input, init) => {
    const url = new URL(input instanceof Request ? input.url : input);
    const headers = new Headers(init?.headers);
    return this.attempts(async () => {
      const opened = await this.open(url, headers);
      try {
        const parts: Uint8Array[] = [];
        for await (const part of opened.read()) parts.push(part);
        const text = Buffer.concat(parts).toString("utf8");
        try {
          JSON.parse(text);
        } catch (cause) {
          throw new HubError(
            `${url.origin} answered with something that is not JSON: ${JSON.stringify(text.slice(0, 80))}. Check that ${this.options.endpoint} is a Hugging Face Hub (HF_ENDPOINT) and that no proxy or login page is in between.`,
            { url: url.href },
            { cause },
          );
        }
        return new Response(text, { status: opened.response.status, headers: opened.response.headers });
      } finally {
        opened.close();
      }
    });
  };

  /**
   * Runs `work` until it succeeds or fails for good.
   * @param progress a number that grows as long as attempts get somewhere; then the count of attempts starts anew
   * @throws HubError when the attempts are used up, or what `work` throws
   */
  async attempts<T>(work: () => Promise<T>, progress: () => number = () => 0): Promise<T> {
    const { retries, retryDelay, signal } = this.options;
    let failures = 0;
    for (;;) {
      const before = progress();
      signal?.throwIfAborted();
      try {
        return await work();
      } catch (error) {
        signal?.throwIfAborted();
        if (!(error instanceof Transient)) throw error;
        if (progress() > before) failures = 0;
        failures++;
        const pause = Math.max(error.retryAfter ?? 0, backoff(failures, retryDelay));
        if (failures > retries || pause > MAX_RETRY_AFTER) throw this.unreachable(error, failures, pause);
        await sleep(pause, signal);
      }
    }
  }

  /**
   * One attempt at a GET request.
   * @throws Transient when another attempt may succeed, HubError when none will
   */
  async open(url: URL, headers: Headers): Promise<HubResponse> {
    const { signal, timeout, token, endpoint } = this.options;
    signal?.throwIfAborted();
    const controller = new AbortController();
    const stop = () => controller.abort(signal?.reason);
    signal?.addEventListener("abort", stop, { once: true });
    let stalled = false;
    let timer: NodeJS.Timeout | undefined;
    const watch = () => {
      clearTimeout(timer);
      timer = setTimeout(() => {
        stalled = true;
        controller.abort();
      }, timeout);
    };
    const close = () => {
      clearTimeout(timer);
      signal?.removeEventListener("abort", stop);
      if (!controller.signal.aborted) controller.abort();
    };
    const failure = (error: unknown): unknown => {
      if (signal?.aborted) return signal.reason;
      if (error instanceof Transient || error instanceof AnnealError) return error;
      const reason = stalled ? `nothing came for ${timeout / 1000} seconds` : reasonOf(error);
      return new Transient(`the connection to ${url.host} was lost: ${reason}`, undefined, { cause: error });
    };
    try {
      let target = url;
      for (let redirects = 0; redirects <= MAX_REDIRECTS; redirects++) {
        watch();
        const sent = new Headers(headers);
        sent.delete("authorization");
        // The token is for the Hub; storage hosts get addresses that carry their own permission.
        if (token !== undefined && target.origin === new URL(endpoint).origin) {
          sent.set("authorization", `Bearer ${token}`);
        }
        sent.set("user-agent", "anneal");
        const response = await fetch(target, {
          headers: sent,
          redirect: "manual",
          signal: controller.signal,
        });
        const location = response.headers.get("location");
        if (response.status >= 300 && response.status < 400 && location !== null) {
          await response.body?.cancel();
          target = new URL(location, target);
          continue;
        }
        if (!response.ok) throw await this.refusal(response, target);
        watch();
        const read = async function* () {
          try {
            if (response.body === null) return;
            for await (const chunk of response.body as unknown as AsyncIterable<Uint8Array>) {
              watch();
              yield chunk;
            }
          } catch (error) {
            throw failure(error);
          }
        };
        return { response, read, close };
      }
      throw new HubError(
        `${url.href}: more than ${MAX_REDIRECTS} redirects. Check HF_ENDPOINT and any proxy in between.`,
        {
          url: url.href,
        },
      );
    } catch (error) {
      close();
      throw failure(error);
    }
  }

  /** The error for a status that is not success. */
  private async refusal(response: Response, url: URL): Promise<Error> {
    const { status, headers } = response;
    const code = headers.get("x-error-code") ?? "";
    const text = await response.text().catch(() => "");
    let said = headers.get("x-error-message") ?? "";
    if (said === "") {
      try {
        said = String((JSON.parse(text) as { error?: unknown }).error ?? "");
      } catch {
        said = "";
      }
    }
    const { endpoint, token } = this.options;
    const what = describeRepository(this.repository);
    const page = repositoryPage(endpoint, this.repository);
    const details = {
      status,
      code,
      url: url.href,
      repository: this.repository.name,
      revision: this.revision,
    };
    const quote = said === "" ? "" : ` The Hub says: ${said.slice(0, 300)}`;
    if (status === 408 || status === 429 || status >= 500) {
      const reason = status === 429 ? "too many requests" : response.statusText || "server error";
      return new Transient(`${url.host} answered ${status}, ${reason}`, retryAfter(headers));
    }
    if (code === "GatedRepo") {
      return new HubError(
        `The ${what} is gated: accept its terms at ${page}, then ${token === undefined ? "set HF_TOKEN to a token of that account" : "use a token of the account that accepted them"}.${quote}`,
        details,
      );
    }
    if (code === "RevisionNotFound") {
      return new HubError(
        `The ${what} has no revision ${JSON.stringify(this.revision)}. Its branches and tags are at ${page}/tree/main.`,
        details,
      );
    }
    if (code === "EntryNotFound") {
      return new HubError(
        `The ${what} has no file ${decodeURIComponent(url.pathname).replace(/^.*\/resolve\/[^/]+\//, "")} at revision ${this.revision}.${quote}`,
        details,
      );
    }
    // The Hub answers 401 for a repository that does not exist, so as not to tell which private ones do.
    if (status === 401 || status === 404) {
      const fix =
        token === undefined
          ? "Check the name; if it is private, set HF_TOKEN to a token that may read it."
          : "Check the name, and that the token in use is valid and may read it.";
      return new HubError(
        `The ${what} does not exist at ${endpoint}, or is private. ${fix}${quote}`,
        details,
      );
    }
    if (status === 403) {
      return new HubError(
        `The ${what} may not be read ${token === undefined ? "without a token: set HF_TOKEN" : "with this token: give it read access to the repository, or use another"}. See ${page}.${quote}`,
        details,
      );
    }
    return new HubError(`${url.host} answered ${status} for the ${what}.${quote}`, details);
  }

  private unreachable(cause: Transient, failures: number, pause: number): HubError {
    const wait =
      pause > MAX_RETRY_AFTER
        ? `it asks to wait ${Math.ceil(pause / 60_000)} minutes`
        : `${failures} attempts in a row failed`;
    return new HubError(
      `The ${describeRepository(this.repository)} could not be fetched: ${cause.message}; ${wait}. Check the connection and run the same command again: what was downloaded is kept and continued. Without a network, a copy in the cache is used with HF_HUB_OFFLINE=1.`,
      { repository: this.repository.name, endpoint: this.options.endpoint, attempts: failures },
      { cause },
    );
  }
}
