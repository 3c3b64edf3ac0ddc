/** The first training of `npm start`: a small DeepSeek-V3-style model on the documentation in node_modules, in about two minutes. */
import { readdir, stat } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { ConfigError } from "../errors.js";
import { PACKAGE_ROOT } from "../native/locate.js";
import type { ComputeDtype } from "../nn/module.js";
import { demoCorpus } from "./demo-corpus.js";
import type { ModelChoice } from "./model-choice.js";
import { defaultRunFolder } from "./pretrain.js";
import type { PretrainOptions } from "./pretrain-settings.js";

/** Name of the model, and beginning of its run folders. */
const NAME = "deepseek-demo";

/**
 * DeepSeek-V3 in small: latent attention, a dense layer and then mixtures of experts with group-limited sigmoid routing, and a block that predicts
 * one token further.
 */
export const DEMO_MODEL: ModelChoice = {
  name: NAME,
  adaptable: true,
  batchSize: 4,
  sequenceLength: 128,
  config: {
    model_type: "deepseek_v3",
    architectures: ["DeepseekV3ForCausalLM"],
    num_hidden_layers: 3,
    first_k_dense_replace: 1,
    hidden_size: 160,
    num_attention_heads: 4,
    num_key_value_heads: 4,
    q_lora_rank: 80,
    kv_lora_rank: 56,
    qk_nope_head_dim: 24,
    qk_rope_head_dim: 16,
    v_head_dim: 40,
    intermediate_size: 432,
    moe_intermediate_size: 112,
    n_routed_experts: 8,
    n_shared_experts: 1,
    num_experts_per_tok: 2,
    n_group: 4,
    topk_group: 2,
    norm_topk_prob: true,
    routed_scaling_factor: 1,
    num_nextn_predict_layers: 1,
    mtp_loss_weight: 0.1,
    vocab_size: 257,
    max_position_embeddings: 128,
    rms_norm_eps: 1e-6,
    rope_theta: 10000,
    rope_interleave: true,
    hidden_act: "silu",
    initializer_range: 0.05,
    tie_word_embeddings: false,
    aux_loss_alpha: 1e-4,
    bias_update_speed: 1e-3,
  },
};

/** Options of `demoRun`. */
export interface DemoOptions {
  /** Files and folders with text. Default: documentation in node_modules. */
  data?: readonly string[];
  /** Length of the training. Default 2. */
  minutes?: number;
  /** Folder of the run. Default a new one in runs/; with `resume` the newest that is there. */
  out?: string;
  /** Go on with a run that was interrupted instead of starting anew. Default false. */
  resume?: boolean;
  /** Default f32. */
  dtype?: ComputeDtype;
  /** Beginning of the samples. Default `export interface ` for the documentation, a line end for other text. */
  prompt?: string;
  /** Default 1. */
  seed?: number;
}

/** A run that can be given to `pretrain`, and what it learns from in words. */
export interface DemoRun {
  options: PretrainOptions;
  /** For example `documentation and type declarations in node_modules (612 files)`. */
  source: string;
}

/** The folder that npm put the packages of this installation into. */
async function packagesFolder(): Promise<string> {
  const own = join(PACKAGE_ROOT, "node_modules");
  // Installed in another project, this package is itself inside that folder.
  const around = dirname(PACKAGE_ROOT.replace(/\/$/, ""));
  const found = await stat(own).catch(() => undefined);
  return found === undefined && basename(around) === "node_modules" ? around : own;
}

/** The newest run of this demonstration in a folder. */
async function newestRun(folder: string): Promise<string> {
  const names = await readdir(folder).catch(() => [] as string[]);
  const newest = names
    .filter((name) => name.startsWith(`${NAME}-`))
    .sort()
    .at(-1);
  if (newest === undefined) {
    throw new ConfigError(`There is no run to resume in ${folder}/. Start one without --resume.`, { folder });
  }
  return join(folder, newest);
}

/**
 * Chooses model, text and settings of the first training.
 * @throws ConfigError when there is no run to resume, DataError when there is no text
 */
export async function demoRun(demo: DemoOptions = {}): Promise<DemoRun> {
  const { data = [], minutes = 2, resume = false, dtype, seed, prompt } = demo;
  if (resume) {
    const out = demo.out ?? (await newestRun("runs"));
    return { options: { out, resume }, source: `the text of the run ${out}` };
  }
  const shared = {
    model: DEMO_MODEL,
    tokenizer: "byte",
    minutes,
    dtype,
    seed,
    out: demo.out ?? defaultRunFolder(NAME),
    lr: 3e-3,
    minLr: 3e-4,
    warmup: 50,
    evalAtStart: true,
    // Only before the first step and after the last one.
    sampleEvery: 2 ** 31,
    sampleTokens: 300,
  } satisfies PretrainOptions;
  if (data.length > 0) {
    return {
      options: { ...shared, data: [...data], prompt: prompt ?? "\n" },
      source: data.join(", "),
    };
  }
  const { files } = await demoCorpus(await packagesFolder());
  return {
    options: { ...shared, data: files, prompt: prompt ?? "export interface " },
    source: `the documentation and type declarations in node_modules (${files.length} files)`,
  };
}
