/** The CUDA backend as this checkout built it, for tests that look at it without a GPU. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { findNvcc } from "../../lib/native/build.js";
import { PACKAGE_ROOT } from "../../lib/native/locate.js";

export const CUDA_SOURCES = join(PACKAGE_ROOT, "native", "cuda");

/**
 * The path of a file beside the addon, or undefined on a machine without nvcc, which is said on the console.
 * @throws Error when nvcc is there and the file is not
 */
export function builtFile(name: string): string | undefined {
  const path = join(PACKAGE_ROOT, "build", "Release", name);
  if (existsSync(path)) {
    return path;
  }
  if (findNvcc() === undefined) {
    console.log(`${name} is not checked: this machine has no nvcc, so the CUDA backend was not built.`);
    return undefined;
  }
  throw new Error(`${path} is missing although nvcc is installed. Run \`npm run build\` first.`);
}
