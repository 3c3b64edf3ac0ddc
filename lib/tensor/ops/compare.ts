/** Comparisons and logic: u8 tensors of 0 and 1, made for `where` and for counting. Shapes broadcast; none is differentiable. */

import type { Tensor } from "../tensor.js";
import { compare, type Operand } from "./elementwise.js";
import { requireDtype } from "./kernel.js";

/** a = b: tensors of one dtype (f32, bf16, i32, u8), either may be a number. */
export function eq(a: Operand, b: Operand): Tensor {
  return compare("equal", a, b);
}

/** a ≠ b. */
export function ne(a: Operand, b: Operand): Tensor {
  return compare("notEqual", a, b);
}

function ordered(op: "less" | "lessEqual" | "greater" | "greaterEqual", a: Operand, b: Operand): Tensor {
  for (const operand of [a, b])
    if (typeof operand !== "number") requireDtype(op, "operand", operand, "f32", "bf16", "i32");
  return compare(op, a, b);
}

/** a < b: tensors of one dtype (f32, bf16, i32), either may be a number. */
export function lt(a: Operand, b: Operand): Tensor {
  return ordered("less", a, b);
}

/** a ≤ b. */
export function le(a: Operand, b: Operand): Tensor {
  return ordered("lessEqual", a, b);
}

/** a > b. */
export function gt(a: Operand, b: Operand): Tensor {
  return ordered("greater", a, b);
}

/** a ≥ b. */
export function ge(a: Operand, b: Operand): Tensor {
  return ordered("greaterEqual", a, b);
}

/** a and b, both u8. */
export function logicalAnd(a: Tensor, b: Tensor): Tensor {
  requireDtype("logicalAnd", "a", a, "u8");
  return compare("logicalAnd", a, b);
}

/** a or b, both u8. */
export function logicalOr(a: Tensor, b: Tensor): Tensor {
  requireDtype("logicalOr", "a", a, "u8");
  return compare("logicalOr", a, b);
}

/** not x, u8. */
export function logicalNot(x: Tensor): Tensor {
  requireDtype("logicalNot", "x", x, "u8");
  return compare("equal", x, 0);
}
