import { afterAll, describe, expect, it } from "vitest";
import { DisposedError, DtypeError, KernelError, OutOfMemoryError, ShapeError } from "../../lib/errors.js";
import { memory, setMemoryLimit, synchronize, trimMemory } from "../../lib/native/device.js";
import {
  arange,
  embedding,
  empty,
  ones,
  scope,
  Tensor,
  tensor,
  uniform,
  zeros,
} from "../../lib/tensor/index.js";
import { rounded } from "../native/harness.js";
import { rng } from "../reference/array.js";

describe("making and reading", () => {
  it("takes numbers, nested arrays and typed arrays", async () => {
    const cases: [Tensor, readonly number[], string, number[]][] = [
      [tensor(3.5), [], "f32", [3.5]],
      [tensor([1, 2]), [2], "f32", [1, 2]],
      [
        tensor([
          [1, 2, 3],
          [4, 5, 6],
        ]),
        [2, 3],
        "f32",
        [1, 2, 3, 4, 5, 6],
      ],
      [tensor([[], []]), [2, 0], "f32", []],
      [tensor([1, 2], { dtype: "i32" }), [2], "i32", [1, 2]],
      [tensor(Int32Array.of(-5, 7)), [2], "i32", [-5, 7]],
      [tensor(Uint8Array.of(0, 1, 255, 4), { shape: [2, 2] }), [2, 2], "u8", [0, 1, 255, 4]],
      [tensor(Float32Array.of(1, 2), { dtype: "bf16" }), [2], "bf16", [1, 2]],
    ];
    for (const [t, shape, dtype, values] of cases) {
      expect(t.shape).toEqual(shape);
      expect(t.dtype).toBe(dtype);
      expect(t.size).toBe(values.length);
      expect([...(await t.data())]).toEqual(values);
      expect([...t.dataSync()]).toEqual(values);
      t.dispose();
    }
  });

  it("reads bytes as stored and one number as item", async () => {
    await scope(async () => {
      expect([...(await tensor([1, -2], { dtype: "bf16" }).bytes())]).toEqual([0x80, 0x3f, 0x00, 0xc0]);
      expect([...(await tensor(Int32Array.of(258)).bytes())]).toEqual([2, 1, 0, 0]);
      expect(await tensor([[42]]).item()).toBe(42);
      await expect(zeros([2]).item()).rejects.toThrow("item: expected one element, got shape [2].");
    });
  });

  it("overwrites, in the order of the queue", async () => {
    await scope(async () => {
      const t = zeros([3]);
      const early = t.data();
      t.write(Float32Array.of(1, 2, 3));
      const late = t.data();
      expect([...(await early)]).toEqual([0, 0, 0]);
      expect([...(await late)]).toEqual([1, 2, 3]);
      expect(() => t.write(new Float32Array(2))).toThrow(
        "write: a tensor of shape [3] needs 3 values, got 2.",
      );
    });
  });

  it("copies host data at once, so that the array may be reused", () => {
    scope(() => {
      const data = Float32Array.of(1, 2);
      const t = tensor(data);
      data.fill(9);
      expect([...t.dataSync()]).toEqual([1, 2]);
    });
  });

  it("rounds to bf16 to nearest even and keeps NaN and infinities", () => {
    scope(() => {
      const values = [
        ...rng(1).normals(50, 100),
        1.00390625,
        1.01171875,
        3.4e38,
        -Infinity,
        Infinity,
        1e-40,
        -0,
      ];
      const t = tensor(Float32Array.from(values), { dtype: "bf16" });
      expect(Float64Array.from(t.dataSync())).toEqual(rounded(Float32Array.from(values), "bf16"));
      const nan = new Float32Array(Uint32Array.of(0x7f800001, 0xffffffff).buffer);
      expect([...tensor(nan, { dtype: "bf16" }).dataSync()]).toEqual([NaN, NaN]);
      // What the host rounds and what a kernel rounds agree.
      const f32 = tensor(Float32Array.from(values));
      expect([...f32.to("bf16").dataSync()]).toEqual([...t.dataSync()]);
    });
  });

  it("rejects shapes that cannot be", () => {
    expect(() => empty([2, -1])).toThrow("A shape must consist of non-negative integers, got [2, -1].");
    expect(() => empty([1.5])).toThrow(ShapeError);
    expect(() => tensor([[1, 2], [3]])).toThrow("tensor: nested arrays must be rectangular");
    expect(() => tensor([[1], 2] as never)).toThrow(ShapeError);
    expect(() => tensor(new Float32Array(3), { shape: [2, 2] })).toThrow("needs 4 values, got 3");
  });
});

describe("dispose", () => {
  it("frees once, and later use names the shape and the fix", async () => {
    const before = memory();
    const t = zeros([2, 3]);
    expect(memory().live - before.live).toBe(24);
    t.dispose();
    t.dispose();
    expect(memory().live).toBe(before.live);
    expect(memory().buffers).toBe(before.buffers);
    expect(() => t.add(1)).toThrow(DisposedError);
    expect(() => t.dataSync()).toThrow("A tensor of shape [2, 3] was used after it was disposed.");
    await expect(t.data()).rejects.toThrow(DisposedError);
  });

  it("lets a queued kernel finish with the memory it was given", () => {
    scope(() => {
      const a = ones([1000]);
      const b = a.mul(3);
      a.dispose();
      const reused = zeros([1000]);
      expect(b.dataSync().every((v) => v === 3)).toBe(true);
      reused.dispose();
    });
  });

  it("frees shared memory with the last tensor over it", () => {
    const before = memory().buffers;
    const a = zeros([4]);
    const b = a.reshape([2, 2]);
    const c = b.detach();
    a.dispose();
    b.dispose();
    expect(memory().buffers).toBe(before + 1);
    expect([...c.dataSync()]).toEqual([0, 0, 0, 0]);
    c.dispose();
    expect(memory().buffers).toBe(before);
  });
});

describe("a kernel that fails while it runs", () => {
  it("surfaces at the next read with its name, and the next commands work again", async () => {
    await scope(async () => {
      const table = uniform([4, 2]);
      const bad = embedding(tensor(Int32Array.of(1, 4)), table);
      const error = await bad.data().then(
        () => null,
        (reason) => reason,
      );
      expect(error).toBeInstanceOf(KernelError);
      expect(error.message).toMatch(/^kernel embeddingForward failed: .*4/);
      expect(error.details).toEqual({ kernel: "embeddingForward" });
      expect((await ones([3]).add(1).data())[0]).toBe(2);
      await synchronize();
    });
  });

  it("is reported by synchronize, and by the blocking read", async () => {
    const table = uniform([4, 2]);
    const ids = tensor(Int32Array.of(-1));
    embedding(ids, table).dispose();
    await expect(synchronize()).rejects.toThrow(KernelError);
    embedding(ids, table).dispose();
    expect(() => table.dataSync()).toThrow(KernelError);
    expect(table.dataSync()).toHaveLength(8);
    table.dispose();
    ids.dispose();
  });
});

describe("dtypes", () => {
  it("are checked where an operation is called", () => {
    scope(() => {
      expect(() => embedding(zeros([2]), zeros([4, 2]))).toThrow(DtypeError);
      expect(() => embedding(arange(0, 2), zeros([4, 2], { dtype: "i32" }))).toThrow(
        "embedding: weight must be f32 or bf16, got i32.",
      );
      try {
        embedding(zeros([2]), zeros([4, 2]));
      } catch (error) {
        expect((error as DtypeError).code).toBe("ERR_DTYPE");
        expect((error as DtypeError).details).toEqual({
          op: "embedding",
          argument: "ids",
          expected: ["i32"],
          got: "f32",
        });
      }
    });
  });
});

describe("out of memory", () => {
  afterAll(() => setMemoryLimit(0));

  it("is an error with sizes, and everything works afterwards", async () => {
    trimMemory();
    const { reserved, buffers } = memory();
    setMemoryLimit(reserved + 2 ** 20);
    expect(memory().limit).toBe(reserved + 2 ** 20);
    const small = zeros([1000]);
    expect(() => zeros([2 ** 20])).toThrow(OutOfMemoryError);
    expect(() => zeros([2 ** 20])).toThrow(
      /4194304 bytes were asked for, \d+ bytes are in use by \d+ buffers, the limit is \d+/,
    );
    expect(() => scope(() => Array.from({ length: 100 }, () => zeros([10_000])))).toThrow(OutOfMemoryError);
    expect(memory().buffers).toBe(buffers + 1);
    expect((await small.add(1).data())[999]).toBe(1);
    setMemoryLimit(0);
    scope(() => expect(ones([2 ** 20]).dataSync()[2 ** 20 - 1]).toBe(1));
    small.dispose();
  });

  it("gives kept blocks back before it fails", () => {
    trimMemory();
    const limit = memory().reserved + 6 * 2 ** 20;
    setMemoryLimit(limit);
    for (const megabytes of [1, 2, 3, 4, 5]) zeros([megabytes * 2 ** 18]).dispose();
    expect(memory().reserved).toBeLessThanOrEqual(limit);
    setMemoryLimit(0);
  });
});

describe("methods", () => {
  it("are the functions of the same names", () => {
    scope(() => {
      const x = tensor([
        [1, 2],
        [3, 4],
      ]);
      expect([...x.matmul(x).sum(1).exp().log().dataSync()].map(Math.round)).toEqual([17, 37]);
      expect([...x.reshape([4]).softmax().sum().dataSync()].map((v) => v.toFixed(5))).toEqual(["1.00000"]);
      expect(Object.keys(Tensor.prototype)).not.toContain("add");
    });
  });
});
