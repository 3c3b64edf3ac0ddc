/** Gated activations. */

import { ConfigError, didYouMean } from "../../errors.js";
import { record } from "../autograd.js";
import type { Tensor } from "../tensor.js";
import { UNARY_OPS } from "./codes.js";
import {
  code,
  emptyLike,
  requireDtype,
  requireSameDevice,
  rowsOf,
  run,
  widthOf,
  wrongShape,
} from "./kernel.js";

/** Activations that can gate. */
export type GateActivation = "silu" | "gelu" | "geluTanh";

/** Names that Hugging Face configurations use for activations. */
const HF_NAMES: Readonly<Record<string, GateActivation>> = {
  silu: "silu",
  swish: "silu",
  gelu: "gelu",
  gelu_new: "geluTanh",
  gelu_pytorch_tanh: "geluTanh",
};

/** The activation that a Hugging Face config's `hidden_act` or `activation_function` names. */
export function parseActivation(name: string): GateActivation {
  const activation = HF_NAMES[name];
  if (activation !== undefined) return activation;
  throw new ConfigError(
    `Unknown activation "${name}"; expected one of ${Object.keys(HF_NAMES).join(", ")}.${didYouMean(name, Object.keys(HF_NAMES))}`,
    { activation: name },
  );
}

/** act(gate) ⊙ up (Shazeer 2020): SwiGLU with silu. gate and up [..., width], f32 or bf16, computed in f32. */
export function gated(gate: Tensor, up: Tensor, activation: GateActivation = "silu"): Tensor {
  if (gate.size !== up.size || widthOf(gate) !== widthOf(up))
    wrongShape("gated", "up", `of gate, [${gate.shape.join(", ")}]`, up.shape);
  requireDtype("gated", "gate", gate, "f32", "bf16");
  requireDtype("gated", "up", up, gate.dtype);
  requireSameDevice("gated", gate, up);
  const y = emptyLike(gate);
  const sizes = [rowsOf(gate), widthOf(gate), widthOf(gate), UNARY_OPS[activation], code(gate)];
  run(gate, "gatedForward", gate.use(), up.use(), y.use(), ...sizes);
  record("gated", [gate, up], [y], ([dy], sink) => {
    if (dy === null) return;
    const dgate = emptyLike(gate);
    const dup = emptyLike(up);
    run(gate, "gatedBackward", dy.use(), gate.use(), up.use(), dgate.use(), dup.use(), ...sizes);
    for (const [input, gradient] of [
      [gate, dgate],
      [up, dup],
    ] as const) {
      if (sink.wants(input)) sink.give(input, gradient);
      else gradient.dispose();
    }
  });
  return y;
}

/** `gated` on both halves of one tensor: x [..., 2·width] holds gate rows first, up rows second (the layout of fused projections). Returns [..., width]. */
export function gatedPacked(x: Tensor, activation: GateActivation = "silu"): Tensor {
  if (widthOf(x) % 2 !== 0) wrongShape("gatedPacked", "x", "[..., 2·width]", x.shape);
  requireDtype("gatedPacked", "x", x, "f32", "bf16");
  const width = widthOf(x) / 2;
  const y = emptyLike(x, [...x.shape.slice(0, -1), width]);
  const sizes = [rowsOf(x), width, 2 * width, UNARY_OPS[activation], code(x)];
  const halves = (t: Tensor): [Tensor, Tensor] => {
    const bytes = t.byteLength / Math.max(1, t.size);
    const upSize = Math.max(0, t.size - width);
    return [t.alias(), t.alias([upSize], t.size === 0 ? 0 : width * bytes)];
  };
  const [gate, up] = halves(x);
  run(x, "gatedForward", gate.use(), up.use(), y.use(), ...sizes);
  gate.dispose();
  up.dispose();
  record("gatedPacked", [x], [y], ([dy], sink) => {
    if (dy === null || !sink.wants(x)) return;
    const dx = emptyLike(x);
    const parts = [...halves(x), ...halves(dx)];
    run(x, "gatedBackward", dy.use(), ...parts.map((part) => part.use()), ...sizes);
    for (const part of parts) part.dispose();
    dx.shared = false;
    sink.give(x, dx);
  });
  return y;
}
