/**
 * What tensors' memory is for: weights, gradients, moments, activations. Kept on the JavaScript thread, one small object per handle, beside the
 * addon's pool, whose buffers it follows: a buffer counts once however many views share it.
 */

import type { DeviceName } from "./device.js";

/** What the bytes of a device are used for. */
export const MEMORY_CATEGORIES = [
  "weights",
  "gradients",
  "moments",
  "activations",
  "workspace",
  "other",
] as const;
export type MemoryCategory = (typeof MEMORY_CATEGORIES)[number];

/** Categories that tensors have; the workspace belongs to the kernels. */
export type TensorCategory = Exclude<MemoryCategory, "workspace">;

/** Bytes by category; `total` is their sum. */
export type MemorySplit = Record<MemoryCategory | "total", number>;

const CODES: Readonly<Record<TensorCategory, number>> = {
  weights: 0,
  gradients: 1,
  moments: 2,
  activations: 3,
  other: 4,
};
const ACTIVATIONS = CODES.activations;
const OTHER = CODES.other;

/** The running sums of one device. */
class Tally {
  readonly live = [0, 0, 0, 0, 0];
  readonly atPeak = [0, 0, 0, 0, 0];
  total = 0;
  peak = 0;

  add(category: number, bytes: number): void {
    this.live[category] += bytes;
    this.total += bytes;
    if (this.total > this.peak) this.mark();
  }

  remove(category: number, bytes: number): void {
    this.live[category] -= bytes;
    this.total -= bytes;
  }

  move(from: number, to: number, bytes: number): void {
    this.live[from] -= bytes;
    this.live[to] += bytes;
    // The name may come right after the memory: at the peak it counts from the beginning.
    if (this.total === this.peak) this.mark();
  }

  mark(): void {
    this.peak = this.total;
    for (let i = 0; i < 5; i++) this.atPeak[i] = this.live[i];
  }
}

const tallies = new Map<DeviceName, Tally>();

function tallyOf(device: DeviceName): Tally {
  let tally = tallies.get(device);
  if (tally === undefined) {
    tally = new Tally();
    tallies.set(device, tally);
  }
  return tally;
}

// Category of what is made now.
let current = ACTIVATIONS;

/** A handle's share of a buffer. */
export class Claim {
  private references = 1;
  /** The claim that stands for the buffer: this one, or that of the tensor that was viewed first. */
  private readonly owner: Claim;

  private constructor(
    readonly handle: number,
    owner: Claim | null,
    private readonly bytes: number,
    private readonly tally: Tally,
    private category: number,
  ) {
    this.owner = owner ?? this;
    if (owner === null) tally.add(category, bytes);
    else owner.references += 1;
  }

  /** The claim on a buffer that was just allocated; `weights`: whether gradients are wanted for it. */
  static fresh(handle: number, bytes: number, device: DeviceName, weights: boolean): Claim {
    return new Claim(handle, null, bytes, tallyOf(device), weights ? CODES.weights : current);
  }

  /** The claim of a view of this one's buffer. */
  view(handle: number): Claim {
    const { owner } = this;
    return new Claim(handle, owner, 0, owner.tally, owner.category);
  }

  /** Whether no other tensor shares the buffer. */
  get sole(): boolean {
    return this.owner.references === 1;
  }

  /** The handle was released; the last one takes the bytes along. */
  release(): void {
    const { owner } = this;
    owner.references -= 1;
    if (owner.references === 0) owner.tally.remove(owner.category, owner.bytes);
  }

  /** Says what the buffer is for, where that shows only after it was made. */
  assign(category: TensorCategory): void {
    const { owner } = this;
    const code = CODES[category];
    if (owner.category === code) return;
    owner.tally.move(owner.category, code, owner.bytes);
    owner.category = code;
  }

  /** What an operation recorded: an activation, unless it is known as something else. */
  recorded(): void {
    if (this.owner.category === OTHER) this.assign("activations");
  }
}

function during<Result>(category: number, body: () => Result): Result {
  const before = current;
  current = category;
  try {
    return body();
  } finally {
    current = before;
  }
}

/** Runs `body`; tensors made in it belong to `category`. `body` must be synchronous. */
export function inCategory<Result>(category: TensorCategory, body: () => Result): Result {
  return during(CODES[category], body);
}

/** Runs `body` with or without recording: what would have been an activation then is none, and the other way round. */
export function whileRecording<Result>(recording: boolean, body: () => Result): Result {
  if (recording) return during(current === OTHER ? ACTIVATIONS : current, body);
  return during(current === ACTIVATIONS ? OTHER : current, body);
}

/** Starts a new measurement of a device's peak. */
export function resetTally(device: DeviceName): void {
  const tally = tallyOf(device);
  tally.mark();
}

/**
 * Live bytes and the split at the highest total, of a device whose pool reports `pool` bytes and whose kernels hold `workspace`. What recordings hold
 * now counts as live activations, and at the peak not at all, because the tensors of the recorded calls did; what else the pool holds beyond the tensors
 * known here is `other`.
 */
export function splitMemory(
  device: DeviceName,
  pool: { live: number; peak: number; recorded: number },
  workspace: number,
): { live: MemorySplit; peak: MemorySplit } {
  const tally = tallyOf(device);
  const split = (bytes: readonly number[], known: number, total: number, recorded: number): MemorySplit => ({
    weights: bytes[CODES.weights],
    gradients: bytes[CODES.gradients],
    moments: bytes[CODES.moments],
    activations: bytes[ACTIVATIONS] + recorded,
    workspace,
    other: bytes[OTHER] + Math.max(0, total - known),
    total: Math.max(known, total) + recorded + workspace,
  });
  return {
    live: split(tally.live, tally.total, pool.live, pool.recorded),
    peak: split(tally.atPeak, tally.peak, pool.peak, 0),
  };
}
