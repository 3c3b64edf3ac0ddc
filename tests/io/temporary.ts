/** Temporary folders for tests, and small arrays to store. */

import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll } from "vitest";
import type { NamedArray } from "../../lib/io/index.js";

const made: string[] = [];

/** A fresh folder that is removed when the test file ends. */
export async function temporaryFolder(): Promise<string> {
  const dir = await mkdtemp(join(tmpdir(), "anneal-io-"));
  made.push(dir);
  return dir;
}

afterAll(async () => {
  for (const dir of made) await rm(dir, { recursive: true, force: true });
});

/** The bytes of a typed array. */
export function bytesOf(values: ArrayBufferView): Uint8Array {
  return new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
}

/** An f32 array to store. */
export function f32(name: string, shape: number[], fill: (i: number) => number = (i) => i): NamedArray {
  const length = shape.reduce((a, b) => a * b, 1);
  return { name, dtype: "f32", shape, data: bytesOf(Float32Array.from({ length }, (_, i) => fill(i))) };
}

/** The error that a promise rejects with; fails the test when it does not. */
export async function rejection(
  promise: Promise<unknown>,
): Promise<Error & { code?: string; details: Record<string, unknown> }> {
  try {
    await promise;
  } catch (error) {
    return error as Error & { details: Record<string, unknown> };
  }
  throw new Error("expected a rejection");
}
