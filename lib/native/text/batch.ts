/** Many texts in one stretch of UTF-8, the form in which the native text room takes them. */
import { DataError } from "../../errors.js";

const ENCODER = new TextEncoder();

/** Texts one after the other; text i is `bytes[ends[i - 1] … ends[i])`. At most 4 GiB − 1 bytes. */
export class TextBatch {
  /**
   * @param bytes valid UTF-8
   * @param ends the byte after each text, never decreasing
   */
  constructor(
    readonly bytes: Uint8Array,
    readonly ends: Uint32Array,
  ) {}

  /**
   * Copies strings; lone surrogates become U+FFFD.
   * @throws DataError when they have 4 GiB or more together.
   */
  static from(texts: readonly string[]): TextBatch {
    // A UTF-16 code unit takes at most three bytes; most texts need one, so room is made as it turns out to be needed.
    let room = 16;
    for (const text of texts) room += text.length;
    let bytes = Buffer.allocUnsafeSlow(room + (room >> 4));
    const ends = new Uint32Array(texts.length);
    let end = 0;
    for (let i = 0; i < texts.length; i++) {
      const text = texts[i];
      if (bytes.length - end < text.length * 3) {
        const needed = end + Buffer.byteLength(text);
        if (needed > 0xffffffff) {
          throw new DataError(
            `A batch of texts has ${needed} bytes or more; the limit is 4 GiB. Use smaller batches.`,
            {
              bytes: needed,
            },
          );
        }
        if (needed > bytes.length) {
          const larger = Buffer.allocUnsafeSlow(Math.min(0xffffffff, needed + (needed >> 1)));
          bytes.copy(larger, 0, 0, end);
          bytes = larger;
        }
      }
      end += ENCODER.encodeInto(text, bytes.subarray(end)).written;
      ends[i] = end;
    }
    return new TextBatch(bytes.subarray(0, end), ends);
  }

  /** Number of texts. */
  get length(): number {
    return this.ends.length;
  }

  /** Byte at which a text begins. */
  start(index: number): number {
    return index === 0 ? 0 : this.ends[index - 1];
  }

  /** The UTF-8 of one text; a view. */
  slice(index: number): Uint8Array {
    return this.bytes.subarray(this.start(index), this.ends[index]);
  }

  /** One text as a string. */
  text(index: number): string {
    const { buffer, byteOffset } = this.bytes;
    const start = this.start(index);
    return Buffer.from(buffer, byteOffset + start, this.ends[index] - start).toString("utf8");
  }
}
