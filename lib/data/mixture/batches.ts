/** Batches of a mixture of datasets. */
import { createHash } from "node:crypto";
import { ConfigError } from "../../errors.js";
import { type BatchOptions, BatchShape, RowOrder, type TokenBatch } from "../batches.js";
import { checkOptions } from "../options.js";
import type { RowSource } from "../packing/row-source.js";
import { Stream, uniform } from "../philox.js";
import { fillRows } from "../rows.js";
import { MixtureCourse, type WeightChange } from "./course.js";

/** A dataset of a mixture. */
export interface MixtureDataset {
  /** For messages and reports. */
  name: string;
  /** Its rows: `WindowRows` or `PlannedRows`. */
  rows: RowSource;
  /** Share of the rows, relative to the others'. */
  weight: number;
  /** Passes over it after which it is left out and the others go on by their weights. Default: no end. */
  maxEpochs?: number;
}

export interface MixtureBatchesOptions extends BatchOptions {
  datasets: readonly MixtureDataset[];
  /** Other weights from some steps on, for example while the learning rate decays. */
  schedule?: readonly WeightChange[];
}

/** What a mixture has used of a dataset. */
export interface MixtureUse {
  name: string;
  /** Rows so far. */
  rows: number;
  /** Share of all rows so far. */
  share: number;
  /** Passes over the dataset, with fraction. */
  epochs: number;
}

const OPTIONS = ["datasets", "schedule", "batchSize", "seed", "documentMask", "rank", "worldSize"] as const;

/**
 * Batches of several datasets. After any number of rows each dataset has had its weight's share of them within one row,
 * and every pass over a dataset is a new seeded permutation of its rows. As with one dataset, a batch is a function of
 * (seed, step) alone.
 */
export class MixtureBatches {
  readonly sequenceLength: number;
  readonly batchSize: number;
  readonly seed: number;
  /** SHA-256 of all that decides the batches. */
  readonly fingerprint: string;
  /** Steps until all datasets are used up; infinity where one has no `maxEpochs`. */
  readonly steps: number;
  private readonly datasets: readonly MixtureDataset[];
  private readonly shape: BatchShape;
  private readonly course: MixtureCourse;
  private readonly orders: readonly RowOrder[];

  /** @throws ConfigError for datasets or weights that do not go together */
  constructor(options: MixtureBatchesOptions) {
    checkOptions("MixtureBatches", options, OPTIONS);
    const { datasets, schedule = [] } = options;
    this.shape = new BatchShape(options);
    const { batchSize, seed, globalBatch, documentMask } = this.shape;
    const parts = datasets.map(({ name, rows, weight, maxEpochs }) => ({
      ...{ name, rows: rows.rows, weight, maxEpochs },
    }));
    this.course = new MixtureCourse(parts, globalBatch, schedule);
    this.datasets = datasets;
    this.batchSize = batchSize;
    this.seed = seed;
    this.sequenceLength = datasets[0].rows.sequenceLength;
    const tokenizer = datasets[0].rows.identity.tokenizer;
    for (const { name, rows } of datasets) {
      if (rows.sequenceLength !== this.sequenceLength || rows.identity.tokenizer !== tokenizer) {
        throw new ConfigError(
          `The datasets ${datasets[0].name} and ${name} of a mixture have different ` +
            `${rows.identity.tokenizer === tokenizer ? "sequence lengths" : "tokenizers"}. Prepare them alike.`,
          { datasets: [datasets[0].name, name] },
        );
      }
    }
    // Each dataset has an order of its own, or equal ones would move in step.
    this.orders = datasets.map(
      ({ rows }, i) => new RowOrder(rows.rows, Math.floor(uniform(seed, Stream.Mixture, i) * 2 ** 53)),
    );
    this.steps = Math.floor(this.course.length / globalBatch);
    const identity = {
      datasets: datasets.map(({ rows, weight, maxEpochs }) => ({ ...rows.identity, weight, maxEpochs })),
      ...{ schedule, globalBatch, seed, documentMask },
    };
    this.fingerprint = createHash("sha256").update(JSON.stringify(identity)).digest("hex");
  }

  /** What the steps before `step` have used. */
  usedBy(step: number): MixtureUse[] {
    const rows = step * this.shape.globalBatch;
    return this.course.counts(rows).map((count, i) => ({
      name: this.datasets[i].name,
      rows: count,
      share: rows === 0 ? 0 : count / rows,
      epochs: count / this.datasets[i].rows.rows,
    }));
  }

  /**
   * The batch of a step: any step, in any order, always the same. `epoch` is that of all rows of the mixture together.
   * @throws DataError when the mixture is used up
   */
  async batchAt(step: number): Promise<TokenBatch> {
    const { documentMask, globalBatch } = this.shape;
    const rows = this.shape.rows(step).map((row) => {
      const { dataset, index } = this.course.at(step * globalBatch + row);
      return this.datasets[dataset].rows.row(this.orders[dataset].at(index), documentMask);
    });
    const filled = await fillRows(rows, this.sequenceLength, documentMask);
    const all = this.datasets.reduce((sum, dataset) => sum + dataset.rows.rows, 0);
    return { step, epoch: (step * globalBatch) / all, ...filled };
  }
}
