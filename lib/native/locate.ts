/**
 * Finds and loads the native addon, anneal.node: a path of the user's choice, this package's own build, or the
 * prebuilt package of the platform, in this order. It never looks for a GPU; the addon opens backends later.
 */
import { existsSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { NativeError } from "../errors.js";

/** The root folder of this package; lib/native/ and dist/native/ lie equally deep in it. */
export const PACKAGE_ROOT = fileURLToPath(new URL("../..", import.meta.url));

/** Where an addon may come from: `ANNEAL_ADDON`, build/Release of this package, or a prebuilt platform package. */
export type AddonSource = "environment" | "build" | "package";

/** A place that was looked at, and why it did not serve. */
export interface AddonAttempt {
  source: AddonSource;
  /** A file path, or the name of a package that could not be resolved. */
  path: string;
  error: string;
}

/** The outcome of the search: `path` and `source` are undefined when no addon file exists. */
export interface AddonLocation {
  path?: string;
  source?: AddonSource;
  /** The places before it, in the order in which they were looked at. */
  tried: AddonAttempt[];
}

/** Inputs of the search; the defaults are this process's own. */
export interface LocateOptions {
  /** Environment variables; `ANNEAL_ADDON` names an addon file and then no other place is looked at. */
  env?: Readonly<Record<string, string | undefined>>;
  /** The package's root folder. */
  root?: string;
  /** The full path of a package's main file; throws when the package is not installed. */
  resolvePackage?: (name: string) => string;
}

/** The version in this package's package.json. */
export function packageVersion(root: string = PACKAGE_ROOT): string {
  return (JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as { version: string }).version;
}

/** The name of the prebuilt package for an operating system and processor, for example `@anneal/linux-x64`. */
export function platformPackage(platform: string = process.platform, arch: string = process.arch): string {
  return `@anneal/${platform}-${arch}`;
}

/** Finds the addon file without loading it; never throws. */
export function locateAddon(options: LocateOptions = {}): AddonLocation {
  const { env = process.env, root = PACKAGE_ROOT } = options;
  const resolvePackage = options.resolvePackage ?? createRequire(join(root, "package.json")).resolve;
  const tried: AddonAttempt[] = [];
  const chosen = env.ANNEAL_ADDON;
  if (chosen !== undefined && chosen !== "") {
    const path = resolve(chosen);
    if (existsSync(path)) {
      return { path, source: "environment", tried };
    }
    return {
      tried: [{ source: "environment", path, error: "no such file (the path is from ANNEAL_ADDON)" }],
    };
  }
  const built = join(root, "build", "Release", "anneal.node");
  if (existsSync(built)) {
    return { path: built, source: "build", tried };
  }
  tried.push({ source: "build", path: built, error: "no such file" });
  const name = platformPackage();
  try {
    return { path: resolvePackage(name), source: "package", tried };
  } catch {
    tried.push({ source: "package", path: name, error: "this package is not installed" });
    return { tried };
  }
}

/** The shared library of a backend other than the CPU's; it lies beside the addon, so that both come from one build. */
export function backendLibrary(name: string, addonPath: string): string {
  return join(dirname(addonPath), `libanneal_${name}.so`);
}

/** The error for an addon that is missing or does not load, with every place and the fix. */
function addonError(tried: AddonAttempt[], cause?: unknown): NativeError {
  const places = tried.map((attempt) => `  ${attempt.path}: ${attempt.error}`).join("\n");
  const fix = tried.some((attempt) => attempt.source === "environment")
    ? "Correct ANNEAL_ADDON, or unset it to use this package's own addon."
    : "Run `npx anneal build` to compile it (needs a C++ compiler, make and cmake).";
  return new NativeError(
    `The native addon of anneal could not be loaded for ${process.platform}-${process.arch}. Tried:\n${places}\n${fix}`,
    { tried, platform: process.platform, arch: process.arch },
    { cause },
  );
}

// How often an OpenMP thread looks for work before it sleeps. libgomp's default spins for milliseconds, which slows everything down many times
// as soon as another program wants the same cores.
const SPIN_COUNT = "2000";

/** Tells libgomp, which reads it when it is loaded, how long to spin; a setting of the user's own wins. */
function limitSpinning(): void {
  if (process.env.OMP_WAIT_POLICY === undefined) process.env.GOMP_SPINCOUNT ??= SPIN_COUNT;
}

let loaded: unknown;

/**
 * Loads the addon once per thread and returns its exports.
 * @throws NativeError naming each place that was tried, its error, and the fix
 */
export function loadAddon(options?: LocateOptions): unknown {
  if (options === undefined && loaded !== undefined) {
    return loaded;
  }
  const { path, source, tried } = locateAddon(options);
  if (path === undefined || source === undefined) {
    throw addonError(tried);
  }
  limitSpinning();
  try {
    const exported: unknown = createRequire(import.meta.url)(path);
    if (options === undefined) {
      loaded = exported;
    }
    return exported;
  } catch (cause) {
    // A file that is there but does not load is an error, not a reason to take another one silently.
    const error = cause instanceof Error ? cause.message : String(cause);
    throw addonError([...tried, { source, path, error }], cause);
  }
}
