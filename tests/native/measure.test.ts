import { expect, it } from "vitest";
import { measureDispatch } from "../../lib/native/measure.js";

it("a kernel call costs less than a microsecond of JavaScript", async () => {
  const cost = await measureDispatch(15);
  expect(cost.rounds).toHaveLength(15);
  expect(cost.calls).toBe(4000);
  expect(cost.nanoseconds).toBeGreaterThan(0);
  expect(cost.nanoseconds).toBeLessThan(1000);
});
