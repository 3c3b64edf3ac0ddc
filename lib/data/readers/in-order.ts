/** Documents in the order of their records, though the texts of some are still being taken on other threads. */
import type { DamagePolicy, TextDocument } from "./reader.js";

/** What a record comes to: a document, one that is waited for, or damage. */
export interface Upcoming {
  /** The record, as in `TextDocument`. */
  source: string;
  /** Memory that it holds until it is there. */
  bytes: number;
  document?: TextDocument | (() => Promise<TextDocument>);
  error?: unknown;
}

/** Gathers documents. */
export class InOrder {
  private readonly waiting: Upcoming[] = [];
  private bytes = 0;
  private documents: TextDocument[] = [];
  /** Characters of the documents that can be taken. */
  length = 0;

  /** @param window bytes of records that may wait */
  constructor(
    private readonly damage: DamagePolicy,
    private readonly window: number,
  ) {}

  /**
   * Adds what a record comes to, and waits for the first while more than the window do.
   * @throws what the damage policy does, when all before the damage can be taken
   */
  async add(upcoming: Upcoming): Promise<void> {
    this.waiting.push(upcoming);
    this.bytes += upcoming.bytes;
    await this.settle(this.window);
  }

  /**
   * Waits for all.
   * @throws as `add`; what follows the damage is dropped
   */
  async finish(): Promise<void> {
    await this.settle(-1);
  }

  /** The documents so far. */
  take(): TextDocument[] {
    const { documents } = this;
    this.documents = [];
    this.length = 0;
    return documents;
  }

  private async settle(window: number): Promise<void> {
    for (;;) {
      const first = this.waiting[0];
      if (first === undefined || (typeof first.document === "function" && this.bytes <= window)) return;
      this.waiting.shift();
      this.bytes -= first.bytes;
      try {
        if (first.document === undefined) throw first.error;
        const document = typeof first.document === "function" ? await first.document() : first.document;
        this.documents.push(document);
        this.length += document.text.length;
      } catch (error) {
        try {
          this.damage.pass(error, first.source);
        } catch (final) {
          this.waiting.length = 0;
          throw final;
        }
      }
    }
  }
}
