/** Oracle of the gated activations: h = f(gate)·up with f = SiLU (SwiGLU) or GELU (GeGLU, exact or by tanh). */
import { columns, joinColumns, type Values } from "./array.js";
import { unary, unaryBackward } from "./elementwise.js";

/** What is applied to the gate. */
export type GateName = "silu" | "gelu" | "geluTanh";

/** h = f(gate)·up, all of one shape. */
export function gatedUnit(name: GateName, gate: Values, up: Values): Float64Array {
  return unary(name, gate).map((value, i) => value * up[i]);
}

/** dgate = dh·up·f′(gate), dup = dh·f(gate). */
export function gatedUnitBackward(
  name: GateName,
  gate: Values,
  up: Values,
  dh: Values,
): { dgate: Float64Array; dup: Float64Array } {
  const dgate = unaryBackward(
    name,
    gate,
    Float64Array.from(dh, (value, i) => value * up[i]),
  );
  return { dgate, dup: unary(name, gate).map((value, i) => value * dh[i]) };
}

/** silu(gate)·up. */
export const swiglu = (gate: Values, up: Values): Float64Array => gatedUnit("silu", gate, up);

/** Gradients of `swiglu`. */
export const swigluBackward = (
  gate: Values,
  up: Values,
  dh: Values,
): { dgate: Float64Array; dup: Float64Array } => gatedUnitBackward("silu", gate, up, dh);

/** gelu(gate)·up, exact or by tanh. */
export const geglu = (gate: Values, up: Values, tanh = false): Float64Array =>
  gatedUnit(tanh ? "geluTanh" : "gelu", gate, up);

/** Gradients of `geglu`. */
export const gegluBackward = (
  gate: Values,
  up: Values,
  dh: Values,
  tanh = false,
): { dgate: Float64Array; dup: Float64Array } => gatedUnitBackward(tanh ? "geluTanh" : "gelu", gate, up, dh);

/** Splits rows of [gate | up], [rows, 2·width], into the two halves, [rows, width] each. */
export function splitGateUp(x: Values, width: number): { gate: Float64Array; up: Float64Array } {
  return { gate: columns(x, 2 * width, 0, width), up: columns(x, 2 * width, width, 2 * width) };
}

/** Joins gate and up, [rows, width] each, into rows of [gate | up]: the inverse of `splitGateUp`. */
export function joinGateUp(gate: Values, up: Values, width: number): Float64Array {
  return joinColumns(gate, width, up, width);
}
