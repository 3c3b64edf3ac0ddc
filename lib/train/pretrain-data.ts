/** The data of a pre-training run: texts that it tokenizes itself, folders of packed data, or a mixture of such folders. */
import { stat } from "node:fs/promises";
import { join, resolve } from "node:path";
import {
  bestFitOptions,
  isMixtureFile,
  isPackedFolder,
  MixtureBatches,
  type MixtureDescription,
  type MixtureEntry,
  type MixtureUse,
  openPacked,
  openPrepared,
  openShards,
  type Packing,
  PackingPlan,
  PlannedRows,
  type PreparedData,
  prepareTokens,
  type RowSource,
  readMixture,
  requirePackedTokenizer,
  TokenBatches,
  type TokenShard,
  WindowRows,
  weightsOf,
} from "../data/index.js";
import { ConfigError } from "../errors.js";
import type { Tokenizer } from "../tokenizer/index.js";
import type { TrainingBatches } from "./options.js";
import type { PretrainOptions, PretrainSettings } from "./pretrain-settings.js";

/** Folder of a run for shards and plans of its own. */
const DATA = "data";

/** What the paths of `--data` are. */
export type DataSource =
  | { kind: "text" }
  /** Folders of packed data; the tokenizer that they were made with, where it is beside the shards; how the first was packed. */
  | {
      kind: "packed";
      mixture: MixtureDescription;
      tokenizer: string | undefined;
      packing: Packing | undefined;
    };

/**
 * Looks at the paths: folders of packed data, one mixture file, or texts.
 * @throws ConfigError where texts and packed data are mixed; DataError for packed data that is damaged
 */
export async function findData(paths: readonly string[]): Promise<DataSource> {
  if (paths.length === 1 && (await isMixtureFile(paths[0]))) {
    return packedSource(await readMixture(paths[0]));
  }
  const packed = await Promise.all(paths.map(isPackedFolder));
  if (!packed.includes(true)) return { kind: "text" };
  if (packed.includes(false)) {
    throw new ConfigError(
      `${paths[packed.indexOf(true)]} holds packed data, ${paths[packed.indexOf(false)]} does not. ` +
        "Name either texts or packed data; texts are packed with `anneal data pack`.",
      { paths: [...paths] },
    );
  }
  return packedSource({ datasets: paths.map((path): MixtureEntry => ({ data: resolve(path), name: path })) });
}

async function packedSource(mixture: MixtureDescription): Promise<DataSource> {
  const { tokenizerDir, packing } = await openPacked(mixture.datasets[0].data);
  const there = await stat(tokenizerDir).catch(() => undefined);
  return { kind: "packed", mixture, tokenizer: there && tokenizerDir, packing };
}

/**
 * The options of a run with the tokenizer of its packed data, and its rows where nothing else is asked for.
 * @throws ConfigError where packed data and the tokenizer asked for do not go together
 */
export function withPackedOptions(options: PretrainOptions, source: DataSource): PretrainOptions {
  if (source.kind === "text") return options;
  const { data } = source.mixture.datasets[0];
  if (options.tokenizer === "char") {
    throw new ConfigError(
      `${data} holds tokens already, so no new vocabulary can be made for it. Leave --tokenizer out.`,
      { tokenizer: options.tokenizer },
    );
  }
  const tokenizer = options.tokenizer ?? source.tokenizer;
  if (tokenizer === undefined) {
    throw new ConfigError(
      `${data} has no tokenizer beside its shards. Name the one that they were made with (--tokenizer DIR), or make the folder with \`anneal data pack\`.`,
      { data },
    );
  }
  const packing = options.packing ?? (options.dataMode === "random" ? undefined : source.packing);
  return { ...options, tokenizer, packing };
}

/** One dataset of a run, prepared. */
interface RunDataset {
  entry: MixtureEntry;
  data: PreparedData;
  /** Where plans of its rows are kept, the best place first. */
  planDirs: string[];
}

/** The data of a run, prepared but not open. */
export interface RunData {
  /** All datasets together. */
  summary: PreparedData;
  datasets: RunDataset[];
  /** Undefined where there is one dataset, whose weight says nothing. */
  mixture: MixtureDescription | undefined;
}

/** Prepares or finds the data of a run. A resumed one takes the shards that it made, whatever has become of the texts. */
export async function prepareRunData(
  run: string,
  settings: PretrainSettings,
  tokenizer: Tokenizer,
  options: Pick<PretrainOptions, "onPrepare" | "signal">,
  resumed: boolean,
): Promise<RunData> {
  const own = join(run, DATA);
  const before = resumed ? await openPrepared(own) : undefined;
  const source = before === undefined ? await findData(settings.data) : ({ kind: "text" } as const);
  if (source.kind === "text") {
    const { data: paths, extensions, validationFraction, seed } = settings;
    const data =
      before ??
      (await prepareTokens({
        ...{ paths, tokenizer, outDir: own, validationFraction, seed },
        ...(extensions && { extensions }),
        ...{ onProgress: options.onPrepare, signal: options.signal },
      }));
    return {
      summary: data,
      datasets: [{ entry: { data: own }, data, planDirs: [own] }],
      mixture: undefined,
    };
  }
  const { mixture } = source;
  const datasets: RunDataset[] = [];
  for (const entry of mixture.datasets) {
    const folder = await openPacked(entry.data);
    requirePackedTokenizer(folder, tokenizer);
    datasets.push({ entry, data: folder.data, planDirs: [entry.data, own] });
  }
  const single =
    datasets.length === 1 && mixture.schedule === undefined && datasets[0].entry.maxEpochs === undefined;
  return {
    summary: datasets.length === 1 ? datasets[0].data : together(datasets),
    datasets,
    mixture: single ? undefined : mixture,
  };
}

/** Sums of several datasets; counting models on their texts are not comparable. */
function together(datasets: readonly RunDataset[]): PreparedData {
  const split = (name: "train" | "validation") => {
    const parts = datasets.map(({ data }) => data[name]);
    const sum = (field: "tokens" | "bytes" | "documents") =>
      parts.reduce((all, part) => all + part[field], 0);
    return {
      shards: parts.flatMap(({ shards }) => shards),
      ...{ tokens: sum("tokens"), bytes: sum("bytes"), documents: sum("documents") },
    };
  };
  const sum = (field: "sourceFiles" | "sourceBytes") =>
    datasets.reduce((all, { data }) => all + data[field], 0);
  const contiguous = datasets.every(({ data }) => data.splitMethod === "contiguous");
  return {
    ...{ train: split("train"), validation: split("validation"), baselines: null },
    splitMethod: contiguous ? "contiguous" : "documents",
    ...{ sourceFiles: sum("sourceFiles"), sourceBytes: sum("sourceBytes"), reused: true },
  };
}

/** The settings that decide rows and batches. */
type RowSettings = Pick<
  PretrainSettings,
  "sequenceLength" | "batchSize" | "seed" | "dataMode" | "packing" | "documentMask"
>;

/** Open data of a run: batches to train on and shards to validate with. */
export class OpenRunData {
  private constructor(
    readonly batches: TrainingBatches,
    readonly validation: readonly TokenShard[],
    /** What a mixture uses of each dataset in a number of steps; undefined for one dataset. */
    readonly usedBy: ((step: number) => MixtureUse[]) | undefined,
    /** Steps that the data lasts for. */
    private readonly steps: number,
    private readonly closing: readonly (() => unknown)[],
  ) {}

  /**
   * @throws DataError for shards that are damaged or too short; ConfigError for settings that do not go together
   */
  static async open(data: RunData, settings: RowSettings, signal?: AbortSignal): Promise<OpenRunData> {
    const { sequenceLength, batchSize, seed, dataMode: mode } = settings;
    // Runs of earlier versions have neither in their settings.
    const { packing = "windows", documentMask = false } = settings;
    const closing: (() => unknown)[] = [];
    const opened = async (paths: readonly string[]) => {
      const shards = await openShards(paths);
      closing.push(...shards.map((shard) => () => shard.close()));
      return shards;
    };
    try {
      const wanted = bestFitOptions(packing, sequenceLength);
      if (mode === "random" && (wanted !== undefined || data.mixture !== undefined)) {
        throw new ConfigError(
          `Rows that begin anywhere cannot have ${wanted !== undefined ? `packing: ${packing}` : "several datasets"}. Use dataMode: packed.`,
          { dataMode: mode, packing },
        );
      }
      const rows: RowSource[] = [];
      let batches: TrainingBatches | undefined;
      for (const { data: prepared, planDirs } of data.datasets) {
        const shards = await opened(prepared.train.shards);
        let plan: PackingPlan | undefined;
        if (wanted !== undefined) {
          const { stream } = new WindowRows(shards, 1);
          plan = await PackingPlan.open(stream, { ...wanted, dirs: planDirs, name: "train", signal });
          closing.push(plan.close.bind(plan));
        }
        if (data.mixture === undefined) {
          batches = new TokenBatches({ shards, sequenceLength, batchSize, seed, mode, plan, documentMask });
        } else {
          rows.push(
            plan === undefined ? new WindowRows(shards, sequenceLength) : new PlannedRows(shards, plan),
          );
        }
      }
      let usedBy: ((step: number) => MixtureUse[]) | undefined;
      let steps = Number.POSITIVE_INFINITY;
      if (data.mixture !== undefined) {
        const { datasets, schedule } = data.mixture;
        const weights = weightsOf(
          datasets,
          rows.map((source) => source.rows),
        );
        const mixture = new MixtureBatches({
          datasets: datasets.map(({ data: dir, name = dir, maxEpochs }, i) => ({
            ...{ name, maxEpochs, rows: rows[i], weight: weights[i] },
          })),
          ...{ schedule, batchSize, seed, documentMask },
        });
        usedBy = (step) => mixture.usedBy(step);
        steps = mixture.steps;
        batches = mixture;
      }
      const validation = await opened(
        data.datasets.flatMap(({ data: { validation: split } }) => split.shards),
      );
      return new OpenRunData(batches as TrainingBatches, validation, usedBy, steps, closing);
    } catch (error) {
      for (const close of closing) await close();
      throw error;
    }
  }

  /** @throws ConfigError where a mixture is used up before the last step */
  requireSteps(steps: number): void {
    if (steps <= this.steps) return;
    throw new ConfigError(
      `The mixture lasts for ${this.steps} steps, not for ${steps}: every dataset has maxEpochs. Use fewer steps, raise maxEpochs, or add data.`,
      { steps, available: this.steps },
    );
  }

  async close(): Promise<void> {
    for (const close of this.closing) await close();
  }
}
