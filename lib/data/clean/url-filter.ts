/**
 * Judges documents by their URL: listed domains and addresses, words and strings that must not be in it. Lists come from
 * files or from the caller; none are built in.
 */
import { createReadStream } from "node:fs";
import { createInterface } from "node:readline";
import { DataError } from "../../errors.js";
import { checkOptions } from "../options.js";

/** Lists of a URL filter. Words and strings are compared by their letters a–z and digits only, in small letters. */
export interface UrlLists {
  /** Domains; a domain stands for all hosts below it. International names may be written either way. */
  domains?: Iterable<string>;
  /** Whole addresses; scheme, `www.`, user, default port, fragment and a last slash do not matter. */
  addresses?: Iterable<string>;
  /** Words of which none may be in a URL. */
  bannedWords?: Iterable<string>;
  /** Words of which at most one may be in a URL. */
  softBannedWords?: Iterable<string>;
  /** Strings that must not be in a URL, whatever stands between their letters. */
  bannedSubstrings?: Iterable<string>;
}

const LISTS = ["domains", "addresses", "bannedWords", "softBannedWords", "bannedSubstrings"] as const;
type ListName = (typeof LISTS)[number];

/** What a filter found in a URL: values of the rules `url.*` in their order, and what was found for the first that is not 0. */
export interface UrlFindings {
  domain: number;
  address: number;
  bannedWords: number;
  softBannedWords: number;
  bannedSubstrings: number;
  /** What was found by each rule, where something was. */
  found: Partial<
    Record<"domain" | "address" | "bannedWords" | "softBannedWords" | "bannedSubstrings", string>
  >;
}

const plain = (text: string) => text.toLowerCase().replace(/[^a-z0-9]+/g, "");

/** Host in small letters and punycode, and the rest of an address that matters for comparing. */
interface UrlParts {
  host: string;
  address: string;
}

/** Takes a URL apart; what is no URL is taken for a host with a path. */
function partsOf(url: string): UrlParts {
  const trimmed = url.trim();
  const absolute = /^[a-z][a-z0-9+.-]*:\/\//i.test(trimmed) ? trimmed : `http://${trimmed}`;
  let host: string;
  let rest: string;
  try {
    const parsed = new URL(absolute);
    host = parsed.hostname;
    rest = `${parsed.port && `:${parsed.port}`}${parsed.pathname}${parsed.search}`;
  } catch {
    const match = /^[^/]*\/\/(?:[^/?#]*@)?([^/?#:]*)(?::\d*)?([^#]*)/.exec(absolute);
    host = (match?.[1] ?? "").toLowerCase();
    rest = match?.[2] ?? "";
  }
  host = host.replace(/\.+$/, "");
  const address = `${host.replace(/^www\./, "")}${rest}`.replace(/\/$/, "");
  return { host, address };
}

/** Finds whether any of many strings is in a text. */
class Substrings {
  private readonly byStart = new Map<string, string[]>();

  constructor(strings: Iterable<string>) {
    for (const text of strings) {
      const start = text.slice(0, 3);
      const known = this.byStart.get(start);
      if (known === undefined) this.byStart.set(start, [text]);
      else known.push(text);
    }
  }

  find(text: string): string | undefined {
    for (let at = 0; at < text.length; at++) {
      for (let length = 1; length <= 3; length++) {
        const found = this.byStart.get(text.slice(at, at + length))?.find((s) => text.startsWith(s, at));
        if (found !== undefined) return found;
      }
    }
    return undefined;
  }
}

/** Lists that URLs are looked up in. */
export class UrlFilter {
  private readonly domains = new Set<string>();
  private readonly addresses = new Set<string>();
  private readonly bannedWords = new Set<string>();
  private readonly softBannedWords = new Set<string>();
  private readonly bannedSubstrings = new Set<string>();
  private substrings: Substrings | undefined;

  /** @throws ConfigError for a list that does not exist */
  constructor(lists: UrlLists) {
    checkOptions("the URL filter", lists, LISTS);
    for (const name of LISTS) {
      for (const entry of lists[name] ?? []) this.add(name, entry);
    }
  }

  /**
   * Reads lists from text files of one entry per line; blank lines and those that begin with `#` are passed over.
   * @param files paths by list
   * @throws DataError naming a file that cannot be read
   */
  static async load(files: Partial<Record<ListName, string | readonly string[]>>): Promise<UrlFilter> {
    checkOptions("the URL filter", files, LISTS);
    const filter = new UrlFilter({});
    for (const name of LISTS) {
      const paths = files[name] ?? [];
      for (const path of typeof paths === "string" ? [paths] : paths) {
        try {
          const lines = createInterface({
            input: createReadStream(path, "utf8"),
            crlfDelay: Number.POSITIVE_INFINITY,
          });
          for await (const line of lines) filter.add(name, line);
        } catch (error) {
          throw new DataError(
            `The list ${path} (${name}) cannot be read: ${(error as Error).message}. It must be a text file with one ` +
              "entry per line.",
            { path, list: name },
            { cause: error },
          );
        }
      }
    }
    return filter;
  }

  /** Entries of each list. */
  describe(): Record<string, number> {
    return Object.fromEntries(LISTS.map((name) => [name, this[name].size]));
  }

  /** Looks a URL up in all lists. */
  check(url: string): UrlFindings {
    const found: UrlFindings["found"] = {};
    const { host, address } = partsOf(url);
    const domain = this.listedDomain(host);
    if (domain !== undefined) found.domain = domain;
    if (this.addresses.has(address)) found.address = address;
    const words = new Set(url.toLowerCase().split(/[^a-z0-9]+/));
    const banned = [...words].filter((word) => this.bannedWords.has(word));
    const soft = [...words].filter((word) => this.softBannedWords.has(word));
    if (banned.length > 0) found.bannedWords = banned[0];
    if (soft.length > 0) found.softBannedWords = soft.join(", ");
    this.substrings ??= new Substrings(this.bannedSubstrings);
    const substring = this.substrings.find(plain(url));
    if (substring !== undefined) found.bannedSubstrings = substring;
    return {
      domain: domain === undefined ? 0 : 1,
      address: found.address === undefined ? 0 : 1,
      bannedWords: banned.length,
      softBannedWords: soft.length,
      bannedSubstrings: substring === undefined ? 0 : 1,
      found,
    };
  }

  /** The host or the nearest domain above it that is listed. */
  private listedDomain(host: string): string | undefined {
    if (this.domains.size === 0 || host === "") return undefined;
    for (let name = host; ; ) {
      if (this.domains.has(name)) return name;
      const dot = name.indexOf(".");
      // Parts of an IP address are no domains.
      if (dot === -1 || /^\d+$/.test(name.slice(name.lastIndexOf(".") + 1))) return undefined;
      name = name.slice(dot + 1);
    }
  }

  private add(name: ListName, line: string): void {
    const entry = line.trim();
    if (entry === "" || entry.startsWith("#")) return;
    if (name === "domains") {
      // Lists have millions of plain names.
      const host = /^[a-z0-9.-]*[a-z]$/.test(entry) ? entry : partsOf(entry).host;
      if (host !== "") this.domains.add(host);
    } else if (name === "addresses") {
      this.addresses.add(partsOf(entry).address);
    } else {
      const word = plain(entry);
      if (word !== "") this[name].add(word);
    }
  }
}
