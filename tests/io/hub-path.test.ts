import { describe, expect, it } from "vitest";
import { globBase, globFilter, globPattern, isGlob, isHubPath, parseHubPath } from "../../lib/io/index.js";

describe("hf:// paths", () => {
  it("reads repositories, revisions and files", () => {
    expect(parseHubPath("hf://datasets/HuggingFaceFW/fineweb")).toEqual({
      type: "dataset",
      name: "HuggingFaceFW/fineweb",
      revision: undefined,
      path: undefined,
    });
    expect(parseHubPath("hf://datasets/o/n@v1.0/sample/10BT/*.parquet")).toEqual({
      type: "dataset",
      name: "o/n",
      revision: "v1.0",
      path: "sample/10BT/*.parquet",
    });
    expect(parseHubPath("hf://o/n/a b@c.txt")).toMatchObject({
      type: "model",
      name: "o/n",
      path: "a b@c.txt",
    });
    expect(parseHubPath("hf://models/o/n/")).toMatchObject({ type: "model", name: "o/n", path: undefined });
    expect(parseHubPath("hf://datasets/squad@main/train.csv")).toMatchObject({
      name: "squad",
      revision: "main",
      path: "train.csv",
    });
    expect(parseHubPath("hf://datasets/squad")).toMatchObject({ name: "squad" });
    expect(parseHubPath("hf://datasets/o/n@refs/convert/parquet/default/0.parquet")).toMatchObject({
      revision: "refs/convert/parquet",
      path: "default/0.parquet",
    });
    expect(parseHubPath("hf://datasets/o/n@feature%2Fx/a")).toMatchObject({
      revision: "feature/x",
      path: "a",
    });
    expect(isHubPath("hf://x")).toBe(true);
    expect(isHubPath("/data/hf://x")).toBe(false);
  });

  it("says what is wrong with others", () => {
    const bad: [string, RegExp][] = [
      ["datasets/o/n", /does not begin with hf:\/\//],
      ["hf://", /name is missing/],
      ["hf://datasets/", /name is missing/],
      ["hf://spaces/o/n", /only datasets and models/],
      ["hf://buckets/o/n", /only datasets and models/],
      ["hf://datasets/o/n@/x", /not a revision/],
      ["hf://datasets/o/n@%zz/x", /followed by two digits/],
      ["hf://datasets/o/n@%2e%2e%2fx", /not a revision/],
      ["hf://datasets/o/../x", /not the name|must not hold/],
      ["hf://datasets/o/n/../../x", /must not hold \. or \.\./],
    ];
    for (const [path, message] of bad) {
      expect(() => parseHubPath(path), path).toThrow(message);
    }
  });
});

describe("file patterns", () => {
  const cases: [string, string[], string[]][] = [
    ["*.md", ["a.md", "x/a.md", "x/y/.md"], ["a.mdx", "amd", "a.md2"]],
    ["/*.md", ["a.md"], ["x/a.md"]],
    ["data/*.parquet", ["data/a.parquet"], ["data/x/a.parquet", "x/data/a.parquet", "a.parquet"]],
    ["data/**", ["data/a", "data/x/y"], ["data", "other/data/a"]],
    ["**/train/*.gz", ["train/a.gz", "x/y/train/a.gz"], ["train/x/a.gz", "xtrain/a.gz"]],
    ["data", ["data", "data/x", "data/x/y", "z/data/a"], ["database", "xdata"]],
    ["./data/train/", ["data/train/a", "data/train"], ["data/trains"]],
    ["part-0000?.txt", ["part-00001.txt"], ["part-00001xtxt", "part-000/1.txt", "part-000012.txt"]],
    ["[a-c]x", ["ax", "cx"], ["dx", "-x", "/x"]],
    ["[!a-c]x", ["dx", "!x"], ["ax"]],
    ["[]x]", ["]", "x"], ["[", "y"]],
    ["{a,b/*,{c,d}e}.txt", ["a.txt", "b/q.txt", "ce.txt", "de.txt"], ["c.txt", "ab.txt", "b/q/r.txt"]],
    ["a+b(c)$^|.txt", ["a+b(c)$^|.txt"], ["aab(c)$^|.txt"]],
    ["größe-*", ["größe-1"], ["groesse-1"]],
    ["{,x}y", ["y", "xy"], ["zy"]],
  ];
  for (const [pattern, fits, others] of cases) {
    it(pattern, () => {
      const test = globPattern(pattern);
      for (const path of fits) expect(test(path), path).toBe(true);
      for (const path of others) expect(test(path), path).toBe(false);
    });
  }

  it("refuses patterns that do not close", () => {
    for (const pattern of ["a[b", "a{b", "{a,{b}", "a{b,c", "[z-a]"]) {
      expect(() => globPattern(pattern), pattern).toThrow(/file pattern/);
    }
  });

  it("combines what is wanted and what is not", () => {
    const chosen = globFilter(["*.txt", "keep/**"], ["drop/**"]);
    expect(["a.txt", "keep/a.bin", "drop/a.txt", "a.bin"].map((path) => chosen(path))).toEqual([
      true,
      true,
      false,
      false,
    ]);
    expect(globFilter()("anything")).toBe(true);
    expect(globFilter([], "*.log")("a.log")).toBe(false);
  });

  it("knows patterns from names, and where to start", () => {
    expect(isGlob("a/b.txt")).toBe(false);
    expect(isGlob("a/*.txt")).toBe(true);
    expect(globBase("/data/x/*/a.txt")).toBe("/data/x");
    expect(globBase("*.txt")).toBe("");
    expect(globBase("a/b.txt")).toBe("a");
  });
});
