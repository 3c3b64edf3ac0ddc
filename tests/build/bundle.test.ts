import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { packageClosure, runtimeLibraries } from "../../scripts/bundle-lib.mjs";

describe("packageClosure", () => {
  let modules: string;
  beforeEach(() => {
    modules = mkdtempSync(join(tmpdir(), "anneal-bundle-"));
  });
  afterEach(() => rmSync(modules, { recursive: true, force: true }));

  function install(folder: string, manifest: object = {}): void {
    mkdirSync(join(modules, folder), { recursive: true });
    writeFileSync(join(modules, folder, "package.json"), JSON.stringify(manifest));
  }

  it("follows dependencies, optional ones where installed, and peers that are not optional", () => {
    install("a", {
      dependencies: { b: "1" },
      optionalDependencies: { "@s/native": "1", absent: "1" },
      peerDependencies: { peer: "1", tool: "1" },
      peerDependenciesMeta: { tool: { optional: true } },
    });
    install("b", { dependencies: { a: "1" } });
    install("@s/native");
    install("peer");
    install("tool");
    install("unrelated");
    expect(packageClosure(modules, ["a"])).toEqual(["@s/native", "a", "b", "peer"]);
  });

  it("takes the nested copy of a package, which comes along with the folder around it", () => {
    install("a", { dependencies: { b: "2" } });
    install("a/node_modules/b", { dependencies: { c: "1", d: "1" } });
    install("a/node_modules/c");
    install("b");
    install("d");
    expect(packageClosure(modules, ["a"])).toEqual(["a", "d"]);
  });

  it("names a package that is missing and who needs it", () => {
    install("a", { dependencies: { b: "1" } });
    expect(() => packageClosure(modules, ["a"])).toThrow("b, needed by a, is not installed");
  });
});

describe("runtimeLibraries", () => {
  it("picks the compiler's libraries and leaves the system's", () => {
    const ldd = [
      "\tlinux-vdso.so.1 (0x00007ffd)",
      "\tlibgomp.so.1 => /usr/lib/libgomp.so.1 (0x00007f1)",
      "\tlibstdc++.so.6 => /usr/lib/libstdc++.so.6 (0x00007f2)",
      "\tlibc.so.6 => /lib/libc.so.6 (0x00007f3)",
      "\tlibgcc_s.so.1 => /lib/libgcc_s.so.1 (0x00007f4)",
    ].join("\n");
    expect(runtimeLibraries(ldd)).toEqual([
      "/usr/lib/libgomp.so.1",
      "/usr/lib/libstdc++.so.6",
      "/lib/libgcc_s.so.1",
    ]);
  });
});
