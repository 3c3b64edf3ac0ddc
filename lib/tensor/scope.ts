/**
 * Scopes: memory that does not depend on the garbage collector. Every tensor made inside a scope is disposed when the scope
 * ends, unless it is returned or kept.
 */

import { AsyncLocalStorage } from "node:async_hooks";
import type { Tensor } from "./tensor.js";

/** Anything that may hold tensors: a tensor, an array, a map, a plain object. */
export type TensorContainer = unknown;

/** The tensors made inside one `scope` call and not yet disposed. */
class Scope {
  readonly tensors = new Set<Tensor>();
}

// Synchronous scopes nest on a stack; asynchronous ones follow their chain of awaits, so that interleaved scopes keep apart.
const stack: Scope[] = [];
const chain = new AsyncLocalStorage<Scope>();

function current(): Scope | undefined {
  return stack.length > 0 ? stack[stack.length - 1] : chain.getStore();
}

/** Called by every new tensor. */
export function registerTensor(tensor: Tensor): void {
  const scope = current();
  if (scope !== undefined) {
    scope.tensors.add(tensor);
    tensor.owner = scope;
  }
}

/** Called by a tensor that is disposed. */
export function unregisterTensor(tensor: Tensor): void {
  (tensor.owner as Scope | undefined)?.tensors.delete(tensor);
  tensor.owner = undefined;
}

/** Calls `visit` on every tensor inside a container: arrays, maps, sets and plain objects, nested. */
export function visitTensors(
  container: TensorContainer,
  isTensor: (x: unknown) => x is Tensor,
  visit: (t: Tensor) => void,
): void {
  if (isTensor(container)) {
    visit(container);
  } else if (Array.isArray(container) || container instanceof Set) {
    for (const item of container) visitTensors(item, isTensor, visit);
  } else if (container instanceof Map) {
    for (const item of container.values()) visitTensors(item, isTensor, visit);
  } else if (
    container !== null &&
    typeof container === "object" &&
    Object.getPrototypeOf(container) === Object.prototype
  ) {
    for (const item of Object.values(container)) visitTensors(item, isTensor, visit);
  }
}

const looksLikeTensor = (x: unknown): x is Tensor =>
  x !== null && typeof x === "object" && "handle" in x && "owner" in x;

/** Takes what is returned out of the inner scope and gives it to the outer one. */
function handOver(inner: Scope, outer: Scope | undefined, result: unknown): void {
  visitTensors(result, looksLikeTensor, (tensor) => {
    if (!inner.tensors.delete(tensor)) return;
    tensor.owner = outer;
    outer?.tensors.add(tensor);
  });
}

function close(inner: Scope): void {
  for (const tensor of inner.tensors) {
    tensor.owner = undefined;
    tensor.dispose();
  }
  inner.tensors.clear();
}

/**
 * Runs `body` and disposes every tensor made inside it, except those in its result (a tensor, an array, a map or a plain object of
 * tensors) and those given to `keep`. An asynchronous body is followed through its awaits; scopes that interleave do not mix.
 */
export function scope<T>(body: () => T): T {
  const outer = current();
  const inner = new Scope();
  stack.push(inner);
  let result: T;
  try {
    result = chain.run(inner, body);
  } catch (error) {
    close(inner);
    throw error;
  } finally {
    stack.pop();
  }
  if (result instanceof Promise) {
    return result.then(
      (value) => {
        handOver(inner, outer, value);
        close(inner);
        return value;
      },
      (error) => {
        close(inner);
        throw error;
      },
    ) as T;
  }
  handOver(inner, outer, result);
  close(inner);
  return result;
}

/** Takes tensors out of all scopes: they live until they are disposed. Returns its argument. */
export function keep<T>(container: T): T {
  visitTensors(container, looksLikeTensor, unregisterTensor);
  return container;
}

/** Disposes every tensor in a container. */
export function dispose(container: TensorContainer): void {
  visitTensors(container, looksLikeTensor, (tensor) => tensor.dispose());
}
