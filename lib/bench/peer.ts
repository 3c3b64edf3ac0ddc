/** PyTorch's times for the same kernels: bench/peers/torch_kernels.py in a process of its own, which answers one request at a time. */
import { type ChildProcessWithoutNullStreams, spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import type { DeviceName } from "../native/device.js";
import { PACKAGE_ROOT } from "../native/locate.js";
import type { ComputeDtype } from "../nn/module.js";
import type { CaseSizes } from "./sizes.js";

/** How PyTorch runs an operation. */
export const PEER_MODES = ["eager", "compiled"] as const;
export type PeerMode = (typeof PEER_MODES)[number];

/** Seconds of one call by mode; a mode that failed says why, one without an equivalent is absent. */
export interface PeerResult {
  eager?: number;
  compiled?: number;
  errors?: Partial<Record<PeerMode, string>>;
}

/** What PyTorch needs for one small operation, in nanoseconds. */
export interface PeerDispatch {
  /** One operation in place on one value, queued one after the other. */
  nanosecondsPerCall: number;
  /** One addition with gradients recorded. */
  nanosecondsPerOperation: number;
}

/** One case to time. */
export interface PeerRequest {
  name: string;
  dtype: ComputeDtype;
  modes: readonly PeerMode[];
  /** Sets of tensors used in turn. */
  sets: number;
  sampleMilliseconds: number;
  samples: number;
}

/** A running PyTorch process. */
export class TorchPeer {
  private constructor(
    private readonly child: ChildProcessWithoutNullStreams,
    private readonly lines: AsyncIterator<string>,
    private readonly complaints: () => string,
    /** Version of PyTorch. */
    public version: string,
  ) {}

  /**
   * Starts PyTorch: the interpreter that ANNEAL_PYTHON names, else `python3`. Resolves to the reason when it cannot run here.
   * @param threads of its team on the CPU
   */
  static async start(device: DeviceName, sizes: CaseSizes, threads: number): Promise<TorchPeer | string> {
    const script = join(PACKAGE_ROOT, "bench/peers/torch_kernels.py");
    if (device === "simt") return "an interpreter's times are compared with nothing";
    if (!existsSync(script)) return "bench/peers/torch_kernels.py is not part of this installation";
    const python = process.env.ANNEAL_PYTHON || "python3";
    const options = ["--device", device, "--threads", String(threads), "--sizes", JSON.stringify(sizes)];
    const child = spawn(python, [script, ...options], { stdio: "pipe" });
    let complaints = "";
    child.stderr.on("data", (data: Buffer) => {
      complaints = (complaints + data.toString()).slice(-4000);
    });
    // A process that is gone is noticed where its answer is missing.
    child.stdin.on("error", () => {});
    const failed = new Promise<string>((resolve) => child.once("error", (error) => resolve(error.message)));
    const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
    const lastComplaint = () => complaints.trim().split("\n").at(-1) ?? "";
    const peer = new TorchPeer(child, lines, lastComplaint, "");
    const first = await Promise.race([peer.answer().catch((error: Error) => error.message), failed]);
    if (typeof first === "string") {
      peer.close();
      return `${python} cannot run PyTorch for ${device} (${first}); name an interpreter with ANNEAL_PYTHON`;
    }
    peer.version = String(first.torch);
    return peer;
  }

  private async answer(): Promise<Record<string, unknown>> {
    const { value, done } = await this.lines.next();
    if (done) throw new Error(this.complaints() || "its process ended without an answer");
    return JSON.parse(value) as Record<string, unknown>;
  }

  private async ask(request: object): Promise<Record<string, unknown>> {
    this.child.stdin.write(`${JSON.stringify(request)}\n`);
    return this.answer();
  }

  /**
   * Times one case. An empty result: PyTorch has no equivalent.
   * @throws Error with its last words when the process has ended
   */
  async measure(request: PeerRequest): Promise<PeerResult> {
    return (await this.ask({ case: request })) as PeerResult;
  }

  /** Times small operations. */
  async dispatch(): Promise<PeerDispatch> {
    return (await this.ask({ dispatch: true })) as unknown as PeerDispatch;
  }

  /** Ends the process. */
  close(): void {
    this.child.stdin.end();
    this.child.kill();
  }
}
