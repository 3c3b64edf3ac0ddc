/** New tensors with given values. `tensor()` makes them from numbers on the host, `empty()` without values, random.ts from draws. */

import { ConfigError } from "../../errors.js";
import { deviceId } from "../../native/device.js";
import { DTYPE_CODE } from "../../native/dtype.js";
import { callKernel } from "../../native/kernels.js";
import { empty, type Shape, type Tensor, type TensorOptions, tensor } from "../tensor.js";
import { copyStrided } from "./layout.js";

/** A tensor filled with one value. */
export function full(shape: Shape, value: number, options: TensorOptions = {}): Tensor {
  const result = empty(shape, options);
  callKernel(deviceId(result.device), "fill", result.use(), result.size, DTYPE_CODE[result.dtype], value);
  return result;
}

/** A tensor of zeros. */
export function zeros(shape: Shape, options: TensorOptions = {}): Tensor {
  return full(shape, 0, options);
}

/** A tensor of ones. */
export function ones(shape: Shape, options: TensorOptions = {}): Tensor {
  return full(shape, 1, options);
}

/** Zeros of x's shape, dtype and device, unless the options say otherwise. */
export function zerosLike(x: Tensor, options: TensorOptions = {}): Tensor {
  return full(x.shape, 0, { dtype: x.dtype, device: x.device, ...options });
}

/** Ones of x's shape, dtype and device, unless the options say otherwise. */
export function onesLike(x: Tensor, options: TensorOptions = {}): Tensor {
  return full(x.shape, 1, { dtype: x.dtype, device: x.device, ...options });
}

/** The numbers start, start + step, … before `end`; i32 when all three are integers, else f32, unless `dtype` is given. */
export function arange(start: number, end: number, step = 1, options: TensorOptions = {}): Tensor {
  const count = Math.max(0, Math.ceil((end - start) / step));
  if (!Number.isFinite(count)) {
    throw new ConfigError(`arange: no finite sequence leads from ${start} to ${end} by steps of ${step}.`, {
      start,
      end,
      step,
    });
  }
  const values = Float64Array.from({ length: count }, (_, i) => start + i * step);
  const whole = [start, end, step].every((value) => Number.isInteger(value));
  const { dtype = whole ? "i32" : "f32" } = options;
  const data =
    dtype === "i32"
      ? Int32Array.from(values)
      : dtype === "u8"
        ? Uint8Array.from(values)
        : Float32Array.from(values);
  return tensor(data, { ...options, dtype });
}

/** The identity matrix [n, m]; m defaults to n. */
export function eye(n: number, m: number = n, options: TensorOptions = {}): Tensor {
  const result = zeros([n, m], options);
  const diagonal = Math.min(n, m);
  if (diagonal === 0) return result;
  const one = ones([], { dtype: result.dtype, device: result.device });
  copyStrided("eye", one, result, [diagonal], [0], [m + 1]);
  one.dispose();
  return result;
}
