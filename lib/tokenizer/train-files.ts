/** The files of a freshly trained tokenizer, in the form that HF tokenizers and transformers write. */
import type { TrainedPairs } from "../native/text/train.js";
import type { TrainingPlan, TrainTokenizerOptions } from "./train-options.js";
import { type FrameToken, framed } from "./train-pipelines.js";

/** A vocabulary as strings. */
export interface Vocabulary {
  /** Tokens by id. */
  tokens: readonly string[];
  /** Ids of the two parts of each merge, two by two. */
  merges: Uint32Array;
}

/** Time for other work after this many milliseconds: a large vocabulary takes a second in all. */
const PAUSE_MILLISECONDS = 8;

/** What `make` gives for every number below `count`, with pauses. */
async function listed<T>(count: number, make: (index: number) => T): Promise<T[]> {
  const list: T[] = [];
  let last = performance.now();
  for (let index = 0; index < count; index++) {
    list.push(make(index));
    if (index % 256 === 0 && performance.now() - last > PAUSE_MILLISECONDS) {
      await new Promise((resolve) => setImmediate(resolve));
      last = performance.now();
    }
  }
  return list;
}

/** The tokens and merges of a training as strings. */
export async function vocabularyOf({ tokens, merges }: TrainedPairs): Promise<Vocabulary> {
  return { tokens: await listed(tokens.length, (id) => tokens.text(id)), merges };
}

/** All files by name. */
export async function tokenizerFiles(
  plan: TrainingPlan,
  trained: Vocabulary,
  options: Pick<TrainTokenizerOptions, "chatTemplate" | "modelMaxLength">,
): Promise<Map<string, string>> {
  const { parts, specialTokens, roles } = plan;
  const ids = new Map(specialTokens.map((content, id) => [content, id]));
  const role = (name: string): FrameToken | undefined => {
    const content = roles[name];
    return content === undefined ? undefined : { content, id: ids.get(content) as number };
  };
  const frame = {
    version: "1.0",
    truncation: null,
    padding: null,
    added_tokens: specialTokens.map((content, id) => ({
      id,
      content,
      single_word: false,
      lstrip: false,
      rstrip: false,
      normalized: false,
      special: true,
    })),
    normalizer: parts.normalizer,
    pre_tokenizer: parts.pre_tokenizer,
    post_processor: postProcessor(plan, role),
    decoder: parts.decoder,
  };
  const config = {
    ...(plan.kind === "bpe" && { add_bos_token: plan.addBos, add_eos_token: plan.addEos }),
    added_tokens_decoder: Object.fromEntries(
      frame.added_tokens.map(({ id, ...fields }) => [id, fields] as const),
    ),
    ...roles,
    ...(options.chatTemplate !== undefined && { chat_template: options.chatTemplate }),
    clean_up_tokenization_spaces: false,
    ...(options.modelMaxLength !== undefined && { model_max_length: options.modelMaxLength }),
    tokenizer_class: "PreTrainedTokenizerFast",
  };
  return new Map([
    ["tokenizer.json", `${joined(frame, await model(plan, trained))}\n`],
    ["tokenizer_config.json", `${JSON.stringify(config, null, 2)}\n`],
    ["special_tokens_map.json", `${JSON.stringify(roles, null, 2)}\n`],
  ]);
}

function postProcessor(plan: TrainingPlan, role: (name: string) => FrameToken | undefined): object | null {
  if (plan.kind === "wordpiece") return framed(role("cls_token"), role("sep_token"), true);
  if (!plan.addBos && !plan.addEos) return plan.parts.post_processor;
  const template = framed(
    plan.addBos ? role("bos_token") : undefined,
    plan.addEos ? role("eos_token") : undefined,
  );
  return { type: "Sequence", processors: [plan.parts.post_processor, template] };
}

/** The model's JSON. Written by hand: an object would move tokens that look like numbers to its front. */
async function model(plan: TrainingPlan, { tokens, merges }: Vocabulary): Promise<string> {
  const quoted = await listed(tokens.length, (id) => JSON.stringify(tokens[id]));
  const entries = await listed(tokens.length, (id) => `      ${quoted[id]}: ${id}`);
  const vocab = `{\n${entries.join(",\n")}\n    }`;
  const pairs = await listed(
    merges.length / 2,
    (rank) => `      [${quoted[merges[2 * rank]]}, ${quoted[merges[2 * rank + 1]]}]`,
  );
  const fields: [string, string][] =
    plan.kind === "wordpiece"
      ? [
          ["type", '"WordPiece"'],
          ["unk_token", JSON.stringify(plan.roles.unk_token)],
          ["continuing_subword_prefix", '"##"'],
          ["max_input_chars_per_word", "100"],
          ["vocab", vocab],
        ]
      : [
          ["type", '"BPE"'],
          ["dropout", "null"],
          ["unk_token", "null"],
          ["continuing_subword_prefix", "null"],
          ["end_of_word_suffix", "null"],
          ["fuse_unk", "false"],
          ["byte_fallback", "false"],
          ["ignore_merges", String(plan.parts.ignoreMerges)],
          ["vocab", vocab],
          ["merges", pairs.length === 0 ? "[]" : `[\n${pairs.join(",\n")}\n    ]`],
        ];
  return `{\n${fields.map(([name, value]) => `    "${name}": ${value}`).join(",\n")}\n  }`;
}

/** An object's JSON with one more member, "model", at its end. */
function joined(frame: object, modelJson: string): string {
  return `${JSON.stringify(frame, null, 2).slice(0, -2)},\n  "model": ${modelJson}\n}`;
}
