import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { NativeError } from "../../lib/errors.js";
import { loadAddon, locateAddon, platformPackage } from "../../lib/native/locate.js";

let root: string;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "anneal-locate-"));
  writeFileSync(join(root, "package.json"), '{"name":"anneal","version":"0.0.0"}');
});
afterEach(() => rmSync(root, { recursive: true }));

const notInstalled = () => {
  throw new Error("Cannot find module");
};

function writeBuilt(): string {
  const path = join(root, "build/Release/anneal.node");
  mkdirSync(join(root, "build/Release"), { recursive: true });
  writeFileSync(path, "not a shared object");
  return path;
}

/** The error that `action` throws, which must be a NativeError. */
function nativeError(action: () => unknown): NativeError {
  try {
    action();
  } catch (error) {
    expect(error).toBeInstanceOf(NativeError);
    return error as NativeError;
  }
  throw new Error("nothing was thrown");
}

describe("locateAddon", () => {
  it("takes ANNEAL_ADDON before everything else", () => {
    writeBuilt();
    const chosen = join(root, "other.node");
    writeFileSync(chosen, "");
    const location = locateAddon({ root, env: { ANNEAL_ADDON: chosen }, resolvePackage: notInstalled });
    expect(location).toEqual({ path: chosen, source: "environment", tried: [] });
  });

  it("does not fall back when ANNEAL_ADDON names no file", () => {
    writeBuilt();
    const chosen = join(root, "absent.node");
    const location = locateAddon({ root, env: { ANNEAL_ADDON: chosen } });
    expect(location.path).toBeUndefined();
    expect(location.tried).toMatchObject([{ source: "environment", path: chosen }]);
  });

  it("takes the package's own build before the platform package", () => {
    const path = writeBuilt();
    expect(locateAddon({ root, env: {}, resolvePackage: () => "/elsewhere/anneal.node" })).toEqual({
      path,
      source: "build",
      tried: [],
    });
  });

  it("takes the platform package when nothing was built", () => {
    const asked: string[] = [];
    const resolvePackage = (name: string) => {
      asked.push(name);
      return "/elsewhere/anneal.node";
    };
    const location = locateAddon({ root, env: {}, resolvePackage });
    expect(location).toMatchObject({ path: "/elsewhere/anneal.node", source: "package" });
    expect(location.tried).toMatchObject([{ source: "build", error: "no such file" }]);
    expect(asked).toEqual([platformPackage()]);
  });

  it("names platform packages by system and processor", () => {
    expect(platformPackage("linux", "x64")).toBe("@anneal/linux-x64");
    expect(platformPackage("darwin", "arm64")).toBe("@anneal/darwin-arm64");
  });
});

describe("loadAddon", () => {
  it("lists every place and the fix when there is no addon", () => {
    const error = nativeError(() => loadAddon({ root, env: {}, resolvePackage: notInstalled }));
    expect(error.code).toBe("ERR_NATIVE");
    expect(error.message).toContain(`${join(root, "build/Release/anneal.node")}: no such file`);
    expect(error.message).toContain(`${platformPackage()}: this package is not installed`);
    expect(error.message).toContain("npx anneal build");
    expect(error.details.tried).toHaveLength(2);
  });

  it("reports a file that does not load, and does not take another one silently", () => {
    const path = writeBuilt();
    const error = nativeError(() => loadAddon({ root, env: {}, resolvePackage: notInstalled }));
    expect(error.message).toContain(path);
    expect(error.details.tried).toHaveLength(1);
    expect(error.cause).toBeInstanceOf(Error);
  });

  it("tells to correct ANNEAL_ADDON when that is what failed", () => {
    const error = nativeError(() => loadAddon({ root, env: { ANNEAL_ADDON: join(root, "absent.node") } }));
    expect(error.message).toContain("Correct ANNEAL_ADDON");
  });
});
