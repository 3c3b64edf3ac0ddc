import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { FormatError } from "../../lib/errors.js";
import { parseJson, readJson } from "../../lib/io/index.js";
import { rejection, temporaryFolder } from "./temporary.js";

describe("parseJson", () => {
  it("agrees with JSON.parse on valid texts", () => {
    const texts = [
      "{}",
      " [ ] ",
      "null",
      "-0.5e+3",
      '"\\u00e9\\n\\"\\\\ \\ud83d\\ude00 é 名"',
      '{"a":[1,2,{"b":true,"c":false}],"":null, "d" : "x"}',
      "[1e5, 0, -1, 123456789012345680000, 1.25]",
      '{"constructor":1,"toString":2}',
    ];
    for (const text of texts) expect(parseJson(text, "x.json")).toEqual(JSON.parse(text));
  });

  it("keeps __proto__ an ordinary key", () => {
    const value = parseJson('{"__proto__": {"polluted": 1}}', "x.json") as object;
    expect(Object.keys(value)).toEqual(["__proto__"]);
    expect("polluted" in value).toBe(false);
  });

  it("refuses what JSON.parse refuses", () => {
    const texts = [
      "",
      "{",
      "[1,]",
      '{"a":1,}',
      "{'a':1}",
      "01",
      "+1",
      ".5",
      "1.",
      "NaN",
      "Infinity",
      '"a',
      '"\\x"',
      '"\\u12"',
    ];
    texts.push(
      '"\t"',
      "[1 2]",
      '{"a" 1}',
      "true false",
      "nul",
      "[",
      '{"a":',
      "// c\n1",
      "\ufeff1",
      '"\\',
      "-",
    );
    for (const text of texts) {
      expect(() => JSON.parse(text), text).toThrow();
      expect(() => parseJson(text, "x.json"), text).toThrow(FormatError);
    }
  });

  it("says file, line and column", () => {
    const text = '{\n  "hidden_size": 64,\n  "vocab_size": 12 "x": 1\n}';
    expect(() => parseJson(text, "config.json")).toThrow(
      'config.json: invalid JSON at line 3, column 20: expected "," or "}", got "\\""',
    );
    expect(() => parseJson("[1,\n2", "a.json")).toThrow("line 2, column 2: expected");
  });

  it("refuses duplicate keys and absurd nesting", () => {
    expect(() => parseJson('{"a":1,\n"a":2}', "x.json")).toThrow(
      'line 2, column 1: the key "a" occurs twice',
    );
    expect(() => parseJson("[".repeat(100_000), "x.json")).toThrow("more than 1000 nested levels");
  });
});

describe("readJson", () => {
  it("skips a byte order mark and refuses invalid UTF-8", async () => {
    const dir = await temporaryFolder();
    await writeFile(join(dir, "bom.json"), "\ufeff[1]");
    expect(await readJson(join(dir, "bom.json"))).toEqual([1]);
    await writeFile(join(dir, "bad.json"), Uint8Array.of(0x22, 0xff, 0x22));
    expect(await rejection(readJson(join(dir, "bad.json")))).toMatchObject({ code: "ERR_FORMAT" });
  });
});
