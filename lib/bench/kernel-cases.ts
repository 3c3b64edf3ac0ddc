/** The list of what `anneal bench kernels` times; the cases themselves are in cases/, by family. */
import type { KernelCase } from "./cases/case.js";
import { COMPOSED_CASES } from "./cases/composed.js";
import { OPTIMIZER_CASES } from "./cases/optimizer.js";
import { PRODUCT_CASES } from "./cases/products.js";
import { ROW_CASES } from "./cases/rows.js";
import { STREAMING_CASES } from "./cases/streaming.js";

/** Every case, in the order of the table. */
export const KERNEL_CASES: readonly KernelCase[] = [
  ...STREAMING_CASES,
  ...ROW_CASES,
  ...PRODUCT_CASES,
  ...OPTIMIZER_CASES,
  ...COMPOSED_CASES,
];
