/** What goes into a bundle, worked out from package manifests and the linker's listing. */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";

/**
 * Folders below `modules` (such as `vite` or `vite/node_modules/picomatch`) of the packages named and of everything that they
 * need at run time. Optional packages count where they are installed.
 * @throws Error when a package that is needed is not installed
 */
export function packageClosure(modules, roots) {
  const found = new Set();
  // Where Node looks for `name` from inside the package at `folder`: nested first, then beside each folder around it.
  const locate = (name, folder) => {
    const parts = folder === "" ? [] : folder.split("/node_modules/");
    for (let depth = parts.length; depth >= 0; depth--) {
      const candidate = [...parts.slice(0, depth), name].join("/node_modules/");
      if (existsSync(join(modules, candidate, "package.json"))) return candidate;
    }
    return undefined;
  };
  const visit = (name, from, optional) => {
    const folder = locate(name, from);
    if (folder === undefined) {
      if (optional) return;
      throw new Error(`${name}, needed by ${from || "the bundle"}, is not installed`);
    }
    if (found.has(folder)) return;
    found.add(folder);
    const manifest = JSON.parse(readFileSync(join(modules, folder, "package.json"), "utf8"));
    const optionalPeers = Object.keys(manifest.peerDependenciesMeta ?? {});
    for (const dependency of Object.keys(manifest.dependencies ?? {})) visit(dependency, folder, false);
    for (const dependency of Object.keys(manifest.optionalDependencies ?? {}))
      visit(dependency, folder, true);
    for (const dependency of Object.keys(manifest.peerDependencies ?? {})) {
      if (!optionalPeers.includes(dependency)) visit(dependency, folder, false);
    }
  };
  for (const root of roots) visit(root, "", false);
  // A nested folder comes along with the one around it.
  return [...found]
    .filter((folder) => ![...found].some((other) => folder.startsWith(`${other}/node_modules/`)))
    .sort();
}

/** Paths in the output of ldd of the libraries that come with a compiler rather than with every system. */
export function runtimeLibraries(ldd) {
  const paths = [...ldd.matchAll(/^\s*\S+ => (\S+) \(/gm)].map((match) => match[1]);
  return paths.filter((path) => /\/lib(gomp|stdc\+\+|gcc_s)\.so/.test(path));
}
