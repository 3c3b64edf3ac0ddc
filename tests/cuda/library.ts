/** What can be said of libanneal_cuda.so without running it: its dependencies, its symbols and the GPU code inside. */
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";

/** A piece of GPU code: machine code (a cubin) or PTX, for compute capability `architecture` / 10. */
export interface DeviceCode {
  kind: "cubin" | "ptx";
  architecture: number;
}

function readelf(...args: string[]): string {
  return execFileSync("readelf", ["--wide", ...args], { encoding: "utf8", maxBuffer: 1 << 28 });
}

/** Names of the libraries that the loader must find. */
export function dependencies(path: string): string[] {
  return [...readelf("-d", path).matchAll(/\(NEEDED\).*\[(.+)\]/g)].map((match) => match[1]);
}

/** Names of the symbols that the library defines for others. */
export function exportedSymbols(path: string): string[] {
  const defined = /^ *\d+: +[0-9a-f]+ +\S+ +\w+ +(?:GLOBAL|WEAK) +DEFAULT +\d+ +(\S+)/gm;
  return [...readelf("--dyn-syms", path).matchAll(defined)].map((match) => match[1]);
}

// Each object file adds one container to the section: a header with this mark, its own size and that of the
// entries that follow.
const CONTAINER = 0xba55ed50;

/** The distinct pieces of code in the section .nv_fatbin. */
export function deviceCode(path: string): DeviceCode[] {
  const section = /\.nv_fatbin +PROGBITS +[0-9a-f]+ +([0-9a-f]+) +([0-9a-f]+)/.exec(readelf("-S", path));
  if (section === null) {
    return [];
  }
  const [offset, size] = section.slice(1).map((digits) => Number.parseInt(digits, 16));
  const bytes = readFileSync(path).subarray(offset, offset + size);
  const found = new Map<string, DeviceCode>();
  for (let at = 0; at + 16 <= bytes.length; ) {
    if (bytes.readUInt32LE(at) !== CONTAINER) {
      at += 8;
      continue;
    }
    let entry = at + bytes.readUInt16LE(at + 6);
    const end = entry + Number(bytes.readBigUInt64LE(at + 8));
    while (entry < end) {
      const code: DeviceCode = {
        kind: bytes.readUInt16LE(entry) === 1 ? "ptx" : "cubin",
        architecture: bytes.readUInt32LE(entry + 28),
      };
      found.set(JSON.stringify(code), code);
      entry += bytes.readUInt32LE(entry + 4) + Number(bytes.readBigUInt64LE(entry + 8));
    }
    at = end;
  }
  return [...found.values()];
}
