/** The strict JSON reader of the native text room, through the files that it reads. */
import { describe, expect, it } from "vitest";
import { TokenizerError } from "../../lib/errors.js";
import { NativeTokenizer } from "../../lib/native/text/tokenizer.js";

/** What is wrong with a JSON text, or undefined. */
function problem(json: string | Uint8Array): TokenizerError | undefined {
  try {
    NativeTokenizer.fromJson(typeof json === "string" ? Buffer.from(json) : json, "file").dispose();
    return undefined;
  } catch (error) {
    expect(error).toBeInstanceOf(TokenizerError);
    // Valid JSON that is no tokenizer.
    return (error as Error).message.includes("is not valid JSON") ? (error as TokenizerError) : undefined;
  }
}

const bytes = (...values: number[]) => Uint8Array.from(values);

describe("accepts and refuses what JSON.parse does", () => {
  const texts = [
    "0",
    "-0",
    "1",
    "-1",
    "10",
    "1.5",
    "-1.5e3",
    "1E5",
    "1e+5",
    "1e-5",
    "0.0",
    "123456789012345678901234567890",
    "9223372036854775807",
    "-9223372036854775808",
    "9223372036854775808",
    "1e-400",
    '""',
    '"a"',
    "true",
    "false",
    "null",
    "[]",
    "{}",
    "[1,2]",
    '{"a":1}',
    '{"a":{"b":[1,[2,[]]]}}',
    " \t\r\n[ 1 , 2 ]\n",
    '"\\"\\\\\\/\\b\\f\\n\\r\\t"',
    '"\\u0041\\u00e9"',
    '"\\ud83d\\udc4d"',
    '"日本 👍"',
    '"\u007f"',
    "[[[[]]]]",
    '{"":0}',
    "[0]",
    "-",
    "+1",
    ".5",
    "1.",
    "1.e5",
    "1e",
    "1e+",
    "01",
    "-01",
    "00",
    "0x10",
    "NaN",
    "Infinity",
    "-Infinity",
    "nul",
    "nulll",
    "True",
    "tru",
    "'a'",
    '"',
    '"a',
    '"\\',
    '"\\"',
    '"\\x41"',
    '"\\u12"',
    '"\\u12g4"',
    '"\\u"',
    "[",
    "[1",
    "[1,",
    "[1,]",
    "[,1]",
    "[1 2]",
    "]",
    "{",
    '{"a"',
    '{"a":',
    '{"a":1',
    '{"a":1,',
    '{"a":1,}',
    "{a:1}",
    '{"a" 1}',
    "{1:2}",
    '{"a":1 "b":2}',
    "{,}",
    "}",
    "[}",
    "{]",
    "",
    " ",
    "1 2",
    "{} {}",
    "[]]",
    "// a\n1",
    "/* a */1",
    "[1,\u00a02]",
    "1\u000b",
    "\u00a01",
    '"a\nb"',
    '"a\tb"',
    '"a\u0000b"',
    '"\u001f"',
    "[true,false,null,]",
    '{"a":tru}',
  ];
  it.each(texts)("%j", (text) => {
    let fine = true;
    try {
      JSON.parse(text);
    } catch {
      fine = false;
    }
    expect(problem(text) === undefined).toBe(fine);
  });
});

describe("is stricter than JSON.parse", () => {
  it("refuses a key that comes twice, in small objects and in large ones", () => {
    expect(problem('{"a":1,"b":2,"a":3}')?.message).toMatch(/has the key "a" twice/);
    expect(problem('{"a\\u0062":1,"ab":2}')?.message).toMatch(/has the key "ab" twice/);
    const many = Array.from({ length: 5000 }, (_, i) => `"k${i}":${i}`);
    expect(problem(`{${many.join(",")}}`)).toBeUndefined();
    expect(problem(`{${[...many, '"k17":0'].join(",")}}`)?.message).toMatch(/has the key "k17" twice/);
    expect(problem('[{"a":1},{"a":1}]')).toBeUndefined();
  });

  it("refuses halves of surrogate pairs", () => {
    for (const half of ["\\ud83d", "\\udc4d", "\\ud83dx", "\\ud83d\\u0041", "\\udc4d\\ud83d", "\\ud83d\\n"]) {
      expect(problem(`"${half}"`)?.message).toMatch(/half of a surrogate pair/);
    }
  });

  it("refuses numbers beyond a double", () => {
    expect(problem("1e400")?.message).toMatch(/too large for a double/);
    expect(problem("-1e400")?.message).toMatch(/too large for a double/);
  });

  it("refuses bytes that are not UTF-8, at the very place", () => {
    const cases: [Uint8Array, number][] = [
      [bytes(0x22, 0x80, 0x22), 1],
      [bytes(0x22, 0xc3, 0x22), 1],
      [bytes(0x22, 0xc0, 0xaf, 0x22), 1],
      [bytes(0x22, 0xe0, 0x80, 0x80, 0x22), 1],
      [bytes(0x22, 0x61, 0xed, 0xa0, 0x80, 0x22), 2],
      [bytes(0x22, 0xf0, 0x80, 0x80, 0x80, 0x22), 1],
      [bytes(0x22, 0xf4, 0x90, 0x80, 0x80, 0x22), 1],
      [bytes(0x22, 0xf5, 0x80, 0x80, 0x80, 0x22), 1],
      [bytes(0x22, 0xff, 0x22), 1],
      [bytes(0xe6, 0x97), 0],
    ];
    for (const [text, offset] of cases) expect(problem(text)?.details.offset).toBe(offset);
    expect(problem(bytes(0xef, 0xbb, 0xbf, 0x31))?.message).toMatch(/byte order mark/);
    expect(problem(bytes(0x22, 0xf0, 0x9f, 0x91, 0x8d, 0x22))).toBeUndefined();
  });

  it("refuses deep nesting without recursion", () => {
    expect(problem("[".repeat(256) + "]".repeat(256))).toBeUndefined();
    expect(problem("[".repeat(257) + "]".repeat(257))?.message).toMatch(/deeper than 256 levels/);
    expect(problem("[".repeat(5_000_000))?.message).toMatch(/deeper than 256 levels/);
    expect(problem('{"a":'.repeat(5_000_000))?.message).toMatch(/deeper than 256 levels/);
  });
});

it("says line, column and byte", () => {
  const error = problem('{\n  "é👍": 1,\n  "b" 2\n}');
  expect(error?.details).toMatchObject({ offset: 23, line: 3, column: 7 });
  expect(error?.message).toMatch(
    /^file is not valid JSON: at line 3, column 7 \(byte 23\) expected ":" after a key, got "2"/,
  );
  const inside = problem('["é", x]');
  expect(inside?.details).toMatchObject({ offset: 7, line: 1, column: 7 });
});

it("survives every cut and every changed byte of a file", () => {
  const text = Buffer.from(
    '{"version":"1.0","added_tokens":[],"model":{"type":"BPE","vocab":{"a":0,"\\u00e9":1,"é\\n":2},"merges":[["a","é"]],"x":-1.5e3}}',
  );
  for (let end = 0; end < text.length; end++) problem(text.subarray(0, end));
  for (let i = 0; i < text.length; i++) {
    for (const value of [0, 0x22, 0x5c, 0x7b, 0x7d, 0x5b, 0x5d, 0x2c, 0x3a, 0x80, 0xff, 0x2d, 0x39]) {
      const changed = Buffer.from(text);
      changed[i] = value;
      problem(changed);
    }
  }
});
