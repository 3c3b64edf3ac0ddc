/**
 * The checks of native/simt check: for each rule of CUDA's machine there is a kernel that breaks it and must be caught,
 * with a message that names the breach, and a twin that keeps it and must pass, whatever the order of threads.
 */
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { describe, expect, it } from "vitest";

const SEEDS = 4;
const PROGRAM = join(import.meta.dirname, "../../build/Release/simt_controls");

interface Run {
  control: string;
  twin: string;
  seed: number;
  verdict: string;
  message: string;
}

const program = spawnSync(PROGRAM, [String(SEEDS)], { encoding: "utf8", maxBuffer: 1 << 26 });
const runs: Run[] = (program.stdout ?? "")
  .split("\n")
  .filter((line) => line !== "")
  .map((line) => {
    const [control = "", twin = "", seed, verdict = "", message = ""] = line.split("\t");
    return { control, twin, seed: Number(seed), verdict, message };
  });
const controls = [...new Set(runs.map((run) => run.control))];

/** What each detector of the machine says in full; the place and the seed follow in brackets. */
const MESSAGES: Record<string, RegExp> = {
  "memory: end of an allocation":
    /: out of bounds: write of 4 bytes at 0x\w+: 0 bytes past the end of allocation #\d+ \(200 bytes\) \[block \(0, 0, 0\), thread \(50, 0, 0\), seed \d\]$/,
  "memory: released":
    /: out of bounds: read of 4 bytes at 0x\w+: allocation #\d+ of 256 bytes, which was released \[/,
  "memory: vector alignment": /: misaligned read: 16 bytes at 0x\w+, which is not a multiple of 16 \[/,
  "memory: uninitialised shared memory":
    /: thread \(0, 0, 0\) reads shared memory at byte 126, which nothing has written yet \[/,
  "memory: stack": /: stack overflow: the thread's local variables need more than 65536 bytes \[/,
  "collective: too few at a barrier":
    /: deadlock, threads wait for ever: 96 at named barrier 1 of 128 threads \(thread \(0, 0, 0\) and others\); 32 ended \[seed \d\]$/,
  "collective: masks":
    /: diverged warp: lanes \d+ and \d+ are both at shuffle, with the masks (fffffffe and ffffffff|ffffffff and fffffffe) \[/,
  "race: write, then read":
    /: race on shared memory at byte \d+: thread \(\d+, 0, 0\) (reads|writes) what thread \(\d+, 0, 0\) (wrote|read), and no barrier orders the two \[/,
  "global race: no ticket":
    /: race on global memory at byte \d+ of allocation #\d+: thread \(\d+, 0, 0\) of block \(\d, 0, 0\) (reads|writes) what thread \(\d+, 0, 0\) of block \(\d, 0, 0\) (wrote|read), and no atomicAddOrdered orders the two \[/,
  "cp.async: destination overwritten in flight":
    /: thread \(\d+, 0, 0\) writes shared memory at byte \d+ while it is in flight: cp\.async of thread \(\d+, 0, 0\), group 0 has not been waited for \[|: race on shared memory at byte \d+: /,
  "mbarrier: more bytes announced than come":
    /: deadlock, threads wait for ever: 64 at mbarrier at shared byte 2048, parity 0 \(thread \(0, 0, 0\) and others\); mbarrier at byte 2048: phase 0 lacks 0 arrivals and 16 bytes \[seed \d\]$/,
  "copy engine: store without fenceProxyAsync":
    /: missing fenceProxyAsync: the copy engine reads, near shared byte 0, what thread \(0, 0, 0\) wrote by ordinary stores \[/,
  "wgmma: accumulator read before the wait":
    /: an accumulator of wgmma is touched before wgmmaWait: its product is under way \[/,
  "wgmma: no wgmmaFence after a change":
    /: wgmma without wgmmaFence: thread 0 has touched registers of the product since its last fence, or never called it \[/,
  "cluster: block ends while a peer reads":
    /: cluster rank \d ended without a barrier after an access of a peer's thread to its shared memory \[|: access to the shared memory of cluster rank \d, whose block has ended \[/,
  "setmaxnreg: more than the pool holds":
    /: deadlock, threads wait for ever: .* at setmaxnreg\.inc to 240 registers \(168 a thread at the launch\)/,
};

describe("controls of native/simt", () => {
  it("the program was built and ran to its end", () => {
    expect(program.error, `${PROGRAM} cannot be run; build it with \`npm run build\``).toBeUndefined();
    expect(program.signal, program.stderr).toBeNull();
    expect(controls.length).toBeGreaterThan(30);
  });

  it.each(controls)("%s", (control) => {
    const mine = runs.filter((run) => run.control === control);
    expect(mine.filter((run) => run.twin === "sound").map((run) => run.seed)).toEqual([1, 2, 3, 4]);
    expect(mine.filter((run) => run.twin === "broken").map((run) => run.seed)).toEqual([1, 2, 3, 4]);
    expect(mine.filter((run) => run.verdict !== "ok")).toEqual([]);
  });

  it.each(Object.entries(MESSAGES))("says what is wrong: %s", (control, message) => {
    const broken = runs.filter((run) => run.control === control && run.twin === "broken");
    expect(broken).toHaveLength(SEEDS);
    for (const run of broken) expect(run.message).toMatch(message);
  });

  it("the same seed gives the same message", () => {
    const again = spawnSync(PROGRAM, ["2", "race: "], { encoding: "utf8" }).stdout.split("\n");
    const place = (line: string) => line.replace(/#\d+|0x\w+/g, "");
    const first = runs.filter((run) => run.control.includes("race: ") && run.seed <= 2);
    const lines = first.map((run) => [run.control, run.twin, run.seed, run.verdict, run.message].join("\t"));
    expect(again.filter((line) => line !== "").map(place)).toEqual(lines.map(place));
  });
});
