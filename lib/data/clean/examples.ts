/** A few examples per rule, chosen by the hash of the document's text, so that any order of work chooses the same ones. */

/** A passage that a rule objected to. */
export interface CleanExample {
  /** 64 bits of the document's text, hexadecimal. */
  hash: string;
  source: string;
  url?: string;
  /** What the rule looked at; absent for line rules and masks. */
  value?: number;
  before: string;
  passage: string;
  after: string;
}

/** The examples with the smallest hashes; of documents with the same text the first that was seen. */
export class ExampleSet {
  private readonly chosen: CleanExample[] = [];

  /** @param limit how many are kept */
  constructor(readonly limit: number) {}

  /** Whether an example with this hash would be kept. */
  wants(hash: string): boolean {
    const { chosen, limit } = this;
    if (limit === 0 || (chosen.length >= limit && chosen[chosen.length - 1].hash < hash)) return false;
    return !chosen.some((example) => example.hash === hash);
  }

  add(example: CleanExample): void {
    if (!this.wants(example.hash)) return;
    const at = this.chosen.findIndex((other) => other.hash > example.hash);
    this.chosen.splice(at === -1 ? this.chosen.length : at, 0, example);
    if (this.chosen.length > this.limit) this.chosen.pop();
  }

  toJSON(): CleanExample[] {
    return [...this.chosen];
  }
}
