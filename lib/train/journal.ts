/** A run on disk, as the trainer sees it: metrics, checkpoints, and finding its way back after any end. */

import { CheckpointError, ConfigError } from "../errors.js";
import {
  type FileSystem,
  type JsonlWriter,
  listCheckpoints,
  loadCheckpoint,
  RunFolder,
  removeCheckpointsAfter,
  type SavedCheckpoint,
  saveCheckpoint,
} from "../io/index.js";
import type { CausalLM } from "../models/causal-lm.js";
import type { Optimizer } from "../optim/index.js";
import { scope } from "../tensor/scope.js";
import type { TrainerEvent } from "./events.js";
import {
  arraysOf,
  describeDifference,
  differences,
  readState,
  restoreArrays,
  type TrainingState,
} from "./state.js";

/** What the trainer's options say about the folder. */
export interface JournalOptions {
  runDir: string;
  config?: Record<string, unknown>;
  resume?: boolean | "auto";
  allowChanges?: boolean;
  keep: number;
  fs?: FileSystem;
}

/** A run's folder, open for writing. */
export class Journal {
  /** The newest checkpoint that is known to be good. */
  last: { step: number; path: string } | null = null;
  /** Problems that came up, for the next events. */
  readonly warnings: string[] = [];

  private constructor(
    private readonly folder: RunFolder,
    private readonly metrics: JsonlWriter,
    private readonly options: JournalOptions,
  ) {}

  /** Creates or opens the folder. Whether the run existed is told by `resumed`. */
  static async open(options: JournalOptions): Promise<{ journal: Journal; existed: boolean }> {
    const { runDir, config = {}, resume = false, fs } = options;
    let folder: RunFolder | undefined;
    if (resume !== false) {
      folder = await RunFolder.open(runDir, { fs }).catch((error: unknown) => {
        const absent =
          error instanceof ConfigError && ["ENOENT", "ENOTDIR"].includes(String(error.details.errno));
        if (resume === "auto" && absent) return undefined;
        throw error;
      });
    }
    const existed = folder !== undefined;
    folder ??= await RunFolder.create(runDir, config, { fs });
    try {
      return { journal: new Journal(folder, await folder.openMetrics(), options), existed };
    } catch (error) {
      await folder.close();
      throw error;
    }
  }

  /**
   * Loads the newest good checkpoint into model and optimizer, and drops what belongs to later steps. Null when there is none yet.
   * @throws CheckpointError when settings that decide the losses have changed, naming each
   */
  async restore(
    model: CausalLM,
    optimizer: Optimizer,
    identity: Record<string, unknown>,
  ): Promise<TrainingState | null> {
    const { fs } = this.options;
    const root = this.folder.checkpointsDir;
    const onWarning = (message: string): void => void this.warnings.push(message);
    if ((await listCheckpoints(root, { fs })).length === 0) {
      this.warnings.push(`${this.folder.dir} has no checkpoint yet: the run starts from its first step.`);
      await this.metrics.truncateAfter(() => true);
      return null;
    }
    const checkpoint = await loadCheckpoint(root, { fs, onWarning });
    try {
      const state = readState(checkpoint);
      this.checkIdentity(checkpoint.path, state.identity, identity);
      await scope(() => restoreArrays(checkpoint, model, optimizer));
      optimizer.loadState(state.optimizer);
      await removeCheckpointsAfter(root, state.step, { fs });
      await this.metrics.truncateAfter((record) => (record.step as number) > state.step);
      this.last = { step: checkpoint.step, path: checkpoint.path };
      return state;
    } finally {
      await checkpoint.close();
    }
  }

  private checkIdentity(path: string, saved: Record<string, unknown>, now: Record<string, unknown>): void {
    const changes = differences(saved, now);
    if (changes.length === 0) return;
    const list = changes.map(describeDifference);
    if (this.options.allowChanges === true) {
      for (const change of list) this.warnings.push(`Resumed with a changed setting: ${change}.`);
      return;
    }
    throw new CheckpointError(
      `${path} belongs to another configuration: ${list.join("; ")}. Resume with the run's own settings, start a new run, or allow the change (allowChanges).`,
      { path, fields: changes.map((change) => change.field), changes },
    );
  }

  /** Writes one record of an event to metrics.jsonl. */
  async record(event: TrainerEvent): Promise<void> {
    await this.metrics.append(event);
  }

  /** Saves a checkpoint; when this resolves it is on the disk, and all records before it too. */
  async save(
    model: CausalLM,
    optimizer: Optimizer,
    state: TrainingState,
    pin: string | undefined,
  ): Promise<SavedCheckpoint> {
    const { keep, fs } = this.options;
    await this.metrics.sync();
    const saved = await scope(() =>
      saveCheckpoint(
        this.folder.checkpointsDir,
        state.step,
        { arrays: arraysOf(model, optimizer), state },
        { keep, pin, fs, onWarning: (message) => void this.warnings.push(message) },
      ),
    );
    this.last = { step: saved.step, path: saved.path };
    return saved;
  }

  /** Closes the metrics and gives the folder's lock back. */
  async close(): Promise<void> {
    await this.metrics.close();
    await this.folder.close();
  }
}
