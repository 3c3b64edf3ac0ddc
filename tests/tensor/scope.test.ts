import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { memory } from "../../lib/native/device.js";
import { dispose, keep, ones, scope, type Tensor, tensor, zeros } from "../../lib/tensor/index.js";

const pause = (milliseconds = 1): Promise<void> =>
  new Promise((resolve) => setTimeout(resolve, milliseconds));

let before = 0;
beforeEach(() => {
  before = memory().buffers;
});
afterEach(() => {
  expect(memory().buffers, "every test here disposes what it makes").toBe(before);
});

describe("a synchronous scope", () => {
  it("disposes what it made and not what it found", () => {
    const outside = zeros([3]);
    let inside: Tensor | undefined;
    scope(() => {
      inside = outside.add(1);
      expect(memory().buffers).toBe(before + 2);
    });
    expect(inside?.isDisposed).toBe(true);
    expect(outside.isDisposed).toBe(false);
    outside.dispose();
  });

  it("hands over what is returned, in arrays, maps, sets and plain objects", () => {
    const result = scope(() => {
      const [a, b, c, d, e] = [1, 2, 3, 4, 5].map((value) => tensor(value));
      zeros([100]);
      return { a, list: [b, [c]], map: new Map([["d", d]]), set: new Set([e]), other: 7, nothing: null };
    });
    const tensors = [
      result.a,
      result.list[0] as Tensor,
      (result.list[1] as Tensor[])[0],
      result.map.get("d") as Tensor,
      ...result.set,
    ];
    expect(tensors.map((t) => t.dataSync()[0])).toEqual([1, 2, 3, 4, 5]);
    expect(memory().buffers).toBe(before + 5);
    dispose(result);
  });

  it("gives what is returned to the outer scope", () => {
    let middle: Tensor | undefined;
    scope(() => {
      middle = scope(() => ones([2]));
      expect(middle.isDisposed).toBe(false);
    });
    expect(middle?.isDisposed).toBe(true);
  });

  it("disposes everything when it throws", () => {
    expect(() =>
      scope(() => {
        zeros([4]);
        throw new Error("stop");
      }),
    ).toThrow("stop");
  });

  it("lets kept tensors live, through nested scopes too", () => {
    const list: Tensor[] = [];
    scope(() => {
      scope(() => {
        list.push(keep(ones([1])), ...keep([zeros([2]), zeros([3])]));
      });
    });
    expect(list.map((t) => t.isDisposed)).toEqual([false, false, false]);
    expect(list[0].dataSync()[0]).toBe(1);
    dispose(list);
  });

  it("does not mind tensors that were disposed inside", () => {
    scope(() => {
      const t = zeros([3]);
      t.dispose();
      t.dispose();
    });
  });

  it("works with `using`", () => {
    {
      using t = zeros([3]);
      expect(t.isDisposed).toBe(false);
    }
  });
});

describe("an asynchronous scope", () => {
  it("follows its body through awaits", async () => {
    const seen: Tensor[] = [];
    const result = await scope(async () => {
      seen.push(zeros([2]));
      await pause();
      seen.push(ones([2]));
      const sum = seen[0].add(seen[1]);
      await sum.data();
      seen.push(sum.mul(2));
      return sum;
    });
    expect(seen.map((t) => t.isDisposed)).toEqual([true, true, true]);
    expect([...(await result.data())]).toEqual([1, 1]);
    result.dispose();
  });

  it("keeps apart from others that interleave with it", async () => {
    const alive: string[] = [];
    const run = (name: string, first: number, second: number): Promise<void> =>
      scope(async () => {
        const early = zeros([1]);
        await pause(first);
        const late = zeros([1]);
        await pause(second);
        // The other scope has ended or begun meanwhile; both tensors are still this one's.
        if (!early.isDisposed && !late.isDisposed) alive.push(name);
      });
    await Promise.all([run("a", 1, 20), run("b", 10, 1), run("c", 5, 30)]);
    expect(alive.sort()).toEqual(["a", "b", "c"]);
  });

  it("nests", async () => {
    let inner: Tensor | undefined;
    await scope(async () => {
      const outer = zeros([1]);
      inner = await scope(async () => {
        await pause();
        zeros([9]);
        return ones([1]);
      });
      await pause();
      expect(inner.isDisposed).toBe(false);
      expect(outer.isDisposed).toBe(false);
      scope(() => zeros([2]).dispose());
      expect(memory().buffers).toBe(before + 2);
    });
    expect(inner?.isDisposed).toBe(true);
  });

  it("disposes everything when it rejects", async () => {
    await expect(
      scope(async () => {
        zeros([4]);
        await pause();
        zeros([5]);
        throw new Error("late");
      }),
    ).rejects.toThrow("late");
  });
});
