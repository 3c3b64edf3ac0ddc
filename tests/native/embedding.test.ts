/** Embedding look-up and its gradient against the oracle. */
import { describe, expect, it } from "vitest";
import { rng } from "../reference/array.js";
import { embedding, embeddingBackward } from "../reference/embedding.js";
import {
  call,
  download,
  expectClose,
  FLOATS,
  poisoned,
  repeatable,
  rounded,
  TOLERANCE,
  upload,
} from "./harness.js";

/** [tokens, vocab, width]. */
const SHAPES: readonly [number, number, number][] = [
  [0, 4, 3],
  [1, 1, 1],
  [5, 3, 0],
  [7, 11, 5],
  [130, 50, 64],
  [300, 17, 257],
  [1000, 500, 96],
  [700, 1, 40],
  [2500, 70_000, 16],
];

describe.each(FLOATS)("embedding %s", (dtype) => {
  it.each(SHAPES)("%i tokens of %i, width %i", (tokens, vocab, width) => {
    const random = rng(tokens + vocab + width);
    const ids = random.integers(tokens, vocab);
    const table = rounded(random.normals(vocab * width), dtype);
    const gradient = rounded(random.normals(tokens * width), dtype);
    const base = rounded(random.normals(vocab * width), "f32");
    const [at, weight, dy] = [upload(ids, "i32"), upload(table, dtype), upload(gradient, dtype)];
    const [out] = repeatable(() => {
      const result = poisoned(tokens * width, dtype);
      call("embeddingForward", at, weight, result, tokens, width, vocab, dtype);
      return [result];
    });
    expectClose(out, embedding(table, ids, width), 0);
    const reference = embeddingBackward(gradient, ids, vocab, width);
    for (const accumulate of [false, true]) {
      const [dweight] = repeatable(() => {
        const result = accumulate ? upload(base) : poisoned(vocab * width);
        call("embeddingBackward", at, dy, result, tokens, width, vocab, dtype, accumulate);
        return [result];
      });
      expectClose(dweight, accumulate ? reference.map((v, i) => v + base[i]) : reference, TOLERANCE.f32);
    }
  });
});

describe("an id outside the vocabulary", () => {
  it.each([[-1], [3]])("is named: %i", (wrong) => {
    const [ids, weight, out] = [upload([0, wrong, 1, wrong], "i32"), upload([1, 2, 3]), poisoned(4)];
    call("embeddingForward", ids, weight, out, 4, 1, 3, "f32");
    expect(() => download(out)).toThrow(`id ${wrong} at position 1 is outside the vocabulary of 3`);
    const [dy, dweight] = [upload([1, 1, 1, 1]), poisoned(3)];
    call("embeddingBackward", ids, dy, dweight, 4, 1, 3, "f32", false);
    expect(() => download(dweight)).toThrow(`id ${wrong} at position 1`);
  });
});
