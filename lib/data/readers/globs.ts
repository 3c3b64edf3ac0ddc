/** Files and folders that a pattern matches (lib/io/glob.ts has the language), found by walking from its fixed beginning. */
import type { Dirent } from "node:fs";
import { readdir, stat } from "node:fs/promises";
import { globBase, globPattern } from "../../io/glob.js";

/** A path that a pattern matched. */
export interface GlobMatch {
  path: string;
  directory: boolean;
}

/**
 * All files and folders that a pattern matches, in the order in which a walk through sorted folders meets them; what lies
 * in a folder that matches is not listed beside it. Names that begin with a dot only match patterns that have such names,
 * and `**` does not follow links to folders.
 * @throws ConfigError when a bracket or brace is not closed.
 */
export async function glob(pattern: string): Promise<GlobMatch[]> {
  const base = globBase(pattern);
  const rest = pattern.slice(base.length).replace(/^\/+/, "");
  const fits = globPattern(`/${rest}`);
  const everywhere = rest.includes("**");
  // Without `**` nothing deeper than the pattern can match; braces with a slash may be of any depth.
  const depth = everywhere || /\{[^}]*\//.test(rest) ? Number.POSITIVE_INFINITY : rest.split("/").length;
  const hidden = /(?:^|[/{,])\./.test(rest);
  const root = base === "" ? (pattern.startsWith("/") ? "/" : ".") : base;
  const found: GlobMatch[] = [];
  const walk = async (dir: string, inside: string, level: number): Promise<void> => {
    const entries = await readdir(dir, { withFileTypes: true }).catch(() => [] as Dirent[]);
    for (const { name, ...entry } of entries.map(kindOf).sort(byName)) {
      if (name.startsWith(".") && !hidden) continue;
      const relative = inside === "" ? name : `${inside}/${name}`;
      const path = root === "." && base === "" ? relative : `${root === "/" ? "" : root}/${relative}`;
      const linked = entry.link ? await stat(path).catch(() => undefined) : undefined;
      const directory = entry.directory || linked?.isDirectory() === true;
      if (fits(relative)) {
        if (!(directory && entry.link && everywhere)) found.push({ path, directory });
      } else if (directory && level < depth && !(entry.link && everywhere)) {
        await walk(path, relative, level + 1);
      }
    }
  };
  await walk(root, "", 1);
  return found;
}

const kindOf = (entry: Dirent) => ({
  name: entry.name,
  directory: entry.isDirectory(),
  link: entry.isSymbolicLink(),
});

const byName = (a: { name: string }, b: { name: string }) => (a.name < b.name ? -1 : 1);
