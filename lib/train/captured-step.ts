/** A training step that was captured: fixed tensors that take each batch, and the recording that is replayed over them. */

import { capture, type Recording } from "../tensor/capture.js";
import { keep, scope } from "../tensor/scope.js";
import type { Tensor } from "../tensor/tensor.js";
import { type DeviceInput, type HostInput, uploadInput } from "./batch-input.js";

/** The losses of one micro-batch; their tensors outlive its backward pass. */
export interface PartLosses {
  crossEntropy: Tensor;
  terms: Record<string, Tensor>;
}

/** What a step leaves to be read. */
export interface StepTensors {
  parts: PartLosses[];
  gradNorm: Tensor;
}

/** A micro-batch on the host, and the divisor of its summed loss. */
export interface StepPart extends HostInput {
  normaliser: number;
}

/** Everything about a step's micro-batches that its kernel calls depend on; steps of equal shape may share a recording. */
export function shapeOfParts(parts: readonly StepPart[]): string {
  return parts
    .map(({ ids, cu, rows, longest, normaliser }) =>
      [ids.length, cu.length, rows, longest, normaliser].join(),
    )
    .join(";");
}

/** A recorded step and its inputs. */
export class CapturedStep {
  private constructor(
    readonly shape: string,
    private readonly inputs: readonly DeviceInput[],
    private readonly recording: Recording<StepTensors>,
  ) {}

  /**
   * Records `body` over tensors of the parts' shapes; it does not run.
   * @throws CaptureError where something in the body cannot be captured
   */
  static record(
    parts: readonly StepPart[],
    body: (inputs: readonly DeviceInput[]) => StepTensors,
  ): CapturedStep {
    const inputs = scope(() => keep(parts.map(uploadInput)));
    try {
      const { device } = inputs[0].targets;
      return new CapturedStep(
        shapeOfParts(parts),
        inputs,
        capture(() => body(inputs), { device }),
      );
    } catch (error) {
      free(inputs);
      throw error;
    }
  }

  /** Queues the step on other data of the same shape; the tensors hold its numbers until the next replay. */
  replay(parts: readonly StepPart[]): StepTensors {
    for (const [i, { ids, positions, cu, targets }] of parts.entries()) {
      const { input, targets: wanted } = this.inputs[i];
      input.ids.write(ids);
      input.positions.write(positions);
      input.segments.cu.write(cu);
      wanted.write(targets);
    }
    this.recording.replay();
    return this.recording.result;
  }

  /** Gives the memory back. */
  dispose(): void {
    this.recording.dispose();
    free(this.inputs);
  }
}

function free(inputs: readonly DeviceInput[]): void {
  for (const { input, targets } of inputs) {
    for (const tensor of [input.ids, input.positions, input.segments.cu, targets]) tensor.dispose();
  }
}
