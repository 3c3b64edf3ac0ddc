/**
 * Compiles the addon from the sources in this package: what `anneal build` and the repository's set-up run.
 * cmake-js drives CMake where it is installed (in the repository); elsewhere CMake is called with the same
 * CMakeLists.txt, so that users need no more packages than the Node-API headers.
 */
import { spawn } from "node:child_process";
import { accessSync, constants, existsSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { availableParallelism } from "node:os";
import { delimiter, join } from "node:path";
import { NativeError } from "../errors.js";
import { backendLibrary, PACKAGE_ROOT } from "./locate.js";

/** Options of `buildAddon`. */
export interface BuildOptions {
  /** Also compile the CUDA backend: true fails without an nvcc that works. Default: where one that is new enough and works is found. */
  cuda?: boolean;
  /** Also compile the interpreter that runs GPU kernels on the processor, for tests. Default false. */
  simt?: boolean;
  /** Receives each line that CMake and the compiler print. */
  onLine?: (line: string) => void;
  /** Folder with CMakeLists.txt and native/; default this package. */
  root?: string;
  /** Compiler processes at a time; default the number of usable cores. */
  jobs?: number;
}

/** What `buildAddon` made. */
export interface BuildResult {
  /** The addon file. */
  path: string;
  /** Files of the backends beside it: `cuda`, `simt`. */
  backends: Readonly<Record<string, string>>;
  /** Wall-clock time in seconds. */
  seconds: number;
}

/** The two programs of a build, each as [program, ...arguments]. */
export interface BuildCommands {
  configure: string[];
  compile: string[];
}

/** The full path of a program on PATH, or undefined. */
export function programPath(
  name: string,
  env: Readonly<Record<string, string | undefined>> = process.env,
): string | undefined {
  for (const folder of (env.PATH ?? "").split(delimiter).filter(Boolean)) {
    const path = join(folder, name);
    try {
      accessSync(path, constants.X_OK);
      return path;
    } catch {
      // Not in this folder.
    }
  }
  return undefined;
}

/** The full path of CUDA's compiler: on PATH, or where the toolkit's installer puts it. */
export function findNvcc(
  env: Readonly<Record<string, string | undefined>> = process.env,
): string | undefined {
  return programPath("nvcc", { PATH: `${env.PATH ?? ""}${delimiter}/usr/local/cuda/bin` });
}

/**
 * The commands that configure and compile in `root`/build/cmake.
 * @param facts `cmakeJs`: its command-line script, where installed; `ninja`: is Ninja there
 */
export function buildCommands(
  root: string,
  facts: { cmakeJs?: string; ninja: boolean; jobs: number; cuda?: boolean; simt: boolean },
): BuildCommands {
  const out = join(root, "build", "cmake");
  const values = Object.entries({ ANNEAL_CUDA: facts.cuda, ANNEAL_SIMT: facts.simt }).map(
    ([name, on]) => `${name}=${on === undefined ? "AUTO" : on ? "ON" : "OFF"}`,
  );
  if (facts.cmakeJs !== undefined) {
    const cmakeJs = [process.execPath, facts.cmakeJs];
    const where = ["--directory", root, "--out", out, ...values.map((value) => `--CD${value}`)];
    return {
      configure: [...cmakeJs, "configure", ...where],
      compile: [...cmakeJs, "build", ...where, "--parallel", String(facts.jobs)],
    };
  }
  const generator = facts.ninja ? "Ninja" : "Unix Makefiles";
  return {
    configure: ["cmake", "-S", root, "-B", out, "-G", generator, ...values.map((value) => `-D${value}`)],
    compile: ["cmake", "--build", out, "--parallel", String(facts.jobs)],
  };
}

/** Runs one command, hands on its lines, and resolves to the exit status and the last lines. */
function runLines(
  command: string[],
  onLine: (line: string) => void,
): Promise<{ ok: boolean; tail: string[] }> {
  return new Promise((resolve, reject) => {
    const child = spawn(command[0], command.slice(1), { stdio: ["ignore", "pipe", "pipe"] });
    const tail: string[] = [];
    const take = (line: string) => {
      tail.push(line);
      if (tail.length > 40) {
        tail.shift();
      }
      onLine(line);
    };
    for (const stream of [child.stdout, child.stderr]) {
      let rest = "";
      stream.setEncoding("utf8");
      stream.on("data", (chunk: string) => {
        const lines = (rest + chunk).split("\n");
        rest = lines.pop() ?? "";
        lines.forEach(take);
      });
      stream.on("end", () => {
        if (rest !== "") {
          take(rest);
        }
      });
    }
    child.on("error", reject);
    child.on("close", (code) => resolve({ ok: code === 0, tail }));
  });
}

/** The command-line script of cmake-js as seen from `root`, or undefined where it is not installed. */
function findCmakeJs(root: string): string | undefined {
  try {
    return createRequire(join(root, "package.json")).resolve("cmake-js/bin/cmake-js");
  } catch {
    return undefined;
  }
}

/**
 * Compiles the addon into `root`/build/Release/anneal.node and checks that it loads. Only what changed is compiled again.
 * @throws NativeError when sources or cmake are missing, or with the last lines of a failed step
 */
export async function buildAddon(options: BuildOptions = {}): Promise<BuildResult> {
  const { simt = false, onLine = () => {}, root = PACKAGE_ROOT, jobs = availableParallelism() } = options;
  const { cuda } = options;
  const startedAt = performance.now();
  if (!existsSync(join(root, "CMakeLists.txt"))) {
    throw new NativeError(
      `There are no native sources in ${root}: CMakeLists.txt is missing. Reinstall anneal.`,
      {
        root,
      },
    );
  }
  if (programPath("cmake") === undefined) {
    throw new NativeError(
      "cmake is not on PATH. Install a C++ compiler, make and cmake 3.20 or newer, for example with " +
        "`sudo apt-get install g++ make cmake`, and run `npx anneal build` again.",
      { path: process.env.PATH },
    );
  }
  if (cuda && findNvcc() === undefined) {
    throw new NativeError(
      "nvcc was found neither on PATH nor in /usr/local/cuda/bin. Install the CUDA toolkit 12.8 or newer, or build with `--cuda off`.",
      { path: process.env.PATH },
    );
  }
  const commands = buildCommands(root, {
    cmakeJs: findCmakeJs(root),
    ninja: programPath("ninja") !== undefined,
    jobs,
    cuda,
    simt,
  });
  const out = join(root, "build", "cmake");
  const hadCache = existsSync(join(out, "CMakeCache.txt"));
  let step = await runLines(commands.configure, onLine);
  if (!step.ok && hadCache) {
    // A cache of a moved folder or of another generator is of no use: start over once.
    onLine("Configuring again without the old cache.");
    rmSync(out, { recursive: true, force: true });
    step = await runLines(commands.configure, onLine);
  }
  if (!step.ok) {
    throw new NativeError(`CMake could not configure the build:\n${step.tail.join("\n")}`, { ...commands });
  }
  step = await runLines(commands.compile, onLine);
  if (!step.ok) {
    throw new NativeError(`The native sources did not compile:\n${step.tail.join("\n")}`, { ...commands });
  }
  const path = join(root, "build", "Release", "anneal.node");
  if (!existsSync(path)) {
    throw new NativeError(`The build ended without making ${path}. Remove ${out} and build again.`, { path });
  }
  // In a process of its own, because a damaged library may take its process with it.
  step = await runLines([process.execPath, "-e", "require(process.argv[1])", path], onLine);
  if (!step.ok) {
    throw new NativeError(`${path} was built but does not load:\n${step.tail.join("\n")}`, { path });
  }
  const wanted = [...(cuda === false ? [] : ["cuda"]), ...(simt ? ["simt"] : [])];
  const backends = Object.fromEntries(
    wanted.map((name) => [name, backendLibrary(name, path)]).filter(([, library]) => existsSync(library)),
  );
  return { path, backends, seconds: (performance.now() - startedAt) / 1000 };
}
