/**
 * The typed mirror of what the native addon exports, loaded once per JavaScript environment, and the translation of its
 * errors into the package's classes.
 */

import {
  AnnealError,
  CaptureError,
  ConfigError,
  DataError,
  DeviceError,
  DisposedError,
  FormatError,
  KernelError,
  NativeError,
  OutOfMemoryError,
  ShapeError,
  TokenizerError,
} from "../errors.js";
import { loadAddon } from "./locate.js";

/** Bytes on one device. */
export interface MemoryStatistics {
  /** Bytes of tensors alive now. */
  live: number;
  /** Highest value of `live` since the start or `resetPeakMemory()`. */
  peak: number;
  /** Bytes held from the system, including those kept for reuse. */
  reserved: number;
  /** Tensors' buffers alive now. */
  buffers: number;
  /** Bytes that recordings hold for their replays, apart from tensors alive. */
  recorded: number;
  /** The limit set on `reserved`; 0 when there is none. */
  limit: number;
}

/** A device as its backend describes it; sizes in bytes. */
export interface DeviceFacts {
  name: string;
  memory: number;
  /** Multiprocessors. */
  processors: number;
  /** 10·major + minor. */
  computeCapability: number;
  /** 1000·major + 10·minor of the CUDA version that the driver speaks; 0 where there is no driver. */
  driverVersion: number;
  l2Bytes: number;
  /** What multiplies matrices: a library with version and path, or the backend's own kernels. */
  products: string;
}

/** What a backend finds on this machine; `reason` says why `devices` is empty. */
export interface BackendProbe {
  reason: string;
  devices: DeviceFacts[];
}

/** What the addon was built with and chose at run time. */
export interface AddonInfo {
  abiVersion: number;
  isa: string;
  processors: number;
  compiler: string;
  scratchBytes: number;
}

/**
 * The functions of the addon. A handle is a positive integer; 0 stands for no tensor. The files of text/ add theirs to
 * this interface.
 */
export interface Addon {
  /** Opens a device; `library` is the backend's file for every device but the CPU. */
  openDevice(name: string, threads: number, library?: string): number;
  /** What a backend finds on this machine, without opening anything. */
  probe(library: string): BackendProbe;
  /** A point on the device's stream at which its clock is read. */
  mark(device: number): number;
  /** Writes the seconds between two marks into `target[0]`. */
  elapsed(device: number, from: number, to: number, target: Float64Array): Promise<void>;
  releaseMark(device: number, mark: number): void;
  setThreads(device: number, threads: number): void;
  threads(device: number): number;
  info(): AddonInfo;
  /** `fresh`: memory that no call of the recording under way uses. */
  allocate(device: number, bytes: number, fresh?: boolean): number;
  view(handle: number, byteOffset: number, bytes: number): number;
  release(handle: number): boolean;
  write(handle: number, byteOffset: number, source: ArrayBufferView): void;
  read(handle: number, byteOffset: number, target: ArrayBufferView): Promise<void>;
  readSync(handle: number, byteOffset: number, target: ArrayBufferView): void;
  synchronize(device: number): Promise<void>;
  writePointers(handle: number, words: Float64Array, kinds: string): void;
  memory(device: number): MemoryStatistics;
  /** Bytes that kernels keep for intermediate results. */
  workspace(device: number): number;
  resetPeak(device: number): void;
  setMemoryLimit(device: number, bytes: number): void;
  trim(device: number): void;
  dispatch(device: number, kernel: number): void;
  /** Notes dispatched kernels from now on instead of queueing them. */
  beginRecording(device: number): void;
  /** Ends the recording under way; its memory stays set aside until it is released. */
  endRecording(device: number): number;
  /** Drops the recording under way. */
  abortRecording(device: number): void;
  /** Sets the recording under way aside, or goes on with it. */
  pauseRecording(device: number, paused: boolean): void;
  /** Queues all calls of a recording. */
  replay(device: number, recording: number): void;
  releaseRecording(device: number, recording: number): boolean;
  /** Argument words of the next dispatch. */
  words: Float64Array;
  /** The kernel table: names and argument signatures in the order of ids. */
  kernels: { name: string; signature: string }[];
}

/** The version of the C ABI that this TypeScript was written for (kAbiVersion in native/core/backend.h). */
export const ABI_VERSION = 3;

let loaded: Addon | undefined;

/** The addon, loaded at the first call. Throws NativeError with the fix when it is missing or does not fit. */
export function addon(): Addon {
  if (loaded === undefined) {
    const candidate = loadAddon() as Addon;
    const version = candidate.info().abiVersion;
    if (version !== ABI_VERSION) {
      throw new NativeError(
        `The native addon has ABI version ${version}, this package needs ${ABI_VERSION}. Rebuild it with \`npx anneal build\`.`,
        { found: version, expected: ABI_VERSION },
      );
    }
    loaded = candidate;
  }
  return loaded;
}

const CLASSES: Readonly<
  Record<string, new (message: string, details?: object, options?: ErrorOptions) => AnnealError>
> = {
  ERR_CAPTURE: CaptureError,
  ERR_CONFIG: ConfigError,
  ERR_DATA: DataError,
  ERR_DEVICE: DeviceError,
  ERR_DISPOSED: DisposedError,
  ERR_FORMAT: FormatError,
  ERR_KERNEL: KernelError,
  ERR_OUT_OF_MEMORY: OutOfMemoryError,
  ERR_SHAPE: ShapeError,
  ERR_NATIVE: NativeError,
  ERR_TOKENIZER: TokenizerError,
} as never;

/** The typed error for an error that the addon threw; other errors are returned as they are. */
export function typedError(error: unknown): unknown {
  if (error instanceof AnnealError || !(error instanceof Error)) return error;
  const { code, kernel, details } = error as Error & { code?: string; kernel?: string; details?: object };
  const Class = code === undefined ? undefined : CLASSES[code];
  return Class === undefined
    ? error
    : new Class(error.message, kernel === undefined ? details : { kernel }, { cause: error });
}
