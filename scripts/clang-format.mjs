/**
 * Formats the C++ and CUDA sources by .clang-format: `--write` changes them, `--check` (default) names what differs.
 * Versions of clang-format disagree about details, so only the one that the sources are kept in is used.
 */
import { spawnSync } from "node:child_process";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { findOnPath, listFiles, parseVersion } from "./setup-lib.mjs";

const ROOT = dirname(dirname(fileURLToPath(import.meta.url)));
const MAJOR = "14";

/** The path of clang-format of the right major version, or the reason why there is none. */
function findFormatter() {
  let reason = "clang-format is not installed";
  for (const name of [`clang-format-${MAJOR}`, "clang-format"]) {
    const path = findOnPath(name);
    const version = path && parseVersion(spawnSync(path, ["--version"], { encoding: "utf8" }).stdout ?? "");
    if (version?.split(".")[0] === MAJOR) {
      return { path };
    }
    if (version !== undefined) {
      reason = `clang-format ${version} is here, the sources are kept in version ${MAJOR}'s format`;
    }
  }
  return { reason };
}

const { path, reason } = findFormatter();
const files = ["native", "tests"]
  .flatMap((folder) => listFiles(join(ROOT, folder)))
  .filter((file) => /\.(cc|h|cu|cuh)$/.test(file));
if (path === undefined) {
  console.log(`C++ format was left out: ${reason}.`);
} else if (files.length > 0) {
  const mode = process.argv.includes("--write") ? ["-i"] : ["--dry-run", "--Werror"];
  const result = spawnSync(path, ["--style=file", ...mode, ...files], { cwd: ROOT, encoding: "utf8" });
  if (result.status !== 0) {
    const named = result.stderr.match(/^[^\s:]+(?=:\d+:\d+: error)/gm) ?? [result.stderr];
    console.error(
      `Not formatted: ${[...new Set(named)].map((file) => file.replace(`${ROOT}/`, "")).join(", ")}`,
    );
    console.error("Run `npm run format`.");
    process.exitCode = 1;
  }
}
