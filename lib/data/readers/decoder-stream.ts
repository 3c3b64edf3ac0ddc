/** Runs one of Node's decoders over pieces of a stream so that what comes out depends on the pieces alone. */
import type { Transform } from "node:stream";

/** Beyond any output of one piece: the decoder never waits for a reader, so a piece's output is all there when it is done. */
export const NO_BACKPRESSURE = { readableHighWaterMark: 2 ** 30 };

/**
 * The output of a decoder, piece by piece. While one piece's output is used, the next one is decoded in the background. When
 * a piece is damaged, all output of those before it has been given; a plain pipe would lose some, depending on timing.
 * @param decoder made with `NO_BACKPRESSURE`
 * @throws what the pieces or the decoder throw
 */
export async function* decoded(
  decoder: Transform,
  pieces: AsyncIterable<Uint8Array>,
): AsyncGenerator<Buffer> {
  let failed: (error: Error) => void = () => undefined;
  const failure = new Promise<never>((_, reject) => {
    failed = reject;
  });
  // Each step waits for it; between two steps it must not count as unhandled.
  failure.catch(() => undefined);
  decoder.on("error", failed);
  const step = async (piece: Uint8Array): Promise<Buffer[]> => {
    const done = new Promise<void>((resolve) => {
      decoder.write(piece, () => resolve());
    });
    await Promise.race([done, failure]);
    // A failed write is told to its callback before the error is emitted.
    if (decoder.errored !== null) throw decoder.errored;
    const output: Buffer[] = [];
    for (let bytes = decoder.read(); bytes !== null; bytes = decoder.read()) output.push(bytes);
    return output;
  };
  const source = pieces[Symbol.asyncIterator]();
  const next = async (): Promise<Buffer[] | undefined> => {
    const { value, done } = await source.next();
    return done ? undefined : step(value);
  };
  try {
    let working = next();
    for (let output = await working; output !== undefined; output = await working) {
      working = next();
      // It is awaited when this piece's output has been used.
      working.catch(() => undefined);
      yield* output;
    }
    decoder.end();
    for await (const bytes of decoder) yield bytes as Buffer;
  } finally {
    decoder.destroy();
    await source.return?.();
  }
}
