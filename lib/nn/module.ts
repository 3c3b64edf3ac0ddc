/** Module: a named tree of parameters, buffers and other modules, whose property names map to Hugging Face state-dict names. */

import { inCategory } from "../native/accounting.js";
import { DTYPE_CODE, type Dtype } from "../native/dtype.js";
import { noGrad } from "../tensor/autograd.js";
import { run } from "../tensor/ops/kernel.js";
import { normal } from "../tensor/ops/random.js";
import { keep } from "../tensor/scope.js";
import { empty, type Shape, Tensor } from "../tensor/tensor.js";

/** The dtype that a model computes in. */
export type ComputeDtype = "f32" | "bf16";

/** One named tensor of a checkpoint. `tensor` may be a view of a larger parameter (an expert of a stack). */
export interface StateEntry {
  /** State-dict name, for example `model.layers.0.self_attn.q_proj.weight`. */
  name: string;
  tensor: Tensor;
}

/** `selfAttn.kvAProjWithMqa` → `self_attn.kv_a_proj_with_mqa`; `ln1` → `ln_1`. */
export function snakeCase(name: string): string {
  return name
    .replace(/([a-z0-9])([A-Z])/g, "$1_$2")
    .replace(/([A-Z])([A-Z])/g, "$1_$2")
    .replace(/([a-z])([0-9])/g, "$1_$2")
    .toLowerCase();
}

/** How a parameter starts. */
export type Init = { normal: number } | { constant: number };

/** A trainable tensor outside every scope: normal numbers of a standard deviation from the library's random state, or a constant. */
export function parameter(shape: Shape, init: Init, dtype: Dtype = "f32"): Tensor {
  const result = keep(inCategory("weights", () => noGrad(() => filled(shape, init, dtype))));
  result.requiresGrad = true;
  return result;
}

/** A tensor that belongs to the state but is not trained by gradients. */
export function buffer(shape: Shape, init: Init, dtype: Dtype = "f32"): Tensor {
  return keep(inCategory("other", () => noGrad(() => filled(shape, init, dtype))));
}

function filled(shape: Shape, init: Init, dtype: Dtype): Tensor {
  if ("normal" in init) return normal(shape, 0, init.normal, { dtype });
  const result = empty(shape, { dtype });
  run(result, "fill", result.use(), result.size, DTYPE_CODE[dtype], init.constant);
  return result;
}

/**
 * Base class of layers and models. Tensors, modules and arrays of modules among the own properties are the tree; a property's name in snake case is its
 * name in the state dict. Properties that start with an underscore are left out.
 */
export abstract class Module {
  /** Dropout is active while true. */
  training = true;

  /** Direct children by name; arrays give `name.index`. */
  *children(): Generator<[string, Module]> {
    for (const [key, value] of Object.entries(this)) {
      if (key.startsWith("_")) continue;
      if (value instanceof Module) yield [snakeCase(key), value];
      else if (Array.isArray(value)) {
        for (const [index, item] of value.entries())
          if (item instanceof Module) yield [`${snakeCase(key)}.${index}`, item];
      }
    }
  }

  /** Own tensors by name. */
  *tensors(): Generator<[string, Tensor]> {
    for (const [key, value] of Object.entries(this)) {
      if (!key.startsWith("_") && value instanceof Tensor) yield [snakeCase(key), value];
    }
  }

  /** Every trainable tensor once, with its name; a shared one under the first name met. */
  namedParameters(): [string, Tensor][] {
    const seen = new Set<Tensor>();
    const result: [string, Tensor][] = [];
    for (const [name, tensor] of this.walk("")) {
      if (tensor.requiresGrad && !seen.has(tensor)) {
        seen.add(tensor);
        result.push([name, tensor]);
      }
    }
    return result;
  }

  /** Every trainable tensor once. */
  parameters(): Tensor[] {
    return this.namedParameters().map(([, tensor]) => tensor);
  }

  /** Number of trainable values. */
  parameterCount(): number {
    return this.parameters().reduce((sum, tensor) => sum + tensor.size, 0);
  }

  private *walk(prefix: string): Generator<[string, Tensor]> {
    for (const [name, tensor] of this.tensors()) yield [prefix + name, tensor];
    for (const [name, child] of this.children()) yield* child.walk(`${prefix}${name}.`);
  }

  /**
   * What a checkpoint of this module holds: names and tensors, parameters and buffers. A module that stores tensors in another form than its checkpoint
   * (stacked experts) overrides it and gives views.
   */
  *state(prefix = ""): Generator<StateEntry> {
    for (const [name, tensor] of this.tensors()) yield { name: prefix + name, tensor };
    for (const [name, child] of this.children()) yield* child.state(`${prefix}${name}.`);
  }

  /** Sets `training` on this module and everything below. */
  train(training = true): this {
    this.training = training;
    for (const [, child] of this.children()) child.train(training);
    return this;
  }

  /** Turns dropout off. */
  eval(): this {
    return this.train(false);
  }

  /** Frees every tensor of the tree. */
  dispose(): void {
    for (const [, tensor] of this.tensors()) tensor.dispose();
    for (const [, child] of this.children()) child.dispose();
  }

  /** Frees every tensor at the end of a `using` block. */
  [Symbol.dispose](): void {
    this.dispose();
  }
}
