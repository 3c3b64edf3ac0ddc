/**
 * What is published, and that neither `npm ci` in the repository nor installing the package compiles anything by
 * surprise. npm would run node-gyp for a root binding.gyp by itself; here it is given a node-gyp that leaves a mark.
 */
import { execFileSync } from "node:child_process";
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { listFiles } from "../../scripts/setup-lib.mjs";

const ROOT = join(import.meta.dirname, "../..");
const manifest = JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8"));

let folder: string;
let mark: string;
let environment: NodeJS.ProcessEnv;

/** Runs npm without network, with the marking node-gyp, and returns its standard output. */
function npm(cwd: string, ...args: string[]): string {
  return execFileSync("npm", [...args, "--offline", "--no-audit", "--no-fund"], {
    cwd,
    env: environment,
    encoding: "utf8",
    stdio: ["ignore", "pipe", "pipe"],
  });
}

/** A folder with the given package.json and this repository's binding.gyp. */
function project(name: string, content: object): string {
  const path = join(folder, name);
  mkdirSync(path);
  writeFileSync(join(path, "package.json"), JSON.stringify(content));
  copyFileSync(join(ROOT, "binding.gyp"), join(path, "binding.gyp"));
  return path;
}

/** Whether npm started node-gyp since the last call. */
function nodeGypRan(): boolean {
  const ran = existsSync(mark);
  rmSync(mark, { force: true });
  return ran;
}

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "anneal-package-"));
  mark = join(folder, "node-gyp-ran");
  // npm looks for programs in node_modules/.bin of every folder above the package first.
  mkdirSync(join(folder, "node_modules/.bin"), { recursive: true });
  const script = `#!/usr/bin/env node\nrequire("node:fs").writeFileSync(${JSON.stringify(mark)}, "");\n`;
  writeFileSync(join(folder, "node_modules/.bin/node-gyp"), script, { mode: 0o755 });
  const own = Object.entries(process.env).filter(([name]) => !/^npm_/i.test(name));
  environment = {
    ...Object.fromEntries(own),
    npm_config_ignore_scripts: "false",
  };
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe("the published package", () => {
  it("holds what a user needs to run and to compile, and neither binding.gyp nor the repository's tools", () => {
    const [pack] = JSON.parse(npm(ROOT, "pack", "--dry-run", "--json", "--ignore-scripts"));
    const files: string[] = pack.files.map((file: { path: string }) => file.path);
    const native = listFiles(join(ROOT, "native")).map((file: string) => file.slice(ROOT.length + 1));
    for (const file of [...native, "CMakeLists.txt", "package.json", "LICENSE"]) {
      expect(files).toContain(file);
    }
    const unexpected = files.filter(
      (file) => !/^(dist|native)\/|^(CMakeLists.txt|package.json|LICENSE|README.md)$/.test(file),
    );
    expect(unexpected).toEqual([]);
    expect(manifest.files).toContain("dist");
  });

  it("has no script that npm runs on installation, and tells npm not to invent one", () => {
    const hooks = ["preinstall", "install", "postinstall", "prepare", "preprepare", "postprepare"];
    expect(hooks.filter((hook) => hook in manifest.scripts)).toEqual([]);
    expect(manifest.gypfile).toBe(false);
  });

  it("depends on nothing that runs scripts on installation", () => {
    const { packages } = JSON.parse(readFileSync(join(ROOT, "package-lock.json"), "utf8"));
    const running = Object.entries<{ dev?: boolean; hasInstallScript?: boolean }>(packages)
      .filter(([path, entry]) => path !== "" && !entry.dev && entry.hasInstallScript)
      .map(([path]) => path);
    expect(running).toEqual([]);
  });

  it("installs from its tarball without compiling", () => {
    npm(ROOT, "pack", "--ignore-scripts", "--pack-destination", folder);
    const tarball = join(folder, `anneal-${manifest.version}.tgz`);
    // The dependencies come from this repository's node_modules, so that no network is needed; as tarballs, because a
    // folder's "prepare" script would be run, which no user of a published package meets.
    const { packages } = JSON.parse(readFileSync(join(ROOT, "package-lock.json"), "utf8"));
    const paths = Object.entries<{ dev?: boolean }>(packages)
      .filter(([path, entry]) => path !== "" && !entry.dev)
      .map(([path]) => path);
    const packed: { name: string; filename: string }[] = JSON.parse(
      npm(
        ROOT,
        "pack",
        ...paths.map((path) => `./${path}`),
        "--json",
        "--ignore-scripts",
        "--pack-destination",
        folder,
      ),
    );
    const overrides = Object.fromEntries(
      packed.map(({ name, filename }) => [name, `file:${join(folder, filename)}`]),
    );
    const user = join(folder, "user");
    mkdirSync(user);
    writeFileSync(join(user, "package.json"), JSON.stringify({ name: "user", version: "1.0.0", overrides }));
    npm(user, "install", tarball);
    const installed = join(user, "node_modules/anneal");
    expect(existsSync(join(installed, "CMakeLists.txt"))).toBe(true);
    expect(existsSync(join(installed, "binding.gyp"))).toBe(false);
    expect(existsSync(join(installed, "build"))).toBe(false);
    expect(nodeGypRan()).toBe(false);
  });
});

describe("npm ci in the repository", () => {
  it("has every package in its lock file, those of other platforms too", () => {
    const { packages } = JSON.parse(readFileSync(join(ROOT, "package-lock.json"), "utf8"));
    const missing: string[] = [];
    for (const [path, entry] of Object.entries<Record<string, object>>(packages)) {
      for (const name of Object.keys({ ...entry.dependencies, ...entry.optionalDependencies })) {
        // npm looks in the package's own node_modules first and then in that of each package around it.
        const around = path
          .split("node_modules/")
          .map((_, i, parts) => parts.slice(0, i + 1).join("node_modules/"));
        const places = [...around.map((prefix) => prefix.replace(/\/?$/, "/")), ""];
        if (!places.some((prefix) => `${prefix === "/" ? "" : prefix}node_modules/${name}` in packages)) {
          missing.push(`${name} of ${path || "anneal"}`);
        }
      }
    }
    expect(missing).toEqual([]);
  });

  const bare = { ...manifest, dependencies: {}, devDependencies: {} };
  const { name, version } = manifest;
  const lock = JSON.stringify({ name, version, lockfileVersion: 3, packages: { "": { name, version } } });

  it("does not start node-gyp", () => {
    const path = project("clone", bare);
    writeFileSync(join(path, "package-lock.json"), lock);
    npm(path, "ci");
    expect(nodeGypRan()).toBe(false);
    expect(existsSync(join(path, "build"))).toBe(false);
  });

  it("would start it without gypfile: false (the check sees a surprise build)", () => {
    const { gypfile: _, ...careless } = bare;
    const path = project("careless", careless);
    writeFileSync(join(path, "package-lock.json"), lock);
    npm(path, "ci");
    expect(nodeGypRan()).toBe(true);
  });
});

describe("binding.gyp", () => {
  const text = readFileSync(join(ROOT, "binding.gyp"), "utf8");
  const json = text.replace(/^\s*#.*$/gm, "").replace(/,(\s*[\]}])/g, "$1");
  const [target] = JSON.parse(json).targets;
  const [action] = target.actions;

  /** Runs the shell command inside `<!(…)` or `<!@(…)` as gyp does. */
  const expand = (value: string) =>
    execFileSync("sh", ["-c", value.replace(/^<!@?\((.*)\)$/, "$1")], { cwd: ROOT, encoding: "utf8" }).trim();

  it("compiles nothing itself and has cmake-js make build/Release/anneal.node", () => {
    expect(target.type).toBe("none");
    expect(action.outputs).toEqual(["<(PRODUCT_DIR)/anneal.node"]);
    expect(action.action[0]).toBe("node");
    expect(expand(action.action[1])).toBe(join(ROOT, "node_modules/cmake-js/bin/cmake-js"));
    expect(action.action.slice(2)).toEqual(["build", "--out", "build/cmake"]);
  });

  it("runs again when a native source changes", () => {
    const inputs = expand(action.inputs.find((input: string) => input.startsWith("<!@("))).split(" ");
    const sources = listFiles(join(ROOT, "native")).map((file: string) => file.slice(ROOT.length + 1));
    expect(inputs.sort()).toEqual(sources.filter((file: string) => /\.(cc|h)$/.test(file)).sort());
    expect(action.inputs).toContain("CMakeLists.txt");
  });
});
