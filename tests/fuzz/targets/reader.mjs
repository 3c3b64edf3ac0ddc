/** What the targets share that read documents: every input in one piece and in three, thrown at damage and passing over it. */

const SETTINGS = {
  textFields: ["text"],
  idField: "id",
  urlField: "url",
  metadata: true,
  maxDocumentBytes: 1 << 20,
  maxRecordBytes: 1 << 12,
  markdown: "keep",
  html: "main",
};

// Readers that have worked for 10 ms let the event loop have a turn, which it cannot here: no time passes for them.
performance.now = () => 0;

/** Waits for a promise without the event loop: all that a reader of buffers waits for are microtasks. */
function settled(promise) {
  let outcome;
  promise.then(
    (value) => {
      outcome = { value };
    },
    (error) => {
      outcome = { error };
    },
  );
  // biome-ignore lint/security/noGlobalEval: V8's intrinsics are no syntax that a linter or a bundler knows
  const checkpoint = (globalThis.__checkpoint ??= eval("() => %PerformMicrotaskCheckpoint()"));
  for (let i = 0; outcome === undefined && i < 1000; i++) checkpoint();
  if (outcome === undefined) throw new Error("The reader waits for something that never comes.");
  return outcome;
}

/**
 * A target for a reader of lib/data/readers.
 * @param load imports a module of dist/ with counters
 * @param module path of the reader's module in dist/
 * @param name of the reader's function
 * @param sameInPieces whether the documents must be the same when the bytes come in other pieces
 */
export async function readerTarget(load, module, name, sameInPieces = true) {
  // A reader that has worked for long lets the event loop turn, which a target cannot: here no time passes.
  performance.now = () => 0;
  const { [name]: read } = await load(module);
  const { DamagePolicy } = await load("data/readers/reader.js");
  const { AnnealError } = await load("errors.js");
  const all = async (pieces, mode) => {
    const documents = [];
    const chunks = (async function* () {
      for (const piece of pieces) if (piece.length > 0) yield Buffer.from(piece);
    })();
    const input = { path: "fuzz", chunks, settings: SETTINGS, damage: new DamagePolicy(mode) };
    for await (const batch of read(input)) documents.push(...batch);
    return documents;
  };
  return (input) => {
    const third = Math.floor(input.length / 3);
    const pieces = [input.subarray(0, third), input.subarray(third, 2 * third), input.subarray(2 * third)];
    for (const mode of ["throw", "skip"]) {
      const whole = settled(all([input], mode));
      const parts = settled(all(pieces, mode));
      for (const { error } of [whole, parts]) {
        if (error !== undefined && !(error instanceof AnnealError)) throw error;
      }
      if (!sameInPieces) continue;
      if ((whole.error === undefined) !== (parts.error === undefined)) {
        throw new Error(`In one piece: ${whole.error ?? "read"}; in three: ${parts.error ?? "read"}.`);
      }
      if (whole.error === undefined && JSON.stringify(whole.value) !== JSON.stringify(parts.value)) {
        throw new Error(
          `In one piece ${JSON.stringify(whole.value)}, in three ${JSON.stringify(parts.value)}.`,
        );
      }
    }
  };
}
