import { describe, expect, it } from "vitest";
import { gradientError, rng } from "./array.js";
import { embedding, embeddingBackward } from "./embedding.js";

describe("embedding", () => {
  const ids = [2, 0, 2, 3];
  const table = rng(1).normals(15);

  it("copies rows", () => {
    const out = embedding(table, ids, 3);
    expect(out.slice(0, 3)).toEqual(table.slice(6, 9));
    expect(out.slice(9)).toEqual(table.slice(9, 12));
    expect(embedding(table, [], 3).length).toBe(0);
  });

  it("has the gradient of finite differences, zero for ids that do not occur", () => {
    const dy = rng(2).normals(12);
    const dtable = embeddingBackward(dy, ids, 5, 3);
    expect(gradientError((v) => embedding(v, ids, 3), table, dy, dtable)).toBeLessThan(1e-8);
    expect(Array.from(dtable.slice(3, 6))).toEqual([0, 0, 0]);
  });
});
