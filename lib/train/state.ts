/** What a checkpoint of a run holds, and its way back: arrays of model and optimizer bit for bit, everything else as JSON. */

import { CheckpointError } from "../errors.js";
import type { LoadedCheckpoint, NamedArray } from "../io/index.js";
import type { CausalLM } from "../models/causal-lm.js";
import type { Optimizer, OptimizerState } from "../optim/index.js";
import type { RandomState } from "../tensor/random.js";
import type { Tensor } from "../tensor/tensor.js";
import type { FilledOptions } from "./options.js";

/** state.json of a run's checkpoint. */
export interface TrainingState {
  /** Version of this form. */
  format: 1;
  /** Steps done. */
  step: number;
  /** Tokens trained on. */
  tokens: number;
  /** Random numbers of the next step. */
  random: RandomState;
  optimizer: OptimizerState;
  /** The settings that decide the losses; see `identityOf`. */
  identity: Record<string, unknown>;
  /** Losses that the spike watch measures by. */
  recentLosses: number[];
  /** The best evaluation so far. */
  best: { step: number; loss: number } | null;
  /** The last step that was evaluated; −1 for none. */
  evaluated: number;
  /** Versions that wrote it. */
  versions: { node: string };
}

/** All settings that change the losses of a run, by name. The data's position is the step itself. */
export function identityOf(
  options: FilledOptions,
  optimizer: Optimizer,
  schedule: unknown,
): Record<string, unknown> {
  const { model, batches, accumulation, clip, seed } = options;
  const identity = {
    model: { type: model.modelType, dtype: model.dtype, config: model.config },
    data: batches.fingerprint ?? null,
    batchSize: batches.batchSize,
    sequenceLength: batches.sequenceLength,
    accumulation,
    optimizer: optimizer.identity(),
    schedule,
    clip,
    seed,
  };
  // As JSON gives it back: fields that are undefined are gone.
  return JSON.parse(JSON.stringify(identity));
}

const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null;

/** A setting that differs. */
export interface Difference {
  /** For example `optimizer.lr`. */
  field: string;
  saved: unknown;
  now: unknown;
}

/** The fields in which two identities differ. */
export function differences(saved: unknown, now: unknown, field = ""): Difference[] {
  if (isRecord(saved) && isRecord(now) && Array.isArray(saved) === Array.isArray(now)) {
    const keys = new Set([...Object.keys(saved), ...Object.keys(now)]);
    return [...keys].flatMap((key) =>
      differences(saved[key], now[key], field === "" ? key : `${field}.${key}`),
    );
  }
  return Object.is(saved, now) ? [] : [{ field, saved, now }];
}

/** `optimizer.lr is 0.001 in the checkpoint and 0.002 now`. */
export function describeDifference({ field, saved, now }: Difference): string {
  const show = (value: unknown): string => (value === undefined ? "absent" : JSON.stringify(value));
  return `${field} is ${show(saved)} in the checkpoint and ${show(now)} now`;
}

interface Entry {
  name: string;
  tensor: Tensor;
}

/** Every tensor of a run by its name in checkpoints: `model.…` and `optimizer.…`. Call inside a scope: some are views. */
function entriesOf(model: CausalLM, optimizer: Optimizer): Entry[] {
  return [
    ...[...model.state()].map(({ name, tensor }) => ({ name: `model.${name}`, tensor })),
    ...optimizer.namedState().map(({ name, tensor }) => ({ name: `optimizer.${name}`, tensor })),
  ];
}

/** The arrays of a checkpoint; each is read from the device when its turn comes. Keep the scope open until they are saved. */
export function arraysOf(model: CausalLM, optimizer: Optimizer): NamedArray[] {
  return entriesOf(model, optimizer).map(({ name, tensor }) => ({
    name,
    dtype: tensor.dtype,
    shape: tensor.shape,
    data: () => tensor.bytes(),
  }));
}

/** Stored bytes as the array type of a dtype. */
function typed(bytes: Uint8Array, dtype: string): Float32Array | Uint16Array | Int32Array | Uint8Array {
  // Views need aligned offsets; a part of a larger buffer may not have one.
  const { buffer } = bytes.byteOffset % 4 === 0 ? bytes : bytes.slice();
  const offset = bytes.byteOffset % 4 === 0 ? bytes.byteOffset : 0;
  switch (dtype) {
    case "f32":
      return new Float32Array(buffer, offset, bytes.byteLength / 4);
    case "bf16":
      return new Uint16Array(buffer, offset, bytes.byteLength / 2);
    case "i32":
      return new Int32Array(buffer, offset, bytes.byteLength / 4);
    default:
      return bytes;
  }
}

/**
 * Writes the arrays of a checkpoint into model and optimizer. Call inside a scope.
 * @throws CheckpointError when an array is missing or has another shape or dtype
 */
export async function restoreArrays(
  checkpoint: LoadedCheckpoint,
  model: CausalLM,
  optimizer: Optimizer,
): Promise<void> {
  for (const { name, tensor } of entriesOf(model, optimizer)) {
    const array = checkpoint.arrays.get(name);
    const wanted = `${tensor.dtype} [${tensor.shape.join(", ")}]`;
    const found = array === undefined ? "nothing" : `${array.dtype} [${array.shape.join(", ")}]`;
    if (array === undefined || wanted !== found) {
      throw new CheckpointError(
        `${checkpoint.path}: the run needs ${name} as ${wanted}, but the checkpoint has ${found}. Resume with the model and the optimizer of the run.`,
        { path: checkpoint.path, array: name, expected: wanted, got: found },
      );
    }
    tensor.write(typed(await array.data(), tensor.dtype));
  }
}

/**
 * Checks that state.json is one that this version understands.
 * @throws CheckpointError otherwise
 */
export function readState(checkpoint: LoadedCheckpoint): TrainingState {
  const state = checkpoint.state as Partial<TrainingState> | null;
  if (
    state?.format !== 1 ||
    state.step !== checkpoint.step ||
    !isRecord(state.random) ||
    !isRecord(state.identity)
  ) {
    throw new CheckpointError(
      `${checkpoint.path} is not a checkpoint of a training run, or one of another version of anneal. Resume with the version that wrote it.`,
      { path: checkpoint.path, format: state?.format },
    );
  }
  return state as TrainingState;
}
