/** How large the kernel benchmarks are: pure functions of the device. bench/peers/torch_kernels.py takes the same sizes, by the same names. */
import type { DeviceName } from "../native/device.js";

/** Shapes of all cases. Rows are tokens. */
export interface CaseSizes {
  /** Rows and width of activations. */
  rows: number;
  width: number;
  /** Heads of rows; heads · head = width. */
  heads: number;
  head: number;
  /** Tokens of one sequence, where kernels see sequences. */
  length: number;
  /** Width of gated activations. */
  inner: number;
  vocabulary: number;
  /** Rows whose next token is drawn. */
  sampled: number;
  /** Rows and width of the losses over the vocabulary, and that vocabulary. */
  lossRows: number;
  lossWidth: number;
  lossVocabulary: number;
  /** Side of square matrix products, by dtype: f32 has no tensor cores. */
  product: { f32: number; bf16: number };
  /** Products by expert: rows of all experts together, inputs and outputs of each. */
  experts: number;
  chosen: number;
  expertRows: number;
  expertInputs: number;
  expertOutputs: number;
  /** Parameters of the optimizer, and tensors that they are spread over. */
  parameters: number;
  parameterTensors: number;
  /** Elements (f32) of the copy that gives the memory's rate. */
  copied: number;
}

const CUDA: CaseSizes = {
  rows: 16384,
  width: 4096,
  heads: 32,
  head: 128,
  length: 4096,
  inner: 8192,
  vocabulary: 131072,
  sampled: 256,
  lossRows: 16384,
  lossWidth: 4096,
  lossVocabulary: 131072,
  product: { f32: 4096, bf16: 8192 },
  experts: 32,
  chosen: 4,
  expertRows: 32768,
  expertInputs: 2048,
  expertOutputs: 4096,
  parameters: 2 ** 30,
  parameterTensors: 128,
  copied: 2 ** 28,
};

const CPU: CaseSizes = {
  rows: 4096,
  width: 1024,
  heads: 16,
  head: 64,
  length: 512,
  inner: 2048,
  vocabulary: 32768,
  sampled: 64,
  lossRows: 1024,
  lossWidth: 512,
  lossVocabulary: 8192,
  product: { f32: 1024, bf16: 1024 },
  experts: 16,
  chosen: 4,
  expertRows: 16384,
  expertInputs: 256,
  expertOutputs: 256,
  parameters: 2 ** 24,
  parameterTensors: 16,
  copied: 2 ** 24,
};

/** Only shows that the cases run: speeds of an interpreter mean nothing. No size is a multiple of a tile. */
const SIMT: CaseSizes = {
  rows: 6,
  width: 40,
  heads: 5,
  head: 8,
  length: 3,
  inner: 24,
  vocabulary: 70,
  sampled: 3,
  lossRows: 5,
  lossWidth: 16,
  lossVocabulary: 70,
  product: { f32: 33, bf16: 33 },
  experts: 3,
  chosen: 2,
  expertRows: 12,
  expertInputs: 24,
  expertOutputs: 16,
  parameters: 150,
  parameterTensors: 3,
  copied: 1000,
};

/** Bytes that the optimizer's largest case needs for a parameter: bf16, f32 master, two moments and gradient. */
const BYTES_PER_PARAMETER = 18;

/** The sizes for a device with so many bytes of memory: its parameters take at most a quarter of them. */
export function sizesFor(device: DeviceName, memoryBytes: number): CaseSizes {
  const sizes = { cuda: CUDA, cpu: CPU, simt: SIMT }[device];
  if (device === "simt") return sizes;
  let { parameters } = sizes;
  while (parameters * BYTES_PER_PARAMETER > memoryBytes / 4 && parameters > 2 ** 20) parameters /= 2;
  return { ...sizes, parameters };
}

/**
 * How many sets of tensors a case uses in turn, so that none is still in a cache of `cacheBytes` when its turn comes: together twice the cache, at
 * most a quarter of the memory, at most 64.
 */
export function setsFor(setBytes: number, cacheBytes: number, memoryBytes: number): number {
  const wanted = Math.ceil((2 * cacheBytes) / Math.max(setBytes, 1));
  const fitting = Math.floor(memoryBytes / 4 / Math.max(setBytes, 1));
  return Math.max(1, Math.min(wanted, fitting, 64));
}
