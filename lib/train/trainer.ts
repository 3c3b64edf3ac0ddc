/** The trainer: an async iterator of events that trains a model, evaluates and saves it, and goes on exactly where a run ended. */

import { prefetch } from "../data/index.js";
import { ConfigError } from "../errors.js";
import { createOptimizer, Optimizer, type Schedule } from "../optim/index.js";
import { randomState, setRandomState } from "../tensor/random.js";
import { divergenceError, findCulprit, LossWatch } from "./divergence.js";
import { evaluate } from "./evaluate.js";
import type { EvalEvent, InfoEvent, StepEvent, TrainerEvent, WarningEvent } from "./events.js";
import { Journal } from "./journal.js";
import {
  type FilledOptions,
  fillOptions,
  resolveCapture,
  resolveSchedule,
  type TrainerOptions,
} from "./options.js";
import { measurePeakFlops } from "./peak.js";
import { identityOf, type TrainingState } from "./state.js";
import { type QueuedStep, type StepNumbers, Stepper } from "./step.js";

/** Draws of a run begin far behind those of a model's initialisation, so that one seed may serve both. */
const FIRST_DRAW = 2 ** 40;

/**
 * Trains a model. `for await (const event of trainer.run())` runs it; leaving the loop early stops after the current step, without a checkpoint
 * (abort `signal` to get one).
 */
export class Trainer {
  /** The optimizer in use. */
  readonly optimizer: Optimizer;
  private readonly stepper: Stepper;
  private step = 0;
  private tokens = 0;
  private best: TrainingState["best"] = null;
  private evaluated = -1;
  /** When the last step's numbers arrived: the next one runs since then at the earliest. */
  private lastDone = 0;
  private running = false;
  private told = false;

  private constructor(
    private readonly options: FilledOptions,
    optimizer: Optimizer,
    private readonly schedule: Schedule,
    private readonly identity: Record<string, unknown>,
    private readonly journal: Journal | null,
    private watch: LossWatch,
    private readonly flopsPerToken: number,
    private readonly peakFlops: number,
  ) {
    this.optimizer = optimizer;
    const { batches, accumulation, clip, seed } = options;
    this.stepper = new Stepper(options.model, optimizer, {
      sequenceLength: batches.sequenceLength,
      accumulation,
      clip,
      random: { seed, offset: FIRST_DRAW },
      capture: resolveCapture(options.capture, optimizer.parameters()[0].device),
    });
  }

  /**
   * Prepares a run; with `resume`, model and optimizer are brought to where it ended.
   * @throws ConfigError for options that are unknown or out of range; CheckpointError when the run cannot be resumed
   */
  static async create(options: TrainerOptions): Promise<Trainer> {
    const filled = fillOptions(options);
    const { model, batches, runDir } = filled;
    const optimizer =
      filled.optimizer instanceof Optimizer
        ? filled.optimizer
        : createOptimizer(model.namedParameters(), filled.optimizer);
    const { multiplier, identity: scheduleIdentity } = resolveSchedule(filled.schedule, filled.steps);
    const identity = identityOf(filled, optimizer, scheduleIdentity);
    if (filled.checkpointing !== undefined) model.checkpointing = filled.checkpointing;
    const peakFlops = filled.peakFlops ?? (await measurePeakFlops(model.dtype));
    const flopsPerToken = model.facts().trainingFlopsPerToken(batches.sequenceLength);
    const opened = runDir === undefined ? null : await Journal.open({ ...filled, runDir });
    try {
      const trainer = new Trainer(
        filled,
        optimizer,
        multiplier,
        identity,
        opened?.journal ?? null,
        new LossWatch(filled.spikeFactor),
        flopsPerToken,
        peakFlops,
      );
      if (opened?.existed) {
        const state = await opened.journal.restore(model, optimizer, identity);
        if (state !== null) trainer.goTo(state);
      }
      return trainer;
    } catch (error) {
      await opened?.journal.close();
      throw error;
    }
  }

  private goTo(state: TrainingState): void {
    this.step = state.step;
    this.tokens = state.tokens;
    this.stepper.random = state.random;
    this.watch = new LossWatch(this.options.spikeFactor, state.recentLosses);
    this.best = state.best;
    this.evaluated = state.evaluated;
  }

  /** Steps done so far, those before a resume included. */
  get stepsDone(): number {
    return this.step;
  }

  /**
   * Runs the steps that are left. The numbers of a step are read while the next one runs.
   * @throws DivergenceError when the loss is not finite or spikes; CheckpointError when the disk refuses. Checkpoints so far stay good in either case.
   */
  async *run(): AsyncGenerator<TrainerEvent, void, void> {
    if (this.running) throw new ConfigError("A trainer runs once. Create another one to go on.", {});
    this.running = true;
    const { model, steps, batches, signal, evalAtStart = false } = this.options;
    model.train();
    try {
      yield* this.warnings();
      // A run that ended between a step and its evaluation makes up for it.
      if (this.step > 0 ? this.due(this.options.evalEvery) : evalAtStart) yield* this.measure();
      if (this.step === 0 && evalAtStart) yield* this.sample();
      let queued: QueuedStep | null = null;
      for await (const batch of prefetch(batches, this.step, 2, { end: Math.max(steps, this.step) })) {
        if (signal?.aborted) break;
        const step = (queued?.step ?? this.step) + 1;
        const next = this.stepper.queue(step, batch, this.schedule(step - 1));
        if (queued !== null) yield* this.finish(queued);
        queued = next;
        yield* this.notices();
        if (this.pauses(step)) {
          yield* this.finish(queued);
          queued = null;
          yield* this.pause();
        }
      }
      if (queued !== null) yield* this.finish(queued);
      if (this.step > 0) yield* this.save();
      yield {
        type: "done",
        step: this.step,
        reason: this.step < steps ? "interrupted" : "finished",
        checkpoint: this.journal?.last?.path ?? null,
      };
    } finally {
      await this.close();
    }
  }

  /** Ends the trainer: closes the run folder and frees an optimizer that the trainer made. The model stays. `run` does it at its end. */
  async close(): Promise<void> {
    this.stepper.dispose();
    if (this.optimizer !== this.options.optimizer) this.optimizer.dispose();
    await this.journal?.close();
  }

  /** Ends the trainer at the end of an `await using` block. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  /** Whether something happens every `every` steps and at the end, and now. */
  private due(every: number, step = this.step): boolean {
    return step % every === 0 || step === this.options.steps;
  }

  /** Whether the device must finish step `step` before the next one is queued. */
  private pauses(step: number): boolean {
    const { validation, evalEvery, sampler, sampleEvery, saveEvery, signal } = this.options;
    return (
      signal?.aborted === true ||
      (validation !== undefined && this.due(evalEvery, step)) ||
      (sampler !== undefined && this.due(sampleEvery, step)) ||
      (this.journal !== null && this.due(saveEvery, step))
    );
  }

  private async *pause(): AsyncGenerator<TrainerEvent, void, void> {
    const { evalEvery, saveEvery, signal } = this.options;
    if (!signal?.aborted && this.due(evalEvery)) yield* this.measure();
    if (this.due(saveEvery)) yield* this.save();
    if (!signal?.aborted && this.due(this.options.sampleEvery)) yield* this.sample();
  }

  private *warnings(): Generator<WarningEvent, void, void> {
    for (const message of this.journal?.warnings.splice(0) ?? [])
      yield { type: "warning", step: this.step, message };
  }

  /** Says, once, why steps are not captured although they were to be. */
  private *notices(): Generator<InfoEvent, void, void> {
    const { notice } = this.stepper;
    if (notice === null || this.told) return;
    this.told = true;
    yield { type: "info", step: this.step, message: notice };
  }

  /** Waits for a queued step, checks and records its numbers. */
  private async *finish(queued: QueuedStep): AsyncGenerator<TrainerEvent, void, void> {
    const numbers = await queued.numbers;
    const now = performance.now();
    const secondsPerStep = (now - Math.max(this.lastDone, queued.queuedAt)) / 1000;
    this.lastDone = now;
    const wrong = this.watch.check(numbers.loss, numbers.gradNorm);
    if (wrong !== undefined) throw await this.diverged(queued, numbers, wrong);
    const { metricsEvery } = this.options;
    this.step = queued.step;
    this.tokens += queued.batch.inputs.length;
    const tokensPerSecond = queued.batch.inputs.length / secondsPerStep;
    const event: StepEvent = {
      type: "step",
      step: this.step,
      loss: numbers.loss,
      lr: queued.lr,
      gradNorm: numbers.gradNorm,
      tokens: this.tokens,
      tokensPerSecond,
      secondsPerStep,
      mfu: this.peakFlops > 0 ? (tokensPerSecond * this.flopsPerToken) / this.peakFlops : null,
      terms: numbers.terms,
    };
    if (this.due(metricsEvery)) await this.journal?.record(event);
    yield event;
  }

  private async diverged(queued: QueuedStep, numbers: StepNumbers, reason: string): Promise<Error> {
    const outside = randomState();
    const culprit = await findCulprit(this.optimizer.namedParameters(), () => {
      setRandomState(queued.random);
      this.stepper.gradients(queued.batch);
      setRandomState(outside);
    });
    this.optimizer.zeroGrad();
    const { loss, gradNorm } = numbers;
    return divergenceError(queued.step, reason, { loss, gradNorm }, culprit, this.journal?.last ?? null);
  }

  /** Evaluates, unless this step was evaluated already. */
  private async *measure(): AsyncGenerator<TrainerEvent, void, void> {
    const { validation, model, batches, validationLength, evalBatches, signal } = this.options;
    if (validation === undefined || this.evaluated === this.step) return;
    const begin = performance.now();
    const result = await evaluate(model, validation(), {
      sequenceLength: validationLength ?? batches.sequenceLength,
      maxBatches: evalBatches,
      signal,
    });
    if (result === null) return;
    const { loss, perplexity, bitsPerByte, tokens } = result;
    const best = this.best === null || loss < this.best.loss;
    if (best) this.best = { step: this.step, loss };
    this.evaluated = this.step;
    const seconds = (performance.now() - begin) / 1000;
    const event: EvalEvent = {
      type: "eval",
      step: this.step,
      loss,
      perplexity,
      bitsPerByte,
      tokens,
      seconds,
      best,
    };
    await this.journal?.record(event);
    yield event;
  }

  private async *sample(): AsyncGenerator<TrainerEvent, void, void> {
    const { sampler, model, signal } = this.options;
    if (sampler === undefined) return;
    const random = randomState();
    model.eval();
    try {
      yield { type: "sample", step: this.step, text: await sampler({ step: this.step, model, signal }) };
    } finally {
      model.train();
      setRandomState(random);
    }
  }

  private async *save(): AsyncGenerator<TrainerEvent, void, void> {
    const { journal } = this;
    if (journal === null || journal.last?.step === this.step) return;
    const begin = performance.now();
    const state: TrainingState = {
      format: 1,
      step: this.step,
      tokens: this.tokens,
      random: this.stepper.random,
      optimizer: this.optimizer.state(),
      identity: this.identity,
      recentLosses: this.watch.recent,
      best: this.best,
      evaluated: this.evaluated,
      versions: { node: process.version },
    };
    const pin = this.best?.step === this.step ? "best" : undefined;
    const { step, path, bytes } = await journal.save(this.options.model, this.optimizer, state, pin);
    yield { type: "checkpoint", step, path, bytes, seconds: (performance.now() - begin) / 1000 };
    yield* this.warnings();
  }
}
