/** What every operation needs to call a kernel: the device of its tensors, handles of optional ones, argument checks. */

import { DeviceError, DtypeError, ShapeError } from "../../errors.js";
import { deviceId } from "../../native/device.js";
import { DTYPE_CODE, type Dtype } from "../../native/dtype.js";
import { callKernel, type KernelName } from "../../native/kernels.js";
import { empty, type Shape, showShape, type Tensor } from "../tensor.js";

/** Queues a kernel on the device of `like`. */
export function run(like: Tensor, name: KernelName, ...args: number[]): void {
  callKernel(deviceId(like.device), name, ...args);
}

/** The handle of an optional tensor: 0, a null pointer, when there is none. */
export function optional(tensor: Tensor | null | undefined): number {
  return tensor == null ? 0 : tensor.use();
}

/** The code of a tensor's dtype. */
export function code(tensor: Tensor): number {
  return DTYPE_CODE[tensor.dtype];
}

/** A new tensor on the device of `like`, of its dtype unless another is given. */
export function emptyLike(like: Tensor, shape: Shape = like.shape, dtype: Dtype = like.dtype): Tensor {
  return empty(shape, { dtype, device: like.device });
}

/** 1 for true: how kernels take flags. */
export function flag(value: boolean): number {
  return value ? 1 : 0;
}

/** Throws ShapeError naming operation and argument. */
export function wrongShape(op: string, argument: string, expected: string, got: Shape): never {
  throw new ShapeError(`${op}: ${argument} must have shape ${expected}, got ${showShape(got)}.`, {
    op,
    argument,
    expected,
    got,
  });
}

/** Checks a tensor's dtype. */
export function requireDtype(op: string, argument: string, tensor: Tensor, ...allowed: Dtype[]): void {
  if (allowed.includes(tensor.dtype)) return;
  throw new DtypeError(`${op}: ${argument} must be ${allowed.join(" or ")}, got ${tensor.dtype}.`, {
    op,
    argument,
    expected: allowed,
    got: tensor.dtype,
  });
}

/** Checks that tensors lie on one device. */
export function requireSameDevice(op: string, first: Tensor, ...others: (Tensor | null | undefined)[]): void {
  for (const other of others) {
    if (other != null && other.device !== first.device) {
      throw new DeviceError(`${op}: tensors lie on different devices, ${first.device} and ${other.device}.`, {
        op,
        devices: [first.device, other.device],
      });
    }
  }
}

/** Product of all dimensions but the last: the rows of a tensor seen as a matrix. */
export function rowsOf(tensor: Tensor): number {
  let rows = 1;
  for (let i = 0; i < tensor.shape.length - 1; i++) rows *= tensor.shape[i];
  return rows;
}

/** Length of the last dimension. */
export function widthOf(tensor: Tensor): number {
  return tensor.shape[tensor.shape.length - 1] ?? 1;
}
