/** What `--model` names: a preset, a config.json or a model folder; and how a configuration is fitted to a tokenizer. */
import { stat } from "node:fs/promises";
import { join } from "node:path";
import { ConfigError, didYouMean } from "../errors.js";
import { readJson } from "../io/index.js";
import type { RawConfig } from "../models/config.js";
import { PRESETS } from "../models/presets.js";
import type { Tokenizer } from "../tokenizer/index.js";

/** A model that a run may start from. */
export interface ModelChoice {
  /** The name or path as it was given. */
  name: string;
  /** Hugging Face configuration. */
  config: RawConfig;
  /** Where to take the weights from; undefined for random ones. */
  weightsFrom?: string;
  /** Whether the sizes of vocabulary and positions may follow the tokenizer and the sequence length. */
  adaptable: boolean;
  /** Rows per batch that suit the model. */
  batchSize: number;
  /** Tokens per row that suit the model. */
  sequenceLength: number;
}

/** Batch of a configuration that does not come with one. */
const DEFAULT_BATCH = { batchSize: 8, sequenceLength: 256 };

/**
 * Finds a model: the name of a preset, the path of a config.json (random weights), or a Hugging Face model folder (its weights).
 * @throws ConfigError for a name that is neither, with a suggestion; FormatError for a file that is not JSON
 */
export async function chooseModel(spec: string): Promise<ModelChoice> {
  const preset = PRESETS[spec];
  if (preset !== undefined) {
    return { name: spec, adaptable: true, ...preset };
  }
  const info = await stat(spec).catch(() => undefined);
  if (info === undefined) {
    const names = Object.keys(PRESETS);
    throw new ConfigError(
      `There is no model "${spec}": it is neither a preset (${names.join(", ")}) nor a path of a config.json or a model folder.` +
        didYouMean(spec, names),
      { model: spec, presets: names },
    );
  }
  const folder = info.isDirectory();
  const path = folder ? join(spec, "config.json") : spec;
  const config = await readJson(path);
  if (typeof config !== "object" || config === null || Array.isArray(config)) {
    throw new ConfigError(`${path} must hold a JSON object with a model's configuration.`, { path });
  }
  return {
    name: spec,
    config: config as RawConfig,
    adaptable: false,
    ...(folder && { weightsFrom: spec }),
    ...DEFAULT_BATCH,
    sequenceLength: Math.min(DEFAULT_BATCH.sequenceLength, positionsOf(config as RawConfig) ?? Infinity),
  };
}

/** Names of the field that limits positions, by how configurations call it. */
function positionsField(config: RawConfig): "n_positions" | "max_position_embeddings" {
  return config.model_type === "gpt2" ? "n_positions" : "max_position_embeddings";
}

function positionsOf(config: RawConfig): number | undefined {
  const value = config[positionsField(config)];
  return typeof value === "number" ? value : undefined;
}

/** What a configuration is fitted to. */
export interface FitOptions {
  tokenizer: Pick<Tokenizer, "name" | "vocabSize" | "bosId" | "eosId">;
  /** T: tokens per row. */
  sequenceLength: number;
  /** Dropout probability of residual connections and embeddings, where the model has it. */
  dropout?: number;
}

/**
 * The configuration for a tokenizer and a sequence length: presets take the tokenizer's vocabulary size and at least so many positions; a
 * configuration of the user's own must have room for both. Ids of special tokens become the tokenizer's.
 * @throws ConfigError when the vocabulary or the positions do not suffice, or the model has no dropout
 */
export function fitConfig(choice: ModelChoice, options: FitOptions): RawConfig {
  const { tokenizer, sequenceLength, dropout } = options;
  const config: Record<string, unknown> = { ...choice.config };
  const positions = positionsField(config);
  if (choice.adaptable) {
    config.vocab_size = tokenizer.vocabSize;
    config[positions] = Math.max(Number(config[positions]), sequenceLength);
  } else {
    const { vocab_size: vocabulary } = config;
    if (typeof vocabulary === "number" && vocabulary < tokenizer.vocabSize) {
      throw new ConfigError(
        `${choice.name}: vocab_size ${vocabulary} is less than the ${tokenizer.vocabSize} tokens of the tokenizer "${tokenizer.name}". ` +
          `Set vocab_size to at least ${tokenizer.vocabSize}, or use the tokenizer that the model was made for.`,
        { vocabSize: vocabulary, tokenizer: tokenizer.vocabSize },
      );
    }
    config.vocab_size ??= tokenizer.vocabSize;
    const limit = positionsOf(config);
    if (limit !== undefined && limit < sequenceLength) {
      throw new ConfigError(
        `${choice.name}: ${positions} is ${limit}, but a sequence has ${sequenceLength} tokens. Use --sequence-length ${limit} or less.`,
        { positions: limit, sequenceLength },
      );
    }
  }
  config.bos_token_id = tokenizer.bosId ?? null;
  config.eos_token_id = tokenizer.eosId ?? null;
  if (dropout !== undefined) setDropout(config, dropout);
  return config;
}

function setDropout(config: Record<string, unknown>, dropout: number): void {
  if (config.model_type === "gpt2") {
    config.embd_pdrop = dropout;
    config.resid_pdrop = dropout;
    // The probabilities inside attention are never stored, so there is nothing to drop.
    config.attn_pdrop = 0;
  } else if (dropout > 0) {
    throw new ConfigError(
      `Models of type ${String(config.model_type)} have no dropout; leave --dropout out. GPT-2 has it.`,
      { modelType: config.model_type, dropout },
    );
  }
}
