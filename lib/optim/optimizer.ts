/**
 * Optimizer: what AdamW, Adam and SGD share — groups of named parameters, states made when they are first needed, f32 master
 * copies of bf16 parameters, and their place in checkpoints.
 */

import { ConfigError, didYouMean } from "../errors.js";
import { noGrad } from "../tensor/autograd.js";
import { beforeReplay, isCapturing, uncaptured } from "../tensor/capture.js";
import { zerosLike } from "../tensor/ops/create.js";
import { cast } from "../tensor/ops/elementwise.js";
import {
  type ParameterRow,
  type ParameterTable,
  parameterTable,
  StepSchedule,
} from "../tensor/ops/optimizer.js";
import { keep } from "../tensor/scope.js";
import type { Tensor } from "../tensor/tensor.js";

/** Says which parameters weight decay applies to. */
export type DecayRule = (name: string, tensor: Tensor) => boolean;

/** Parameters that share settings; settings left out are the optimizer's. */
export type ParameterGroup<Settings> = Partial<Settings> & {
  params: readonly Tensor[] | readonly (readonly [string, Tensor])[];
};

/** Parameters of an optimizer: tensors, named tensors (`model.namedParameters()`), or groups of either. */
export type ParameterSource<Settings> =
  | readonly Tensor[]
  | readonly (readonly [string, Tensor])[]
  | readonly ParameterGroup<Settings>[];

/** Settings that every optimizer has. */
export interface CommonSettings {
  /** Learning rate before the schedule's multiplier. */
  lr: number;
  /** λ. */
  weightDecay: number;
  /** Which parameters it applies to. */
  decay: DecayRule;
}

/** One tensor of an optimizer's state. */
export interface NamedState {
  /** The parameter's name and what the tensor is: `….exp_avg`, `….exp_avg_sq`, `….momentum_buffer`, `….master`. */
  name: string;
  tensor: Tensor;
}

/** What an optimizer's state holds beside its tensors. */
export interface OptimizerState {
  /** Steps taken. */
  step: number;
}

/** Tensors that belong to one parameter. */
export interface ParameterState {
  firstMoment: Tensor | null;
  secondMoment: Tensor | null;
  master: Tensor | null;
}

interface Member {
  readonly name: string;
  readonly tensor: Tensor;
  readonly decays: boolean;
  state: ParameterState | null;
}

interface Group<Settings> {
  readonly settings: Settings;
  readonly members: readonly Member[];
  /** Made for the first captured step. */
  schedule: StepSchedule | null;
}

const isNamed = (item: unknown): item is readonly [string, Tensor] => Array.isArray(item);
const isGroup = <S>(item: unknown): item is ParameterGroup<S> =>
  typeof item === "object" && item !== null && "params" in item;

/** Base class of optimizers. `Settings` are those that may differ between groups. */
export abstract class Optimizer<Settings extends CommonSettings = CommonSettings> {
  /** The name in configurations and checkpoints. */
  abstract readonly type: string;
  /** Schedules set it before each step: every group's rate is multiplied by it. */
  lrMultiplier = 1;
  /** Steps taken. A step that was skipped for a norm that is not finite counts. */
  protected steps = 0;
  private readonly groups: Group<Settings>[];

  /**
   * @param where name of the class, for messages
   * @param defaults settings of groups that leave them out; their keys are all settings that exist
   */
  protected constructor(where: string, params: ParameterSource<Settings>, defaults: Settings) {
    const items: readonly unknown[] = params;
    const groups = items.some((item) => isGroup<Settings>(item))
      ? (params as readonly ParameterGroup<Settings>[])
      : [{ params } as ParameterGroup<Settings>];
    const seen = new Map<Tensor, string>();
    const names = new Set<string>();
    this.groups = groups.map((group) => {
      const { params: members, ...own } = group;
      checkNames(where, own, Object.keys(defaults));
      const settings = { ...defaults, ...own } as Settings;
      return {
        settings,
        schedule: null,
        members: members.map((item) => {
          const [name, tensor] = isNamed(item) ? item : [String(seen.size), item as Tensor];
          const twin = seen.get(tensor);
          if (twin !== undefined || names.has(name)) {
            throw new ConfigError(
              `${where}: parameter "${name}" appears twice${twin === undefined || twin === name ? "" : ` (also as "${twin}")`}. Name each parameter once.`,
              { name },
            );
          }
          seen.set(tensor, name);
          names.add(name);
          return { name, tensor, decays: settings.decay(name, tensor), state: null };
        }),
      };
    });
    if (seen.size === 0) throw new ConfigError(`${where}: there are no parameters to optimize.`, {});
  }

  /** Makes the state of one parameter; moments start at 0. */
  protected abstract newState(tensor: Tensor, settings: Settings): ParameterState;
  /** Names of the first and second moment in checkpoints. */
  protected abstract readonly momentNames: readonly [string, string];
  /** Updates the parameters of a table. `step` counts from 1; both it and `lr` come from `schedule` where there is one. */
  protected abstract update(
    table: ParameterTable,
    clip: Tensor | null,
    settings: Settings,
    lr: number,
    step: number,
    schedule: StepSchedule | null,
  ): void;
  /** Settings that decide the updates, for comparison on resume; JSON values. */
  protected abstract describe(settings: Settings): Record<string, unknown>;

  /** Learning rate of the next step: the first group's, times `lrMultiplier`. */
  get lr(): number {
    return this.groups[0].settings.lr * this.lrMultiplier;
  }

  /** Sets the rate of all groups, and the multiplier to 1. */
  set lr(value: number) {
    for (const group of this.groups) group.settings.lr = value;
    this.lrMultiplier = 1;
  }

  /** Every parameter with its name. */
  namedParameters(): [string, Tensor][] {
    return this.groups.flatMap((group) =>
      group.members.map((member): [string, Tensor] => [member.name, member.tensor]),
    );
  }

  /** Every parameter. */
  parameters(): Tensor[] {
    return this.namedParameters().map(([, tensor]) => tensor);
  }

  /**
   * Updates every parameter that has a gradient, with one kernel call per group. Queued; nothing is read back. In a captured body the step counts, and takes
   * its learning rate, at every replay.
   * @param options.clip factor of the gradients, from `clipGradNorm`; where it is −1 nothing changes
   */
  step(options: { clip?: Tensor } = {}): void {
    const captured = this.groups.some(
      ({ members }) => members.length > 0 && isCapturing(members[0].tensor.device),
    );
    if (captured) this.prepareReplays();
    else this.steps += 1;
    for (const group of this.groups) {
      const rows: ParameterRow[] = [];
      for (const member of group.members) {
        const { tensor, decays } = member;
        if (tensor.grad === null) continue;
        rows.push({
          parameter: tensor,
          gradient: tensor.grad,
          decays,
          ...this.stateOf(member, group.settings),
        });
      }
      if (rows.length === 0) continue;
      const table = parameterTable(rows);
      const { settings } = group;
      const schedule = captured ? group.schedule : null;
      this.update(
        table,
        options.clip ?? null,
        settings,
        settings.lr * this.lrMultiplier,
        this.steps,
        schedule,
      );
      table.tensor.dispose();
    }
  }

  /** Has every replay of the recording under way count a step and set its rate. */
  private prepareReplays(): void {
    for (const group of this.groups) {
      if (group.members.length > 0) group.schedule ??= new StepSchedule(group.members[0].tensor);
    }
    beforeReplay(() => {
      this.steps += 1;
      for (const { settings, schedule } of this.groups) {
        schedule?.set(settings.lr * this.lrMultiplier, this.steps);
      }
    });
  }

  /** Frees all gradients: the next backward starts from none. */
  zeroGrad(): void {
    for (const group of this.groups) {
      for (const { tensor } of group.members) {
        tensor.grad?.dispose();
        tensor.grad = null;
      }
    }
  }

  /**
   * All tensors of the state by name, made now where they are not there yet. To restore a state, write into them and call `loadState`.
   */
  namedState(): NamedState[] {
    const result: NamedState[] = [];
    const [first, second] = this.momentNames;
    for (const group of this.groups) {
      for (const member of group.members) {
        const { firstMoment, secondMoment, master } = this.stateOf(member, group.settings);
        if (firstMoment !== null) result.push({ name: `${member.name}.${first}`, tensor: firstMoment });
        if (secondMoment !== null) result.push({ name: `${member.name}.${second}`, tensor: secondMoment });
        if (master !== null) result.push({ name: `${member.name}.master`, tensor: master });
      }
    }
    return result;
  }

  /** The rest of the state, to save as JSON. */
  state(): OptimizerState {
    return { step: this.steps };
  }

  /** Goes on from a saved state; its tensors are written through `namedState`. */
  loadState(state: OptimizerState): void {
    if (!Number.isSafeInteger(state.step) || state.step < 0) {
      throw new ConfigError(`The optimizer's step must be an integer from 0, got ${String(state.step)}.`, {
        step: state.step,
      });
    }
    this.steps = state.step;
  }

  /** The settings that decide the updates, as JSON: two optimizers of equal identity make equal steps. */
  identity(): Record<string, unknown> {
    const groups = this.groups.map(({ settings, members }) => ({
      ...this.describe(settings),
      weightDecay: settings.weightDecay,
      lr: settings.lr,
      decayed: members.filter((member) => member.decays).map((member) => member.name),
    }));
    const [only] = groups;
    return groups.length === 1 ? { type: this.type, ...only } : { type: this.type, groups };
  }

  /** Frees the state; parameters and gradients stay. */
  dispose(): void {
    for (const group of this.groups) {
      group.schedule?.dispose();
      group.schedule = null;
      for (const member of group.members) {
        member.state?.firstMoment?.dispose();
        member.state?.secondMoment?.dispose();
        member.state?.master?.dispose();
        member.state = null;
      }
    }
  }

  /** Frees the state at the end of a `using` block. */
  [Symbol.dispose](): void {
    this.dispose();
  }

  private stateOf(member: Member, settings: Settings): ParameterState {
    const { tensor } = member;
    member.state ??= uncaptured(tensor.device, () => keep(this.newState(tensor, settings)));
    return member.state;
  }
}

/** An f32 copy of a bf16 parameter; null for f32 ones, which need none. */
export function masterOf(tensor: Tensor): Tensor | null {
  return tensor.dtype === "bf16" ? noGrad(() => cast(tensor, "f32")) : null;
}

/** Zeros of a parameter's shape. */
export function zeroMoment(tensor: Tensor, dtype: "f32" | "bf16"): Tensor {
  return zerosLike(tensor, { dtype });
}

/** Refuses setting names that do not exist. */
export function checkNames(where: string, settings: object, known: readonly string[]): void {
  for (const name of Object.keys(settings)) {
    if (known.includes(name)) continue;
    throw new ConfigError(
      `${where} has no option "${name}".${didYouMean(name, known)} Its options are ${known.join(", ")}.`,
      { option: name, known },
    );
  }
}

/** Refuses a number outside [low, high), or [low, high] where `closed`. */
export function checkRange(where: string, name: string, value: number, low: number, high = Infinity): void {
  if (typeof value === "number" && value >= low && value < high) return;
  const range = high === Infinity ? `a number from ${low}` : `a number from ${low} to below ${high}`;
  throw new ConfigError(`${where}: ${name} must be ${range}, got ${String(value)}.`, { [name]: value });
}
