/** Mixtures as people write them: a JSON file that names folders of packed data and their weights. */
import { readFile } from "node:fs/promises";
import { basename, dirname, resolve } from "node:path";
import { ConfigError, DataError } from "../../errors.js";
import { checkOptions } from "../options.js";
import type { WeightChange } from "./course.js";

/** A dataset of a mixture: a folder, and how much of it. Of `weight`, `tokens` and `epochs` all datasets must use the same one. */
export interface MixtureEntry {
  /** Folder that `anneal data pack` made; in a file relative to the file. */
  data: string;
  /** For messages and for the schedule. Default: the folder's name. */
  name?: string;
  /** Share of the rows, relative to the others'. */
  weight?: number;
  /** Instead of weights: tokens to take from each. */
  tokens?: number;
  /** Instead of weights: passes to make over each. Without any of the three: 1. */
  epochs?: number;
  /** Passes after which the dataset is left out. Default: no end. */
  maxEpochs?: number;
}

export interface MixtureDescription {
  datasets: MixtureEntry[];
  schedule?: WeightChange[];
}

const ENTRY_OPTIONS = ["data", "name", "weight", "tokens", "epochs", "maxEpochs"] as const;
const CHANGE_OPTIONS = ["fromStep", "weights"] as const;
const AMOUNTS = ["weight", "tokens", "epochs"] as const;

const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value);

/**
 * Reads a mixture: `{"datasets": [{"data": "web", "weight": 0.7}, …], "schedule": [{"fromStep": 900, "weights": [0.3, 0.7]}]}`.
 * @throws DataError when the file cannot be read; ConfigError when it is no mixture
 */
export async function readMixture(path: string): Promise<MixtureDescription> {
  const text = await readFile(path, "utf8").catch((error) => {
    throw new DataError(`Cannot read the mixture ${path}: ${error.message}.`, { path }, { cause: error });
  });
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new ConfigError(
      `${path} is not valid JSON (${(error as Error).message}).`,
      { path },
      { cause: error },
    );
  }
  return checkMixture(value, path, dirname(resolve(path)));
}

/** Whether a file looks like a mixture rather than like a text. */
export async function isMixtureFile(path: string): Promise<boolean> {
  if (!path.toLowerCase().endsWith(".json")) return false;
  try {
    const value: unknown = JSON.parse(await readFile(path, "utf8"));
    return isRecord(value) && Array.isArray(value.datasets);
  } catch {
    return false;
  }
}

/** @throws ConfigError naming what is wrong with a description */
export function checkMixture(value: unknown, where: string, base = "."): MixtureDescription {
  const datasets = isRecord(value) ? value.datasets : undefined;
  if (!isRecord(value) || !Array.isArray(datasets) || datasets.length === 0) {
    throw new ConfigError(
      `${where} is no mixture: expected {"datasets": [{"data": "FOLDER", "weight": 0.7}, …]}.`,
      { where },
    );
  }
  checkOptions(where, value, ["datasets", "schedule"]);
  const entries = datasets.map((entry: unknown, i): MixtureEntry => {
    if (!isRecord(entry) || typeof entry.data !== "string") {
      throw new ConfigError(`${where}: dataset ${i + 1} must have "data", the folder of packed data.`, {
        where,
      });
    }
    checkOptions(`${where}: dataset ${entry.data}`, entry, ENTRY_OPTIONS);
    for (const name of [...AMOUNTS, "maxEpochs"] as const) {
      const amount = entry[name];
      if (amount === undefined || (typeof amount === "number" && amount >= 0 && Number.isFinite(amount)))
        continue;
      throw new ConfigError(
        `${where}: ${name} of ${entry.data} must be a number of at least 0, got ${String(amount)}.`,
        {
          [name]: amount,
        },
      );
    }
    const { name = basename(resolve(base, entry.data)), ...rest } = entry as unknown as MixtureEntry;
    return { ...rest, name, data: resolve(base, rest.data) };
  });
  const used = AMOUNTS.filter((amount) => entries.some((entry) => entry[amount] !== undefined));
  if (used.length > 1 || entries.some((entry) => used.length > 0 && entry[used[0]] === undefined)) {
    throw new ConfigError(
      `${where}: all datasets of a mixture must have the same one of weight, tokens and epochs, got ${used.join(" and ")}${used.length === 1 ? " for some only" : ""}.`,
      { where, used },
    );
  }
  const names = entries.map(({ name }) => name);
  if (new Set(names).size < names.length) {
    throw new ConfigError(
      `${where}: two datasets are called the same (${names.join(", ")}). Give them different names.`,
      { names },
    );
  }
  const schedule = value.schedule === undefined ? undefined : checkSchedule(value.schedule, where);
  return { datasets: entries, ...(schedule && { schedule }) };
}

function checkSchedule(value: unknown, where: string): WeightChange[] {
  const wrong = () =>
    new ConfigError(
      `${where}: "schedule" must be a list of {"fromStep": 1000, "weights": [0.3, 0.7]} (or weights by name).`,
      { where },
    );
  if (!Array.isArray(value)) throw wrong();
  return value.map((change: unknown) => {
    if (!isRecord(change) || typeof change.fromStep !== "number") throw wrong();
    checkOptions(`${where}: schedule`, change, CHANGE_OPTIONS);
    const { weights } = change;
    const list = Array.isArray(weights) ? weights : isRecord(weights) ? Object.values(weights) : undefined;
    if (list === undefined || !list.every((weight) => typeof weight === "number")) throw wrong();
    return change as unknown as WeightChange;
  });
}

/**
 * Weights of datasets by what their description says.
 * @param rows rows of one pass over each
 */
export function weightsOf(entries: readonly MixtureEntry[], rows: readonly number[]): number[] {
  return entries.map(({ weight, tokens, epochs }, i) => weight ?? tokens ?? (epochs ?? 1) * rows[i]);
}
