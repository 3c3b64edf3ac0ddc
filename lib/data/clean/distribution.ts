/** How the values of a statistic are distributed: counts in fixed bins, so that parts of a corpus add up exactly. */
import { FormatError } from "../../errors.js";
import type { CleanRule } from "./rules.js";

/** Bins of every distribution. */
export const BINS = 40;

/** What a distribution is kept as. */
export interface DistributionJson {
  count: number;
  /** Smallest and largest value; null when there is none. */
  least: number | null;
  most: number | null;
  /** Documents in each bin; values beyond the range are in the first and last. */
  bins: number[];
}

/** Counts of values in BINS bins over the range of a rule, evenly or logarithmically spaced. */
export class Distribution {
  count = 0;
  least = Number.POSITIVE_INFINITY;
  most = Number.NEGATIVE_INFINITY;
  readonly bins = new Array<number>(BINS).fill(0);
  /** Bounds of the bins, one more than there are. */
  readonly edges: readonly number[];

  constructor(rule: Pick<CleanRule, "range" | "scale">) {
    const [low, high] = rule.range;
    this.edges = Array.from({ length: BINS + 1 }, (_, at) =>
      rule.scale === "log" ? low * (high / low) ** (at / BINS) : low + ((high - low) * at) / BINS,
    );
  }

  /** A document's value. */
  add(value: number): void {
    this.count++;
    if (value < this.least) this.least = value;
    if (value > this.most) this.most = value;
    this.bins[this.binOf(value)]++;
  }

  /** The bin with a value: the last one that begins at it or below. */
  binOf(value: number): number {
    let low = 0;
    let high = BINS - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (this.edges[middle] <= value) low = middle;
      else high = middle - 1;
    }
    return low;
  }

  /** About the value below which a share `q` of the documents lies: exact to a bin's width; NaN without documents. */
  quantile(q: number): number {
    let left = q * this.count;
    for (let bin = 0; bin < BINS; bin++) {
      if (this.bins[bin] > 0 && left <= this.bins[bin]) {
        const [from, to] = [this.edges[bin], this.edges[bin + 1]];
        return Math.min(this.most, Math.max(this.least, from + (to - from) * (left / this.bins[bin])));
      }
      left -= this.bins[bin];
    }
    return this.count > 0 ? this.most : Number.NaN;
  }

  /** Adds the documents of another distribution over the same range. */
  merge(other: Distribution): void {
    this.count += other.count;
    this.least = Math.min(this.least, other.least);
    this.most = Math.max(this.most, other.most);
    for (let bin = 0; bin < BINS; bin++) this.bins[bin] += other.bins[bin];
  }

  toJSON(): DistributionJson {
    const { count, least, most, bins } = this;
    return { count, least: count > 0 ? least : null, most: count > 0 ? most : null, bins: [...bins] };
  }

  /** @throws FormatError for bins that cannot be counts. */
  static fromJSON(rule: Pick<CleanRule, "range" | "scale">, json: DistributionJson): Distribution {
    const made = new Distribution(rule);
    const whole = (value: unknown) => Number.isSafeInteger(value) && (value as number) >= 0;
    if (
      !Array.isArray(json?.bins) ||
      json.bins.length !== BINS ||
      !json.bins.every(whole) ||
      !whole(json.count)
    ) {
      throw new FormatError(`A distribution in a cleaning report must have ${BINS} counts.`, { json });
    }
    made.count = json.count;
    made.least = json.least ?? Number.POSITIVE_INFINITY;
    made.most = json.most ?? Number.NEGATIVE_INFINITY;
    json.bins.forEach((count, bin) => {
      made.bins[bin] = count;
    });
    return made;
  }
}
