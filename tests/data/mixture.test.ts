/** Mixtures: exact counts at every row, passes in new orders, ends of datasets, schedules, and independence of how batches are divided. */
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import {
  checkMixture,
  Interleave,
  isMixtureFile,
  MixtureBatches,
  type MixtureBatchesOptions,
  type MixtureDataset,
  PackingPlan,
  PlannedRows,
  prefetch,
  readMixture,
  type TokenShard,
  TokenStream,
  WindowRows,
  weightsOf,
} from "../../lib/data/index.js";
import { MixtureCourse } from "../../lib/data/mixture/course.js";
import { AnnealError, ConfigError, DataError } from "../../lib/errors.js";
import { numberedShards, randomNumbers } from "./shards.js";

describe("Interleave", () => {
  const random = randomNumbers(7);
  const cases: number[][] = [
    [1],
    [0.7, 0.3],
    [1, 1, 1],
    [0.5, 0.25, 0.25],
    [0.7, 0.2, 0.1],
    [0.335, 0.333, 0.332],
    [5, 0, 3],
    [0.99, 0.01],
    [1e9, 3e9, 7e9],
    [0.1, 0.2, 0.3, 0.15, 0.05, 0.05, 0.15],
    Array.from({ length: 12 }, () => 0.01 + random()),
    [Math.PI, Math.E, Math.SQRT2],
  ];

  it.each(cases.map((weights) => [weights]))(
    "keeps every count within one of its weight's share: %j",
    (weights) => {
      const interleave = new Interleave(weights);
      const total = weights.reduce((sum, weight) => sum + weight, 0);
      expect(interleave.shares.reduce((sum, share) => sum + share, 0)).toBe(interleave.period);
      const counts = weights.map(() => 0);
      const places = Math.min(3 * interleave.period, 150_000);
      let worst = 0;
      for (let place = 0; place < places; place++) {
        const { dataset, before } = interleave.at(place);
        if (before !== counts[dataset] || interleave.placeOf(dataset, before) !== place) {
          throw new Error(`place ${place}: ${before} before, ${counts[dataset]} expected`);
        }
        counts[dataset]++;
        for (let i = 0; i < weights.length; i++) {
          worst = Math.max(
            worst,
            Math.abs(counts[i] - ((place + 1) * interleave.shares[i]) / interleave.period),
          );
        }
      }
      expect(worst).toBeLessThan(1);
      expect(counts).toEqual(weights.map((_, i) => interleave.count(i, places)));
      weights.forEach((weight, i) => {
        expect(Math.abs(interleave.shares[i] / interleave.period - weight / total)).toBeLessThan(1e-5);
      });
    },
  );

  it("has the shortest period that the weights allow", () => {
    expect(new Interleave([0.7, 0.3]).period).toBe(10);
    expect(new Interleave([2, 2]).period).toBe(2);
    expect(new Interleave([1 / 3, 2 / 3]).period).toBe(3);
    expect(new Interleave([0.12345, 0.87655]).period).toBe(20_000);
  });

  it("refuses weights without a meaning", () => {
    for (const weights of [[], [0, 0], [-1, 2], [Number.NaN, 1], [Number.POSITIVE_INFINITY, 1]])
      expect(() => new Interleave(weights)).toThrow(ConfigError);
    expect(() => new Interleave([1e-9, 1])).toThrow(/less than a 100000th of all weights/);
  });
});

describe("MixtureCourse", () => {
  it("leaves a dataset out when its passes are over, and ends when all are", () => {
    const course = new MixtureCourse(
      [
        { name: "a", rows: 10, weight: 0.5, maxEpochs: 2 },
        { name: "b", rows: 100, weight: 0.3, maxEpochs: 1 },
        { name: "c", rows: 7, weight: 0.2, maxEpochs: 1.5 },
      ],
      4,
    );
    expect(course.length).toBe(20 + 100 + 10);
    const counts = [0, 0, 0];
    for (let row = 0; row < course.length; row++) {
      const { dataset, index } = course.at(row);
      expect(index).toBe(counts[dataset]++);
      expect(course.counts(row + 1)).toEqual(counts);
    }
    expect(counts).toEqual([20, 100, 10]);
    expect(() => course.at(130)).toThrow(DataError);
    expect(() => course.at(130)).toThrow(/used up after 130 rows: a has maxEpochs 2/);
    const endless = new MixtureCourse(
      [
        { name: "a", rows: 10, weight: 1, maxEpochs: 1 },
        { name: "b", rows: 3, weight: 1 },
      ],
      1,
    );
    expect(endless.length).toBe(Number.POSITIVE_INFINITY);
    expect(endless.at(1_000_000)).toEqual({ dataset: 1, index: 999_990 });
    expect(endless.counts(1_000_001)).toEqual([10, 999_991]);
  });

  it("changes weights where the schedule says, and counts on", () => {
    const course = new MixtureCourse(
      [
        { name: "web", rows: 50, weight: 9 },
        { name: "code", rows: 50, weight: 1 },
      ],
      5,
      [
        { fromStep: 20, weights: [1, 1] },
        { fromStep: 40, weights: { code: 1 } },
      ],
    );
    expect(course.counts(100)).toEqual([90, 10]);
    expect(course.counts(200)).toEqual([140, 60]);
    expect(course.counts(250)).toEqual([140, 110]);
    const counts = [0, 0];
    for (let row = 0; row < 250; row++) {
      const { dataset, index } = course.at(row);
      expect(index).toBe(counts[dataset]++);
    }
    const from0 = new MixtureCourse(
      [
        { name: "a", rows: 1, weight: 1 },
        { name: "b", rows: 1, weight: 0 },
      ],
      1,
      [{ fromStep: 0, weights: [0, 1] }],
    );
    expect(from0.counts(10)).toEqual([0, 10]);
  });

  it.each<[string, Parameters<typeof build>, RegExp]>([
    ["no dataset", [[]], /at least one dataset/],
    ["passes that leave nothing", [[{ name: "a", rows: 3, weight: 1, maxEpochs: 0.1 }]], /maxEpochs of a/],
    ["steps out of order", [two(), [change(5), change(5)]], /increase, got 5/],
    ["half a step", [two(), [change(1.5)]], /increase, got 1\.5/],
    ["too few weights", [two(), [{ fromStep: 1, weights: [1] }]], /names 1 of them, the mixture has 2/],
    [
      "an unknown name",
      [two(), [{ fromStep: 1, weights: { wed: 1 } }]],
      /no dataset "wed".*Did you mean "web"/,
    ],
  ])("refuses %s", (_, [parts, schedule], message) => {
    expect(() => build(parts, schedule)).toThrow(message);
    expect(() => build(parts, schedule)).toThrow(ConfigError);
  });

  function build(
    parts: ConstructorParameters<typeof MixtureCourse>[0],
    schedule?: ConstructorParameters<typeof MixtureCourse>[2],
  ) {
    return new MixtureCourse(parts, 1, schedule);
  }
  function two() {
    return [
      { name: "web", rows: 5, weight: 1 },
      { name: "code", rows: 5, weight: 1 },
    ];
  }
  function change(fromStep: number) {
    return { fromStep, weights: [1, 2] };
  }
});

describe("MixtureBatches", () => {
  let dir: string;
  let datasets: MixtureDataset[];
  let lists: TokenShard[][];
  const T = 8;
  beforeAll(async () => {
    dir = await mkdtemp(join(tmpdir(), "anneal-mixture-"));
    lists = [
      await numberedShards(dir, new Array(40).fill(10), 15, "a"),
      await numberedShards(dir, [7, 30, 4, 4, 60, 12], 2, "b"),
      await numberedShards(dir, [100], 1, "c"),
    ];
    const plan = await PackingPlan.open(new TokenStream(lists[1]), {
      sequenceLength: T,
      dirs: [dir],
      name: "b",
    });
    datasets = [
      { name: "a", rows: new WindowRows(lists[0], T), weight: 0.6 },
      { name: "b", rows: new PlannedRows(lists[1], plan), weight: 0.3, maxEpochs: 4 },
      { name: "c", rows: new WindowRows(lists[2], T), weight: 0.1 },
    ];
  });
  afterAll(() => rm(dir, { recursive: true }));

  const make = (options: Partial<MixtureBatchesOptions> = {}) =>
    new MixtureBatches({ datasets, batchSize: 6, seed: 3, ...options });

  it("uses each dataset as often as its weight says, each pass in a new order", async () => {
    const batches = make({ datasets: [datasets[0], { ...datasets[2], weight: 0.4 }] });
    expect(batches.steps).toBe(Number.POSITIVE_INFINITY);
    const rows = datasets[0].rows.rows;
    const passes = new Map<number, number[]>();
    let seen = 0;
    for (let step = 0; step < 60; step++) {
      const { inputs } = await batches.batchAt(step);
      const used = batches.usedBy(step + 1);
      expect(Math.abs(used[0].rows - (step + 1) * 6 * 0.6)).toBeLessThan(1);
      expect(Math.abs(used[1].rows - (step + 1) * 6 * 0.4)).toBeLessThan(1);
      expect(used[0].epochs).toBeCloseTo(used[0].rows / rows, 12);
      expect(used[0].share + used[1].share).toBeCloseTo(1, 12);
      seen += inputs.length / T;
      passes.set(step, [...inputs]);
    }
    expect(seen).toBe(360);
    // Ids are places in the stream: the passes over c show each of its windows as often.
    const counts = new Map<number, number>();
    for (const inputs of passes.values())
      for (let r = 0; r < inputs.length; r += T) counts.set(inputs[r], (counts.get(inputs[r]) ?? 0) + 1);
    const [a, c] = [batches.usedBy(60)[0].rows, batches.usedBy(60)[1].rows];
    expect(a + c).toBe(360);
    for (const count of counts.values())
      expect(count).toBeLessThanOrEqual(Math.ceil(a / rows) + Math.ceil(c / 12));
  });

  it("is a function of the step, whatever the workers, ranks and batches loaded ahead", async () => {
    const whole = make();
    const all = [];
    for (let step = 0; step < 40; step++) all.push(await whole.batchAt(step));
    for (const step of [39, 0, 17, 17, 3]) expect(await make().batchAt(step)).toEqual(all[step]);
    for (let start = 0; start < 40; start += 7) {
      for (const depth of [1, 4]) {
        let step = start;
        for await (const batch of prefetch(make(), start, depth, { end: Math.min(40, start + 5) })) {
          expect(batch).toEqual(all[step++]);
        }
      }
    }
    for (const worldSize of [2, 3, 6]) {
      for (const step of [0, 21]) {
        const inputs: number[] = [];
        for (let rank = 0; rank < worldSize; rank++) {
          const part = make({ batchSize: 6 / worldSize, rank, worldSize });
          expect(part.fingerprint).toBe(whole.fingerprint);
          inputs.push(...(await part.batchAt(step)).inputs);
        }
        expect(inputs).toEqual([...all[step].inputs]);
      }
    }
    expect(make({ seed: 4 }).fingerprint).not.toBe(whole.fingerprint);
    expect((await make({ seed: 4 }).batchAt(0)).inputs).not.toEqual(all[0].inputs);
  });

  it("carries boundaries of documents, from plans and from windows alike", async () => {
    const batches = make({ documentMask: true });
    for (let step = 0; step < 20; step++) {
      const { cuSeqlens, inputs } = await batches.batchAt(step);
      for (let row = 0; row <= 6; row++) expect(cuSeqlens).toContain(row * T);
      expect(inputs.length).toBe(6 * T);
    }
  });

  it("gives a dataset up after its passes, and says when there is nothing left", async () => {
    const limited = make({ datasets: datasets.map((dataset) => ({ ...dataset, maxEpochs: 1 })) });
    const rows = datasets.reduce((sum, dataset) => sum + dataset.rows.rows, 0);
    expect(limited.steps).toBe(Math.floor(rows / 6));
    await limited.batchAt(limited.steps - 1);
    await expect(limited.batchAt(limited.steps + 1)).rejects.toThrow(/used up after \d+ rows/);
    expect(limited.usedBy(limited.steps + 5).map(({ epochs }) => epochs)).toEqual([1, 1, 1]);
  });

  it("refuses what does not go together", async () => {
    const longer = { name: "long", rows: new WindowRows(lists[2], 9), weight: 1 };
    expect(() => make({ datasets: [datasets[0], longer] })).toThrow(/different sequence lengths/);
    expect(() => make({ datasets: [] })).toThrow(AnnealError);
    expect(() => make({ wieghts: 1 } as Partial<MixtureBatchesOptions>)).toThrow(/no option "wieghts"/);
  });
});

describe("a mixture file", () => {
  let dir: string;
  beforeAll(async () => {
    dir = await mkdtemp(join(tmpdir(), "anneal-mixture-file-"));
  });
  afterAll(() => rm(dir, { recursive: true }));
  const put = async (content: unknown) => {
    const path = join(dir, "mix.json");
    await writeFile(path, typeof content === "string" ? content : JSON.stringify(content));
    return path;
  };

  it("names folders beside it, with weights, passes or tokens", async () => {
    const path = await put({
      datasets: [
        { data: "web", weight: 0.7, maxEpochs: 4 },
        { data: "../code", weight: 0.3, name: "code-2" },
      ],
      schedule: [{ fromStep: 10, weights: { web: 1 } }],
    });
    expect(await isMixtureFile(path)).toBe(true);
    const { datasets, schedule } = await readMixture(path);
    expect(datasets).toEqual([
      { data: join(dir, "web"), name: "web", weight: 0.7, maxEpochs: 4 },
      { data: join(dir, "..", "code"), name: "code-2", weight: 0.3 },
    ]);
    expect(schedule).toEqual([{ fromStep: 10, weights: { web: 1 } }]);
    expect(weightsOf(datasets, [10, 20])).toEqual([0.7, 0.3]);
    expect(
      weightsOf(
        [
          { data: "a", epochs: 2 },
          { data: "b", epochs: 1 },
        ],
        [10, 50],
      ),
    ).toEqual([20, 50]);
    expect(weightsOf([{ data: "a" }, { data: "b" }], [10, 50])).toEqual([10, 50]);
    expect(
      weightsOf(
        [
          { data: "a", tokens: 3e9 },
          { data: "b", tokens: 1e9 },
        ],
        [10, 50],
      ),
    ).toEqual([3e9, 1e9]);
    expect(await isMixtureFile(await put({ text: "no" }))).toBe(false);
    expect(await isMixtureFile(await put("{"))).toBe(false);
    expect(await isMixtureFile(join(dir, "none.json"))).toBe(false);
    expect(await isMixtureFile(join(dir, "x.txt"))).toBe(false);
  });

  it.each<[string, unknown, RegExp]>([
    ["no JSON", "{", /not valid JSON/],
    ["no datasets", { datasets: [] }, /is no mixture/],
    ["a list", [1], /is no mixture/],
    ["a dataset without data", { datasets: [{ weight: 1 }] }, /dataset 1 must have "data"/],
    [
      "a misspelt field",
      { datasets: [{ data: "a", wieght: 1 }] },
      /no option "wieght".*Did you mean "weight"/,
    ],
    ["a misspelt part", { datasets: [{ data: "a" }], shedule: [] }, /Did you mean "schedule"/],
    ["a negative weight", { datasets: [{ data: "a", weight: -1 }] }, /weight of a must be a number/],
    [
      "weights and tokens",
      {
        datasets: [
          { data: "a", weight: 1 },
          { data: "b", tokens: 5 },
        ],
      },
      /the same one of/,
    ],
    [
      "a weight for some",
      { datasets: [{ data: "a", weight: 1 }, { data: "b" }] },
      /the same one of.*for some only/,
    ],
    ["equal names", { datasets: [{ data: "x/a" }, { data: "y/a" }] }, /called the same/],
    [
      "a wrong schedule",
      { datasets: [{ data: "a" }], schedule: [{ fromStep: 1 }] },
      /"schedule" must be a list/,
    ],
    ["a schedule that is no list", { datasets: [{ data: "a" }], schedule: {} }, /"schedule" must be a list/],
  ])("is refused for %s", async (_, content, message) => {
    const path = await put(content);
    await expect(readMixture(path)).rejects.toThrow(message);
    await expect(readMixture(path)).rejects.toBeInstanceOf(ConfigError);
  });

  it("is refused where it is missing", async () => {
    await expect(readMixture(join(dir, "none.json"))).rejects.toThrow(DataError);
    expect(() => checkMixture({}, "here")).toThrow(/here is no mixture/);
  });
});
