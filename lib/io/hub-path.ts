/** Names on the Hugging Face Hub: repositories, revisions, and `hf://` paths. */

import { ConfigError } from "../errors.js";

/** Kinds of repository that anneal reads. */
export type HubRepositoryType = "dataset" | "model";

/** A repository by kind and name. */
export interface HubRepository {
  readonly type: HubRepositoryType;
  /** `owner/name`, or `name` alone for a few old ones. */
  readonly name: string;
}

/** What an `hf://` path says. */
export interface HubPath extends HubRepository {
  /** Branch, tag or commit; undefined: the default branch. */
  readonly revision?: string;
  /** File, folder or pattern inside the repository; undefined: all of it. */
  readonly path?: string;
}

const COMMIT = /^[0-9a-f]{40}$/;
const WORD = /^[A-Za-z0-9_](?:[A-Za-z0-9._-]{0,94}[A-Za-z0-9_])?$/;

/** Whether a revision is a full commit id, which never changes its meaning. */
export function isCommit(revision: string): boolean {
  return COMMIT.test(revision);
}

/**
 * Checks a repository's name by the Hub's rules.
 * @throws ConfigError
 */
export function checkRepositoryName(name: string): void {
  const parts = name.split("/");
  const valid =
    parts.length <= 2 &&
    name.length <= 96 &&
    parts.every((part) => WORD.test(part) && !part.includes("--") && !part.includes("..")) &&
    !name.endsWith(".git");
  if (!valid) {
    throw new ConfigError(
      `${JSON.stringify(name)} is not the name of a repository on the Hugging Face Hub. Expected owner/name of letters, digits and - _ . , for example HuggingFaceFW/fineweb.`,
      { name },
    );
  }
}

/**
 * Checks a revision: it becomes part of file names.
 * @throws ConfigError
 */
export function checkRevision(revision: string): void {
  const odd =
    revision === "" ||
    /[\s~^:?*[\\]/.test(revision) ||
    revision.split("/").some((part) => part === "" || part.startsWith(".") || part.includes(".."));
  if (odd || [...revision].some((sign) => sign.charCodeAt(0) < 32)) {
    throw new ConfigError(
      `${JSON.stringify(revision)} is not a revision. Expected a branch, a tag or a commit of 40 hexadecimal digits.`,
      { revision },
    );
  }
}

/** Whether a text is an `hf://` path. */
export function isHubPath(text: string): boolean {
  return text.startsWith("hf://");
}

/**
 * Reads `hf://datasets/owner/name[@revision][/path]`; without `datasets/` (or with `models/`) it is a model. The path
 * may be a file, a folder or a pattern. A revision with slashes is written with `%2F`, except `refs/pr/N` and
 * `refs/convert/NAME`. The few repositories without an owner need a revision before a path: `hf://gpt2@main/vocab.json`.
 * @throws ConfigError that says what is wrong
 */
export function parseHubPath(text: string): HubPath {
  const fail = (problem: string) =>
    new ConfigError(
      `${text}: ${problem}. Expected hf://datasets/owner/name[@revision][/file-or-pattern], or hf://owner/name for a model.`,
      { path: text },
    );
  if (!isHubPath(text)) throw fail("this does not begin with hf://");
  let rest = text.slice("hf://".length);
  let type: HubRepositoryType = "model";
  if (rest.startsWith("spaces/") || rest.startsWith("buckets/")) {
    throw fail("only datasets and models can be read");
  }
  if (rest.startsWith("datasets/")) {
    type = "dataset";
    rest = rest.slice("datasets/".length);
  } else if (rest.startsWith("models/")) rest = rest.slice("models/".length);
  const match =
    /^(?<name>[^/@]+(?:\/[^/@]+)?)(?:@(?<revision>refs\/(?:convert|pr)\/[^/]+|[^/]*))?(?:\/(?<path>.*))?$/s.exec(
      rest,
    );
  if (match?.groups === undefined) throw fail("the repository's name is missing");
  const { name, path } = match.groups;
  checkRepositoryName(name);
  let revision: string | undefined;
  if (match.groups.revision !== undefined) {
    try {
      revision = decodeURIComponent(match.groups.revision);
    } catch {
      throw fail(
        `the revision ${JSON.stringify(match.groups.revision)} holds a % that is not followed by two digits`,
      );
    }
    checkRevision(revision);
  }
  const trimmed = path?.replace(/^\/+/, "");
  if (trimmed?.split("/").some((part) => part === ".." || part === ".")) {
    throw fail("the path must not hold . or ..");
  }
  return { type, name, revision, path: trimmed === "" ? undefined : trimmed };
}

/** A repository as messages name it. */
export function describeRepository(repository: HubRepository): string {
  return `${repository.type} ${repository.name}`;
}

/** The page of a repository, for messages that send people there. */
export function repositoryPage(endpoint: string, repository: HubRepository): string {
  return `${endpoint}/${repository.type === "dataset" ? "datasets/" : ""}${repository.name}`;
}
