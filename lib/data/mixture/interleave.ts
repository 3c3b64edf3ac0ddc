/**
 * Mixtures of datasets: which dataset each row comes from, in which pass over it, and when one is used up. Every row's place is
 * computed from its number alone, so that a run may go on anywhere.
 */
import { ConfigError } from "../../errors.js";

/** Longest period of an interleaving; weights that are no multiples of its inverse are rounded to them. */
const LONGEST_PERIOD = 100_000;
/** How near to a whole number a share of the period must come. */
const TOLERANCE = 1e-9;

/**
 * A fixed order of datasets that realises weights as exactly as whole rows can: among the first n places each dataset
 * has n · weight of them, within less than one, for every n (Tijdeman, "The chairman assignment problem", 1980). The
 * order is periodic.
 */
export class Interleave {
  /** Places of one period. */
  readonly period: number;
  /** Places of each dataset in one period; share / period is the weight that is realised. */
  readonly shares: readonly number[];
  /** The dataset at each place of a period. */
  private readonly order: Uint16Array;
  /** How often the dataset at a place stood before it in the period. */
  private readonly before: Uint32Array;
  /** Places of each dataset in the period. */
  private readonly places: readonly Uint32Array[];

  /**
   * @param weights at least 0, not all of them 0; 0 leaves a dataset out
   * @throws ConfigError for other weights, and for one that is too small beside the others
   */
  constructor(weights: readonly number[]) {
    const total = weights.reduce((sum, weight) => sum + weight, 0);
    if (weights.some((weight) => !(weight >= 0)) || !(total > 0 && total < Number.POSITIVE_INFINITY)) {
      throw new ConfigError(
        `Weights must be at least 0 and one of them above 0, got ${weights.join(", ") || "none"}.`,
        { weights },
      );
    }
    const parts = weights.map((weight) => weight / total);
    this.period = periodOf(parts);
    this.shares = roundedShares(parts, this.period);
    this.shares.forEach((share, i) => {
      if (share > 0 || weights[i] === 0) return;
      throw new ConfigError(
        `The weight ${weights[i]} is less than a ${LONGEST_PERIOD}th of all weights (${total}). Leave the dataset out, or give it more.`,
        { weights, index: i },
      );
    });
    this.order = assign(this.shares, this.period);
    this.before = new Uint32Array(this.period);
    const places = this.shares.map((share) => new Uint32Array(share));
    const seen = new Array<number>(this.shares.length).fill(0);
    this.order.forEach((dataset, place) => {
      places[dataset][seen[dataset]] = place;
      this.before[place] = seen[dataset]++;
    });
    this.places = places;
  }

  /** The dataset at a place, and how many of the places before belong to it. */
  at(place: number): { dataset: number; before: number } {
    const inside = place % this.period;
    const dataset = this.order[inside];
    return {
      dataset,
      before: Math.floor(place / this.period) * this.shares[dataset] + this.before[inside],
    };
  }

  /** How many of the first `places` places belong to a dataset. */
  count(dataset: number, places: number): number {
    const mine = this.places[dataset];
    const inside = places % this.period;
    let low = 0;
    let high = mine.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (mine[middle] < inside) low = middle + 1;
      else high = middle;
    }
    return Math.floor(places / this.period) * mine.length + low;
  }

  /** The place of a dataset's row number `index`, from 0; infinity where it has none. */
  placeOf(dataset: number, index: number): number {
    const mine = this.places[dataset];
    if (mine.length === 0) return Number.POSITIVE_INFINITY;
    return Math.floor(index / mine.length) * this.period + mine[index % mine.length];
  }
}

/** The shortest period that all weights are whole numbers of, or the longest allowed. */
function periodOf(parts: readonly number[]): number {
  for (let period = 1; period < LONGEST_PERIOD; period++) {
    const whole = parts.every((part) => {
      const share = part * period;
      return (
        Math.abs(share - Math.round(share)) < TOLERANCE * period && (part === 0 || Math.round(share) > 0)
      );
    });
    if (whole) return period;
  }
  return LONGEST_PERIOD;
}

/** Whole shares that add up to the period, by largest remainder. */
function roundedShares(parts: readonly number[], period: number): number[] {
  const shares = parts.map((part) => Math.floor(part * period + TOLERANCE * period));
  const rest = period - shares.reduce((sum, share) => sum + share, 0);
  parts
    .map((part, i) => ({ i, remainder: part * period - shares[i] }))
    .sort((a, b) => b.remainder - a.remainder || a.i - b.i)
    .slice(0, rest)
    .forEach(({ i }) => {
      shares[i]++;
    });
  return shares;
}

/**
 * Tijdeman's order: of the datasets that may have place n + 1 already (n + 1) · λ − x ≥ 1/(2k − 2), the one that must have its
 * next place the soonest. Here λ = share/period and x = places so far; all in whole numbers times 2k − 2.
 */
function assign(shares: readonly number[], period: number): Uint16Array {
  const order = new Uint16Array(period);
  const mixed = shares.flatMap((share, i) => (share > 0 ? [i] : []));
  if (mixed.length === 1) return order.fill(mixed[0]);
  const scale = 2 * mixed.length - 2;
  const taken = new Array<number>(shares.length).fill(0);
  for (let place = 0; place < period; place++) {
    let best = -1;
    let soonest = Number.POSITIVE_INFINITY;
    for (const i of mixed) {
      if (scale * (shares[i] * (place + 1) - taken[i] * period) < period) continue;
      const deadline = ((taken[i] + 1) * scale - 1) / shares[i];
      if (deadline < soonest) {
        soonest = deadline;
        best = i;
      }
    }
    order[place] = best;
    taken[best]++;
  }
  return order;
}
