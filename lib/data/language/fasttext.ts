/**
 * fastText classifiers: language identification (lid.176, as FineWeb uses it), quality classifiers (as DCLM does), and
 * any other supervised model. Labels and scores are those of fastText itself.
 */

import { basename } from "node:path";
import { ConfigError } from "../../errors.js";
import { TextBatch } from "../../native/text/batch.js";
import { type FastTextFacts, loadFastText, predictFastText } from "../../native/text/fasttext.js";
import type { JobOptions } from "../../native/text/job.js";
import { languageCode } from "./codes.js";
import type { IdentifiedLanguage, LanguageIdentifier } from "./identifier.js";

/** One label of a text. */
export interface FastTextPrediction {
  /** The label without `__label__`. */
  readonly label: string;
  /** Probability, by fastText's arithmetic: it may exceed 1 by 0.00001. */
  readonly score: number;
}

/** Which predictions are wanted. */
export interface FastTextPredictOptions extends JobOptions {
  /** Labels per text, at most; -1: all. Default 1. */
  k?: number;
  /** Least score; default 0. */
  threshold?: number;
}

const LOSSES = ["hierarchical softmax", "negative sampling", "softmax", "one against all"];

/** A loaded fastText model. */
export class FastText {
  /** Labels without `__label__`, most common in training first. */
  readonly labels: readonly string[];

  private constructor(
    readonly path: string,
    private readonly facts: FastTextFacts,
  ) {
    this.labels = facts.labels.map((label) => label.replace(/^__label__/, ""));
  }

  /**
   * Reads a model file, `.bin` or `.ftz`.
   * @throws DataError when it cannot be read; FormatError when it is cut short, damaged or not a supervised model
   */
  static async load(path: string, options: JobOptions = {}): Promise<FastText> {
    return new FastText(path, await loadFastText(path, options));
  }

  /** Memory of the model in bytes. */
  get bytes(): number {
    return this.facts.bytes;
  }

  /** The model in a line, for reports. */
  get description(): string {
    const { labels, words, dimensions, loss, quantised, minCharacters, maxCharacters, wordNgrams } =
      this.facts;
    const characters =
      maxCharacters > 0 ? `characters ${minCharacters}–${maxCharacters}` : "no character n-grams";
    return `${basename(this.path)}: ${labels.length} labels, ${words} words, ${characters}, word n-grams ${wordNgrams}, ${dimensions} dimensions, ${LOSSES[loss - 1]}${quantised ? ", quantised" : ""}`;
  }

  /**
   * The best labels of every text, best first. Newlines count as spaces: a text is one line to fastText.
   * @throws ConfigError when `k` or `threshold` cannot be; the signal's reason
   */
  async predictBatch(
    batch: TextBatch | readonly string[],
    options: FastTextPredictOptions = {},
  ): Promise<FastTextPrediction[][]> {
    const { k = 1, threshold = 0 } = options;
    if (!Number.isSafeInteger(k) || (k < 1 && k !== -1)) {
      throw new ConfigError(`k: expected a whole number from 1 on, or -1 for all labels; got ${k}.`, { k });
    }
    if (typeof threshold !== "number" || Number.isNaN(threshold)) {
      throw new ConfigError(`threshold: expected a number, got ${threshold}.`, { threshold });
    }
    const most = k === -1 ? this.labels.length : Math.min(k, this.labels.length);
    const texts = batch instanceof TextBatch ? batch : TextBatch.from(batch);
    const { labels, scores } = await predictFastText(this.facts.handle, texts, most, threshold, options);
    return Array.from({ length: texts.length }, (_, text) => {
      const predictions: FastTextPrediction[] = [];
      for (let i = text * most; i < (text + 1) * most && labels[i] >= 0; i++) {
        predictions.push({ label: this.labels[labels[i]], score: scores[i] });
      }
      return predictions;
    });
  }

  /** This model as a language identifier; its labels must be language codes. */
  identifier(options: JobOptions = {}): LanguageIdentifier {
    return {
      name: basename(this.path),
      identify: async (batch) => {
        const predictions = await this.predictBatch(batch, options);
        return predictions.map(([best], i): IdentifiedLanguage => {
          // Without a letter there is nothing to tell; fastText would give its most common label.
          if (best === undefined || !/\p{L}/u.test(batch[i])) return { language: "und", score: 0 };
          return { language: languageCode(best.label), score: Math.min(1, best.score) };
        });
      },
    };
  }
}
