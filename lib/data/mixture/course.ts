/** The course of a mixture: stretches of rows with fixed weights, which end where the schedule or a dataset's end says. */
import { ConfigError, DataError, didYouMean } from "../../errors.js";
import { Interleave } from "./interleave.js";

/** One dataset of a mixture, as far as its course is concerned. */
export interface CoursePart {
  name: string;
  /** Rows of one pass. */
  rows: number;
  weight: number;
  /** Passes after which it is left out. Default: no end. */
  maxEpochs?: number;
}

/** Other weights from a step on. */
export interface WeightChange {
  /** First step (from 0) with these weights. */
  fromStep: number;
  /** By the datasets' order, or by their names (those left out have 0). */
  weights: readonly number[] | Readonly<Record<string, number>>;
}

/** Rows with fixed weights. */
interface Stretch {
  /** First row of the whole mixture. */
  from: number;
  /** Row after the last one. */
  to: number;
  interleave: Interleave;
  /** Rows of each dataset before. */
  before: readonly number[];
}

/** Which row of which dataset comes at each place. */
export class MixtureCourse {
  private readonly stretches: Stretch[] = [];
  private readonly limits: readonly number[];
  /** Rows until all datasets are used up; infinity where one has no end. */
  readonly length: number;

  /**
   * @param rowsPerStep rows of one step of all processes
   * @throws ConfigError for a schedule that is out of order or names no dataset
   */
  constructor(
    private readonly parts: readonly CoursePart[],
    rowsPerStep: number,
    schedule: readonly WeightChange[] = [],
  ) {
    if (parts.length === 0) throw new ConfigError("A mixture needs at least one dataset.");
    this.limits = parts.map(({ name, rows, maxEpochs }) => {
      if (maxEpochs === undefined) return Number.POSITIVE_INFINITY;
      if (maxEpochs > 0 && Math.floor(rows * maxEpochs) > 0) return Math.floor(rows * maxEpochs);
      throw new ConfigError(
        `maxEpochs of ${name} must leave at least one of its ${rows} rows, got ${maxEpochs}.`,
        {
          name,
          maxEpochs,
        },
      );
    });
    const changes = [{ row: 0, weights: parts.map(({ weight }) => weight) }];
    for (const { fromStep, weights } of schedule) {
      const row = fromStep * rowsPerStep;
      const last = changes[changes.length - 1];
      if (!Number.isSafeInteger(fromStep) || fromStep < 0 || (changes.length > 1 && row <= last.row)) {
        throw new ConfigError(
          `The steps of a mixture's schedule must be whole numbers that increase, got ${fromStep}.`,
          { fromStep },
        );
      }
      if (row === 0) changes.pop();
      changes.push({ row, weights: this.byOrder(weights) });
    }
    changes.forEach(({ row, weights }, i) => {
      this.extend(row, changes[i + 1]?.row ?? Number.POSITIVE_INFINITY, weights);
    });
    this.length = this.stretches[this.stretches.length - 1].to;
  }

  private byOrder(weights: WeightChange["weights"]): number[] {
    const names = this.parts.map(({ name }) => name);
    if (Array.isArray(weights)) {
      if (weights.length === names.length) return weights;
      throw new ConfigError(
        `A change of weights names ${weights.length} of them, the mixture has ${names.length} datasets.`,
        { weights, datasets: names },
      );
    }
    for (const name of Object.keys(weights)) {
      if (names.includes(name)) continue;
      throw new ConfigError(
        `The mixture has no dataset "${name}", only ${names.join(", ")}.${didYouMean(name, names)}`,
        { name, datasets: names },
      );
    }
    return names.map((name) => (weights as Record<string, number>)[name] ?? 0);
  }

  /** Adds the stretches from one change of weights to the next; a dataset that is used up ends one. */
  private extend(from: number, end: number, weights: readonly number[]): void {
    let begin = from;
    const left = [...weights];
    while (begin < end) {
      const before = this.counts(begin);
      before.forEach((count, i) => {
        if (count >= this.limits[i]) left[i] = 0;
      });
      if (left.every((weight) => weight === 0)) return;
      const interleave = new Interleave(left);
      let to = end;
      left.forEach((weight, i) => {
        const rows = this.limits[i] - before[i];
        if (weight > 0 && rows < Number.POSITIVE_INFINITY) {
          to = Math.min(to, begin + interleave.placeOf(i, rows - 1) + 1);
        }
      });
      this.stretches.push({ from: begin, to, interleave, before });
      begin = to;
    }
  }

  /** Rows of each dataset among the first `rows` rows. */
  counts(rows: number): number[] {
    const counts = this.parts.map(() => 0);
    for (const { from, to, interleave } of this.stretches) {
      if (from >= rows) break;
      const places = Math.min(rows, to) - from;
      for (let i = 0; i < counts.length; i++) counts[i] += interleave.count(i, places);
    }
    return counts;
  }

  /**
   * The dataset of a row, and which of the dataset's rows it is, counted over all passes.
   * @throws DataError behind the end of the mixture
   */
  at(row: number): { dataset: number; index: number } {
    let low = 0;
    let high = this.stretches.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (this.stretches[middle].from <= row) low = middle;
      else high = middle - 1;
    }
    const { from, to, interleave, before } = this.stretches[low];
    if (row >= to) {
      throw new DataError(
        `The mixture is used up after ${to} rows: ${this.parts.map(({ name, maxEpochs }) => `${name} has maxEpochs ${maxEpochs ?? "none"}`).join(", ")}. ` +
          "Train for fewer steps, raise maxEpochs, or add data.",
        { rows: to, row },
      );
    }
    const place = interleave.at(row - from);
    return { dataset: place.dataset, index: before[place.dataset] + place.before };
  }
}
