/**
 * `npm test`: sets up, lints, checks types and runs the tests; arguments after `--` go to vitest.
 * The last line is `N passed, N failed`; lint, C++ format and types count as one check each.
 */
import { spawnSync } from "node:child_process";
import { readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { ROOT, trySetup } from "./setup.mjs";
import { countTests, summaryLine } from "./setup-lib.mjs";

const REPORT = join(ROOT, "build/test-report.json");
let passed = 0;
let failed = 0;

/** Runs a script of node_modules or scripts/ with its output shown; returns whether it succeeded. */
function node(script, ...args) {
  const result = spawnSync(process.execPath, [join(ROOT, script), ...args], { cwd: ROOT, stdio: "inherit" });
  return result.status === 0;
}

function check(name, script, ...args) {
  const ok = node(script, ...args);
  console.log(`${name}: ${ok ? "ok" : "failed"}`);
  if (ok) {
    passed++;
  } else {
    failed++;
  }
}

function runTests(args) {
  rmSync(REPORT, { force: true });
  const ok = node(
    "node_modules/vitest/vitest.mjs",
    "run",
    "--reporter=default",
    "--reporter=json",
    `--outputFile.json=${REPORT}`,
    ...args,
  );
  let counts = { passed: 0, failed: 0 };
  try {
    counts = countTests(JSON.parse(readFileSync(REPORT, "utf8")));
  } catch {
    console.error("vitest wrote no report.");
  }
  passed += counts.passed;
  // vitest also fails for errors outside any test, such as an unhandled rejection.
  failed += ok ? counts.failed : Math.max(1, counts.failed);
}

if (await trySetup({ dev: true })) {
  check("lint", "node_modules/@biomejs/biome/bin/biome", "check", "--error-on-warnings", ".");
  check("C++ format", "scripts/clang-format.mjs", "--check");
  check("types", "node_modules/typescript/bin/tsc", "-p", "tsconfig.json");
  runTests(process.argv.slice(2));
} else {
  failed = 1;
}
console.log(summaryLine(passed, failed));
process.exitCode = failed === 0 ? 0 : 1;
