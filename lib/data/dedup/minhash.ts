/** Near-duplicates by MinHash and locality-sensitive hashing, with FineWeb's settings as defaults. */
import { addMinHashKeys } from "../../native/text/dedup.js";
import { KeyDeduplicator } from "./key-deduplicator.js";
import { checkMinHashOptions, type MinHashOptions } from "./options.js";

/**
 * Finds clusters of near-duplicates. Two documents are joined when all `rows` values of one of their `buckets` are equal, and
 * clusters are the connected documents. Documents with fewer words than a shingle have no signature and are kept.
 *
 * Signatures are those of datatrove for the same words: XXH64 of each shingle, and hash functions from numpy's
 * RandomState. Words differ where its tokenizer for a language does more than cut at spaces.
 */
export class MinHashDeduplicator extends KeyDeduplicator {
  /**
   * @throws ConfigError for options that do not exist or are out of range, or a work folder of other settings.
   */
  static async open(options: MinHashOptions = {}): Promise<MinHashDeduplicator> {
    const { settings, verify, ...common } = checkMinHashOptions(options);
    return new MinHashDeduplicator(
      ...(await KeyDeduplicator.prepare(
        {
          method: "minhash",
          settings: { ...settings, verify },
          words: 3,
          lanes: settings.buckets,
          functions: verify > 0 ? settings.buckets * settings.rows : 0,
          verify,
          add: (batch, first, table, signatures, job) =>
            addMinHashKeys(batch, settings, first, table, signatures, job),
        },
        common,
      )),
    );
  }
}
