/** Equal documents, by a 128-bit hash of each text. */
import { addExactKeys } from "../../native/text/dedup.js";
import { KeyDeduplicator } from "./key-deduplicator.js";
import { checkExactOptions, type ExactOptions } from "./options.js";

/** Finds clusters of equal documents. 20 bytes of memory or disk per document. */
export class ExactDeduplicator extends KeyDeduplicator {
  /** @throws ConfigError for options that do not exist or are out of range, or a work folder of other settings. */
  static async open(options: ExactOptions = {}): Promise<ExactDeduplicator> {
    const { sameness, ...common } = checkExactOptions(options);
    return new ExactDeduplicator(
      ...(await KeyDeduplicator.prepare(
        {
          method: "exact",
          settings: { sameness },
          words: 4,
          lanes: 1,
          functions: 0,
          verify: 0,
          add: async (batch, first, table, _, job) => {
            await addExactKeys(batch, sameness, first, table, job);
            return batch.length;
          },
        },
        common,
      )),
    );
  }
}
