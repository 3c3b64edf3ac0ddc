/** From files to token shards: reads the text, splits it, encodes it, and writes it so that it can be used again. */
import { mkdir } from "node:fs/promises";
import { basename, join } from "node:path";
import { DataError } from "../errors.js";
import { cleanTemporaryFiles } from "../io/atomic.js";
import { type Baselines, baselines } from "./baselines.js";
import { diskError } from "./disk-error.js";
import {
  emptySplit,
  JOURNAL_NAME,
  type Journal,
  MANIFEST_NAME,
  MANIFEST_VERSION,
  type Manifest,
  readJournal,
  readManifest,
  removeOld,
  type SplitRecord,
  writeRecord,
} from "./manifest.js";
import { encodeDocuments } from "./prepare-encode.js";
import {
  type CheckedPreparation,
  checkPreparation,
  type PrepareOptions,
  preparationKey,
} from "./prepare-options.js";
import { PreparationProgress } from "./prepare-progress.js";
import { decideSplit, type SplitDecision } from "./prepare-split.js";
import { TokenShard } from "./shard.js";
import { listSources, type SourceFile } from "./sources.js";
import type { SplitPlan } from "./split.js";
import { SplitWriter } from "./split-writer.js";

export type { PrepareOptions, PrepareProgress } from "./prepare-options.js";

/** One split of prepared data; shards are paths. */
export type PreparedSplit = SplitRecord;

export interface PreparedData {
  train: PreparedSplit;
  /** Without shards when `validationFraction` is 0. */
  validation: PreparedSplit;
  /** Bits per byte of counting models on the validation text; null without validation. */
  baselines: Baselines | null;
  splitMethod: SplitPlan["method"];
  sourceFiles: number;
  sourceBytes: number;
  /** Whether the shards were there already. */
  reused: boolean;
}

/** Names of sources that each shard keeps. */
const NAMED_SOURCES = 16;

/**
 * Makes train and validation shards from text. Unchanged sources, tokenizer and options find the shards of last time. A
 * process that is killed leaves the earlier shards usable, and the next one goes on after the shards that were completed, to
 * the same bytes in the end.
 * @throws DataError, ConfigError or TokenizerError as for reading, splitting, encoding and writing.
 */
export async function prepareTokens(options: PrepareOptions): Promise<PreparedData> {
  const checked = checkPreparation(options);
  const { tokenizer, outDir, force = false, signal, fs } = options;
  const files = await listSources(options.paths, checked.source);
  const key = preparationKey(files, tokenizer, checked);
  const before = await readManifest(outDir);
  if (!force && before?.key === key && (await usable(outDir, before))) {
    // Killed between its last two steps.
    if ((await readJournal(outDir)) !== undefined) await removeOld(outDir, before);
    return result(outDir, before, true);
  }

  const totalBytes = files.reduce((sum, file) => sum + file.size, 0);
  let splits: SplitWriter[] = [];
  const progress = new PreparationProgress(options, totalBytes, () =>
    splits.reduce((sum, { record }) => sum + record.tokens, 0),
  );
  const { source, settings, middle } = checked;
  // What is skipped is told once, while the text is encoded.
  const decision = await decideSplit(
    files,
    { ...source, onSkip: undefined, onRead: undefined },
    settings,
    progress,
  );
  progress.scanned(decision.textBytes);

  await mkdir(outDir, { recursive: true }).catch(async (error) => {
    throw await diskError(error, "token shards", outDir);
  });
  await cleanTemporaryFiles(outDir);
  const done = force ? undefined : await unfinished(outDir, key);
  const [train, validation] = writers(options, checked, key, files, decision, done);
  splits = [train, validation];
  try {
    const { threads } = options;
    await encodeDocuments({
      ...{ files, settings, decision, tokenizer, middle, train, validation },
      source: {
        ...source,
        onRead: (bytes) => {
          source.onRead?.(bytes);
          progress.read(bytes);
        },
      },
      ...{ progress, threads, signal },
    });
    if (train.record.tokens === 0) {
      throw new DataError(
        `The text is too short to be split: ${progress.done} bytes leave nothing for training. ` +
          "Use a longer text or validationFraction: 0.",
        { bytes: progress.done },
      );
    }
    await train.close();
    await validation.close();
  } catch (error) {
    await train.abort();
    await validation.abort();
    throw error;
  }
  progress.ended();
  const manifest: Manifest = {
    version: MANIFEST_VERSION,
    key,
    tokenizer: { name: tokenizer.name, fingerprint: tokenizer.fingerprint, vocabSize: tokenizer.vocabSize },
    splitMethod: decision.method,
    sourceFiles: files.length,
    sourceBytes: totalBytes,
    train: train.record,
    validation: validation.record,
    baselines: validation.counts.total > 0 ? baselines(train.counts, validation.counts) : null,
  };
  await writeRecord(outDir, MANIFEST_NAME, manifest, fs);
  await removeOld(outDir, manifest);
  return result(outDir, manifest, false);
}

/** What `prepareTokens` made in a folder, whatever has become of the sources since; undefined when it is not there or not whole. */
export async function openPrepared(dir: string): Promise<PreparedData | undefined> {
  const manifest = await readManifest(dir);
  return manifest !== undefined && (await usable(dir, manifest)) ? result(dir, manifest, true) : undefined;
}

/** The writers of both splits; each completed shard is recorded at once. */
function writers(
  options: PrepareOptions,
  { settings }: CheckedPreparation,
  key: string,
  files: readonly SourceFile[],
  decision: SplitDecision,
  done: Journal | undefined,
): [train: SplitWriter, validation: SplitWriter] {
  const { tokenizer, outDir, fs } = options;
  const { shardTokens, bos, eos } = settings;
  const sources = files.slice(0, NAMED_SOURCES).map((file) => basename(file.path));
  const provenance = {
    ...settings,
    ...{ key, sources, sourceFiles: files.length, splitMethod: decision.method, tokenizer: tokenizer.name },
  };
  const onShard = async () => {
    const journal: Journal = { key, train: train.complete, validation: validation.complete };
    await writeRecord(outDir, JOURNAL_NAME, journal, fs);
  };
  const writer = (split: "train" | "validation") =>
    new SplitWriter({
      ...{ dir: outDir, prefix: `${split}-${key.slice(0, 12)}`, tokenizer, shardTokens, bos, eos },
      provenance: { ...provenance, split },
      done: done?.[split] ?? emptySplit(),
      onShard,
      fs,
    });
  const train = writer("train");
  const validation = writer("validation");
  return [train, validation];
}

/** What a run that was stopped has completed of the same shards. */
async function unfinished(dir: string, key: string): Promise<Journal | undefined> {
  const journal = await readJournal(dir);
  return journal?.key === key && (await usable(dir, journal)) ? journal : undefined;
}

/** Whether all shards of a record are there with whole headers and the right size. */
async function usable(dir: string, record: Pick<Manifest, "train" | "validation">): Promise<boolean> {
  try {
    for (const name of [...record.train.shards, ...record.validation.shards]) {
      await (await TokenShard.open(join(dir, name), { checksum: false })).close();
    }
    return true;
  } catch {
    return false;
  }
}

function result(dir: string, manifest: Manifest, reused: boolean): PreparedData {
  const located = (split: SplitRecord): PreparedSplit => ({
    ...split,
    shards: split.shards.map((name) => join(dir, name)),
  });
  const { baselines: counted, splitMethod, sourceFiles, sourceBytes } = manifest;
  return {
    train: located(manifest.train),
    validation: located(manifest.validation),
    baselines: counted,
    splitMethod,
    sourceFiles,
    sourceBytes,
    reused,
  };
}
