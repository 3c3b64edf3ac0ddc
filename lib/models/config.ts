/** Reads fields of a Hugging Face config.json: types, ranges and misspelt names are checked, with the fix in the message. */

import { ConfigError, suggest } from "../errors.js";

/** A parsed config.json. */
export type RawConfig = Readonly<Record<string, unknown>>;

interface NumberRange {
  min?: number;
  max?: number;
}

/** Reads typed fields and remembers their names, so that `finish` can name a field that looks like a misspelling of one. */
export class ConfigReader {
  private readonly known = new Set<string>([
    "model_type",
    "architectures",
    "transformers_version",
    "torch_dtype",
    "dtype",
  ]);

  constructor(
    private readonly raw: RawConfig,
    private readonly modelType: string,
  ) {}

  private fail(name: string, expected: string, value: unknown): never {
    throw new ConfigError(
      `${this.modelType} config: ${name} must be ${expected}, got ${JSON.stringify(value)}.`,
      {
        field: name,
        expected,
        value,
      },
    );
  }

  private value(name: string): unknown {
    this.known.add(name);
    return this.raw[name];
  }

  /** A whole number; required when there is no default. */
  integer(name: string, fallback?: number, range: NumberRange = { min: 1 }): number {
    const value = this.number(name, fallback, range);
    if (!Number.isInteger(value)) this.fail(name, "a whole number", value);
    return value;
  }

  /** A whole number or null. */
  optionalInteger(name: string, range: NumberRange = { min: 1 }): number | null {
    const value = this.value(name);
    return value === undefined || value === null ? null : this.integer(name, undefined, range);
  }

  /** A number; required when there is no default. */
  number(name: string, fallback?: number, range: NumberRange = {}): number {
    const value = this.value(name) ?? fallback;
    if (value === undefined) {
      const near = suggest(name, Object.keys(this.raw));
      throw new ConfigError(
        `${this.modelType} config: the field ${name} is missing.${near === undefined ? "" : ` Is "${near}" a misspelling of it?`}`,
        { field: name },
      );
    }
    const { min = Number.NEGATIVE_INFINITY, max = Number.POSITIVE_INFINITY } = range;
    if (typeof value !== "number" || !(value >= min && value <= max)) {
      const bounds = [
        min > Number.NEGATIVE_INFINITY ? `at least ${min}` : "",
        max < Number.POSITIVE_INFINITY ? `at most ${max}` : "",
      ];
      this.fail(name, `a number ${bounds.filter(Boolean).join(" and ")}`.trim(), value);
    }
    return value;
  }

  /** true or false. */
  boolean(name: string, fallback: boolean): boolean {
    const value = this.value(name) ?? fallback;
    if (typeof value !== "boolean") this.fail(name, "true or false", value);
    return value;
  }

  /** A text, one of `allowed` when given. */
  string(name: string, fallback: string, allowed?: readonly string[]): string {
    const value = this.value(name) ?? fallback;
    if (typeof value !== "string") this.fail(name, "a text", value);
    if (allowed !== undefined && !allowed.includes(value))
      this.fail(name, `one of ${allowed.join(", ")}`, value);
    return value;
  }

  /** Marks fields that other code reads, or that are known and have no effect here. */
  alsoKnown(...names: string[]): void {
    for (const name of names) this.known.add(name);
  }

  /** Throws for an unknown field that looks like a misspelt known one; other unknown fields are left alone, as Hugging Face does. */
  finish(): void {
    for (const name of Object.keys(this.raw)) {
      if (this.known.has(name) || HF_COMMON.has(name)) continue;
      // Two edits: real fields of other models' configurations are further away from ours than typing errors.
      const near = suggest(name, this.known, 2);
      if (near !== undefined && near.length > 4) {
        throw new ConfigError(`${this.modelType} config: unknown field "${name}". Did you mean "${near}"?`, {
          field: name,
          suggestion: near,
        });
      }
    }
  }
}

// Fields that transformers writes for every model and that do not change what is computed here.
const HF_COMMON = new Set([
  "bos_token_id",
  "eos_token_id",
  "pad_token_id",
  "use_cache",
  "output_attentions",
  "output_hidden_states",
  "return_dict",
  "is_encoder_decoder",
  "chunk_size_feed_forward",
  "id2label",
  "label2id",
  "problem_type",
  "_name_or_path",
  "auto_map",
  "tie_word_embeddings",
  "initializer_range",
  "pretraining_tp",
  "cross_attention_hidden_size",
  "add_cross_attention",
  "is_decoder",
  "finetuning_task",
  "task_specific_params",
  "quantization_config",
  "name_or_path",
  "attn_implementation",
]);
